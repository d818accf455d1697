/** The public surface: every name of every entry and what it is, held to test/public-surface.txt. A change of that file is a change for users. */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import ts from 'typescript';
import { expect, it } from 'vitest';

const root = fileURLToPath(new URL('../', import.meta.url));
const { exports } = JSON.parse(readFileSync(`${root}package.json`, 'utf8')) as { exports: Record<string, unknown> };
const entries = Object.keys(exports).filter((name) => name === '.' || /^\.\/\w+$/.test(name));
const sourceOf = (entry: string): string => `${root}src/${entry === '.' ? 'index' : entry.slice(2)}.ts`.replaceAll('\\', '/');

const KINDS: readonly (readonly [ts.SymbolFlags, string])[] = [
  [ts.SymbolFlags.Class, 'class'],
  [ts.SymbolFlags.Function, 'function'],
  [ts.SymbolFlags.Interface, 'interface'],
  [ts.SymbolFlags.TypeAlias, 'type'],
  [ts.SymbolFlags.NamespaceModule | ts.SymbolFlags.ValueModule, 'namespace'],
];

function kindOf(checker: ts.TypeChecker, symbol: ts.Symbol): string {
  const found = KINDS.find(([flag]) => symbol.flags & flag);
  if (found) return found[1];
  const type = checker.getTypeOfSymbol(symbol);
  return type.getCallSignatures().length > 0 ? 'function' : 'constant';
}

it('is what the file says', async () => {
  const { options } = ts.parseJsonConfigFileContent(
    ts.readConfigFile(`${root}tsconfig.json`, ts.sys.readFile).config,
    ts.sys,
    root,
  );
  const program = ts.createProgram(entries.map(sourceOf), options);
  const checker = program.getTypeChecker();
  const text = entries.map((entry) => {
    const module = checker.getSymbolAtLocation(program.getSourceFile(sourceOf(entry))!)!;
    const lines = checker.getExportsOfModule(module).map((symbol) => {
      const meant = symbol.flags & ts.SymbolFlags.Alias ? checker.getAliasedSymbol(symbol) : symbol;
      return `  ${symbol.name}: ${kindOf(checker, meant)}`;
    });
    return [entry === '.' ? 'gvsl' : `gvsl${entry.slice(1)}`, ...lines.sort()].join('\n');
  });
  await expect(`${text.join('\n\n')}\n`).toMatchFileSnapshot('public-surface.txt');
});
