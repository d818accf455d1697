/** Every kernel's arguments, read from the classes by which the kernels take them, as the text of a module: so the lowering fills them by name. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { NodeKind, newOptions, newProgram, nextFile, parse } from 'assemblyscript';

const entry = 'src/engine/backends/cpu/kernels.as';
/** Types of arguments, 4 bytes each; what the lowering gives for them is in lowering.ts (`ArgumentTypes`). */
const TYPES = ['Tensor', 'Tensor | null', 'Address', 'OptionalAddress', 'usize', 'i32', 'f32'];

/** The syntax trees of the module's sources. */
function parseSources(root) {
  const program = newProgram(newOptions());
  for (let file = entry; file; file = nextFile(program)) {
    parse(program, readFileSync(join(root, `${file}.ts`), 'utf8'), `${file}.ts`, file === entry);
  }
  return program.sources;
}

/** Fields of a class of arguments, those of its base first. */
function fieldsOf(name, classes) {
  const node = classes.get(name);
  if (!node) throw new Error(`a kernel takes its arguments by '${name}', and no class has that name`);
  const base = node.extendsType ? fieldsOf(node.extendsType.name.identifier.text, classes) : [];
  const own = node.members.map((field) => {
    const type = field.type?.range.toString();
    if (!TYPES.includes(type)) {
      throw new Error(`${name}.${field.name.text}: expected one of ${TYPES.join(', ')}, got ${type}`);
    }
    return [field.name.text, type];
  });
  return [...base, ...own];
}

/** Every kernel that the module exports, with its fields. */
function kernelsOf(sources) {
  const module = sources.find((source) => source.normalizedPath === `${entry}.ts`);
  const exported = new Set(module.statements.flatMap(({ members }) => members?.map((member) => member.exportedName.text) ?? []));
  const statements = sources.flatMap((source) => source.statements);
  const classes = new Map();
  for (const node of statements.filter(({ kind }) => kind === NodeKind.ClassDeclaration)) {
    if (classes.has(node.name.text)) throw new Error(`two classes are called '${node.name.text}'`);
    classes.set(node.name.text, node);
  }
  return statements
    .filter(({ kind, name }) => kind === NodeKind.FunctionDeclaration && exported.has(name.text))
    .filter(({ signature: { parameters } }) => parameters.map(({ name }) => name.text).join() === 'args,share,shares')
    .map(({ name, signature }) => [name.text, fieldsOf(signature.parameters[0].type.name.identifier.text, classes)])
    .sort(([a], [b]) => (a < b ? -1 : 1));
}

/** @param root the repository's folder @returns the text of src/engine/backends/cpu/kernel-interface.ts */
export function kernelInterface(root) {
  const lines = kernelsOf(parseSources(root)).map(([kernel, fields]) => {
    const entries = fields.map(([name, type]) => `${name}: '${type}'`);
    const line = `  ${kernel}: { ${entries.join(', ')} },`;
    return line.length <= 130 ? line : [`  ${kernel}: {`, ...entries.map((each) => `    ${each},`), '  },'].join('\n');
  });
  return `/** Made by scripts/build-wasm.mjs from the kernels' sources: every kernel's arguments, in the order in which they lie in memory. */
export const KERNEL_ARGUMENTS = {
${lines.join('\n')}
} as const;
`;
}
