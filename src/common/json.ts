/**
 * JSON of strangers: what JSON.parse takes without a word, and what would cost memory or the stack, is refused first.
 */

export interface JsonLimits {
  /** Objects and lists within each other. */
  readonly depth?: number;
  /** Values in all. */
  readonly values?: number;
}

/** The end of the string that starts at `at`: the place of its closing quote, or the text's end. */
function stringEnd(text: string, at: number): number {
  let end = at + 1;
  while (end < text.length && text[end] !== '"') end += text[end] === '\\' ? 2 : 1;
  return end;
}

function checkSize(text: string, depth: number, values: number): void {
  let open = 0;
  let count = 1;
  for (let i = 0; i < text.length; i++) {
    const c = text[i];
    if (c === '"') i = stringEnd(text, i);
    else if (c === '{' || c === '[') {
      if (++open > depth) throw new Error(`objects and lists nested more than ${depth} deep`);
      count++;
    } else if (c === '}' || c === ']') open--;
    else if (c === ',') count++;
    if (count > values) throw new Error(`more than ${values} values`);
  }
}

/** JSON.parse keeps the last of two equal names and says nothing. `text` is known to parse. */
function checkNames(text: string): void {
  const open: Set<string>[] = [];
  for (let i = 0; i < text.length; i++) {
    const c = text[i];
    if (c === '{' || c === '[') open.push(new Set());
    else if (c === '}' || c === ']') open.pop();
    else if (c === '"') {
      const start = i;
      i = stringEnd(text, i);
      let next = i + 1;
      while (next < text.length && /\s/.test(text[next])) next++;
      if (text[next] !== ':') continue;
      const name: string = JSON.parse(text.slice(start, i + 1));
      if (name === '__proto__') throw new Error('the name "__proto__" is not allowed (many programs misread it)');
      const names = open.at(-1)!;
      if (names.has(name)) throw new Error(`the name "${name}" occurs more than once`);
      names.add(name);
    }
  }
}

/**
 * JSON.parse for a text that may be damaged or hostile.
 * @throws Error that says what is wrong: no JSON, nested too deep, too many values, a name that stands twice in one object
 */
export function parseJson(text: string, { depth = 64, values = 1_000_000 }: JsonLimits = {}): unknown {
  checkSize(text, depth, values);
  const parsed: unknown = JSON.parse(text);
  checkNames(text);
  return parsed;
}

/** A text without the mark that editors on Windows put before it; RFC 8259 (8.1) lets readers ignore it. */
export const withoutByteOrderMark = (text: string): string => text.replace(/^\uFEFF/, '');

/** A value of a document in a message: its JSON, cut where it is long. */
export function quoteJson(value: unknown): string {
  const text = JSON.stringify(value) ?? 'undefined';
  return text.length <= 80 ? text : `${text.slice(0, 80)}...`;
}
