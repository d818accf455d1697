/** Documents of configuration over one another. */

type Document = Readonly<Record<string, unknown>>;

const isSection = (value: unknown): value is Document => typeof value === 'object' && value !== null && !Array.isArray(value);

/** Sections of `over` replace the same keys of `base`, however deep. */
export function merged(base: Document, over: Document): Record<string, unknown> {
  const out: Record<string, unknown> = { ...base };
  for (const [key, value] of Object.entries(over)) {
    const before = out[key];
    out[key] = isSection(value) && isSection(before) ? merged(before, value) : value;
  }
  return out;
}
