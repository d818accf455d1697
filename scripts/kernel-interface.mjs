/**
 * What the kernels find in memory, read from their classes, as the text of a module: every kernel's arguments, which the lowering fills by name, and
 * the structures of a program.
 */
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { NodeKind, newOptions, newProgram, nextFile, parse } from 'assemblyscript';

const entry = 'src/engine/backends/cpu/kernels.as';
/** Types of arguments, 4 bytes each; what the lowering gives for them is in lowering.ts (`ArgumentTypes`). */
const TYPES = ['Tensor', 'Tensor | null', 'Address', 'OptionalAddress', 'usize', 'u32', 'i32', 'f32'];
/** Classes that a program's memory holds besides arguments: descriptors of tensors, and calls. */
const STRUCTURES = ['Call', 'Tensor'];

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
  if (!node) throw new Error(`no class is called '${name}'`);
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

/** The classes of all sources by their names. */
function classesOf(statements) {
  const classes = new Map();
  for (const node of statements.filter(({ kind }) => kind === NodeKind.ClassDeclaration)) {
    if (classes.has(node.name.text)) throw new Error(`two classes are called '${node.name.text}'`);
    classes.set(node.name.text, node);
  }
  return classes;
}

/** Every kernel that the module exports, with its class. */
function kernelsOf(sources) {
  const module = sources.find((source) => source.normalizedPath === `${entry}.ts`);
  const exported = new Set(module.statements.flatMap(({ members }) => members?.map((member) => member.exportedName.text) ?? []));
  return sources
    .flatMap((source) => source.statements)
    .filter(({ kind, name }) => kind === NodeKind.FunctionDeclaration && exported.has(name.text))
    .filter(({ signature: { parameters } }) => parameters.map(({ name }) => name.text).join() === 'args,share,shares')
    .map(({ name, signature }) => [name.text, signature.parameters[0].type.name.identifier.text])
    .sort(([a], [b]) => (a < b ? -1 : 1));
}

/** @param root the repository's folder @returns the text of src/engine/backends/cpu/kernel-interface.ts, and the number that it has in it */
export function kernelInterface(root) {
  const sources = parseSources(root);
  const classes = classesOf(sources.flatMap((source) => source.statements));
  const table = (named) =>
    named
      .map(([name, className]) => {
        const entries = fieldsOf(className, classes).map(([field, type]) => `${field}: '${type}'`);
        const line = `  ${name}: { ${entries.join(', ')} },`;
        return line.length <= 130 ? line : [`  ${name}: {`, ...entries.map((each) => `    ${each},`), '  },'].join('\n');
      })
      .join('\n');
  const tables = `export const KERNEL_ARGUMENTS = {
${table(kernelsOf(sources))}
} as const;

/** What a program's memory holds besides. */
export const STRUCTURES = {
${table(STRUCTURES.map((name) => [name, name]))}
} as const;
`;
  // of the sources too: kernels that take the same arguments and compute something else are another build as well
  const whole = createHash('sha256').update(tables);
  for (const { text } of sources.filter(({ text }) => text).toSorted((a, b) => (a.normalizedPath < b.normalizedPath ? -1 : 1)))
    whole.update(text.replaceAll('\r\n', '\n'));
  const number = Number.parseInt(whole.digest('hex').slice(0, 7), 16);
  const text = `/** Made by scripts/build-wasm.mjs from the kernels' sources: names and types in the order in which they lie in memory, 4 bytes each. */

/** Kernels of another build have another number, and are refused. */
export const KERNEL_INTERFACE = ${number};

${tables}`;
  return { number, text };
}
