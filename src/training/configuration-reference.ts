/** The configuration described from its own schema: for documentation, for `--help`, and for the "expected" of every error. */
import { z } from 'zod';
import { pretrainConfigurationSchema } from '../methods/gvsl/configuration.ts';

/** The part of JSON Schema that the configuration uses. */
interface SchemaNode {
  readonly type?: string | readonly string[];
  readonly description?: string;
  readonly default?: unknown;
  readonly const?: unknown;
  readonly enum?: readonly unknown[];
  readonly anyOf?: readonly SchemaNode[];
  readonly prefixItems?: readonly SchemaNode[];
  readonly items?: SchemaNode;
  readonly properties?: Readonly<Record<string, SchemaNode>>;
  /** What stands under any other name, of names that are free. */
  readonly additionalProperties?: SchemaNode | boolean;
  readonly minimum?: number;
  readonly exclusiveMinimum?: number;
  readonly maximum?: number;
}

/** One key, or a section of them. */
export interface KeyDescription {
  /** 'data.patch' */
  readonly path: string;
  readonly section: boolean;
  /** What it may be, in words. */
  readonly expected: string;
  /** What it is when nobody says; undefined for a section. */
  readonly default: unknown;
  readonly description: string;
}

/** JSON on one line, as a person writes it in YAML; long fractions (of pi) are cut to six digits. */
const inWords = (value: unknown): string => {
  if (Array.isArray(value)) return `[${value.map(inWords).join(', ')}]`;
  if (typeof value === 'number') return String(Number(value.toPrecision(6)));
  return typeof value === 'string' ? value : JSON.stringify(value);
};

function bounds({ minimum: least, exclusiveMinimum, maximum }: SchemaNode): string {
  // what any whole number is above and below is no limit
  const minimum = least !== undefined && least > Number.MIN_SAFE_INTEGER ? least : undefined;
  const most = maximum !== undefined && maximum < Number.MAX_SAFE_INTEGER ? inWords(maximum) : undefined;
  if (exclusiveMinimum !== undefined) return ` above ${exclusiveMinimum}${most ? `, at most ${most}` : ''}`;
  if (minimum === undefined) return most ? ` of at most ${most}` : '';
  return most ? ` from ${minimum} to ${most}` : ` of at least ${minimum}`;
}

function expectedOf(node: SchemaNode): string {
  if (Array.isArray(node.type)) return node.type.map((type: string) => expectedOf({ ...node, type })).join(', or ');
  if (node.anyOf) {
    const constants = node.anyOf.every((choice) => choice.const !== undefined);
    return constants
      ? `one of ${node.anyOf.map((choice) => inWords(choice.const)).join(', ')}`
      : node.anyOf.map(expectedOf).join(', or ');
  }
  if (node.const !== undefined) return inWords(node.const);
  if (node.enum) return `one of ${node.enum.map(inWords).join(', ')}`;
  if (node.prefixItems) return `a list of ${node.prefixItems.length}, each ${expectedOf(node.prefixItems[0])}`;
  if (node.properties) return `a section with some of the keys ${Object.keys(node.properties).join(', ')}`;
  if (node.type === 'boolean') return 'true or false';
  if (node.type === 'string') return 'text';
  if (node.type === 'null') return 'null';
  if (node.type === 'array') return `a list${node.items ? `, each ${expectedOf(node.items)}` : ''}`;
  if (node.type === 'object') return 'a section';
  return `a ${node.type === 'integer' ? 'whole number' : 'number'}${bounds(node)}`;
}

function walk(node: SchemaNode, prefix: string): KeyDescription[] {
  return Object.entries(node.properties ?? {}).flatMap(([key, child]) => {
    const path = prefix + key;
    const section = child.properties !== undefined;
    const own: KeyDescription = {
      path,
      section,
      expected: expectedOf(child),
      default: section ? undefined : child.default,
      description: child.description ?? '',
    };
    return [own, ...walk(child, `${path}.`)];
  });
}

/** Any configuration's schema. */
export type ConfigurationSchema = z.ZodType<unknown>;

/** A kind of configuration: its schema, and the command that takes it, for messages. */
export interface ConfigurationKind<Schema extends ConfigurationSchema> {
  readonly schema: Schema;
  readonly command: string;
  /** The way to pre-train, as run.json names it; left out: GVSL. */
  readonly method?: string | undefined;
  /** A variant of it: its name, and the keys that it fixes. */
  readonly variant?: { readonly name: string; readonly fixes: Readonly<Record<string, unknown>> } | undefined;
}

const known = new WeakMap<ConfigurationSchema, readonly KeyDescription[]>();
/** Every key and section of a configuration (pre-training's if not said), each section before its keys. */
export function configurationKeys(schema: ConfigurationSchema = pretrainConfigurationSchema): readonly KeyDescription[] {
  const keys = known.get(schema) ?? walk(z.toJSONSchema(schema, { io: 'input' }) as SchemaNode, '');
  known.set(schema, keys);
  return keys;
}

/** What may stand at a path, in words: of a section, which keys; also under names that a user gives, as those of variants. */
export function expectedAt(schema: ConfigurationSchema, path: readonly string[]): string {
  let node: SchemaNode | undefined = z.toJSONSchema(schema, { io: 'input' }) as SchemaNode;
  for (const name of path) {
    const other: SchemaNode | boolean | undefined = node?.additionalProperties;
    node = node?.properties?.[name] ?? (typeof other === 'object' ? other : undefined);
  }
  return node && path.length > 0 ? expectedOf(node) : 'sections and keys (a mapping)';
}

/** A reference as a Markdown table. @param isShown which of the keys */
export function configurationMarkdown(
  schema?: ConfigurationSchema,
  isShown: (key: KeyDescription) => boolean = () => true,
): string {
  const rows = configurationKeys(schema)
    .filter(isShown)
    .map(({ path, section, expected, default: value, description }) =>
      section
        ? `| **\`${path}\`** | | | ${description} |`
        : `| \`${path}\` | \`${inWords(value)}\` | ${expected} | ${description} |`,
    );
  return ['| key | default | may be | meaning |', '|---|---|---|---|', ...rows].join('\n');
}

/** A reference as a YAML file with every default and its meaning, which can be saved and edited. */
export function configurationYaml(schema?: ConfigurationSchema): string {
  const lines = configurationKeys(schema).flatMap(({ path, section, expected, default: value, description }) => {
    const parts = path.split('.');
    const indent = '  '.repeat(parts.length - 1);
    // The exact number here, not the shortened one: a saved file must mean the defaults.
    const written = Array.isArray(value) ? `[${value.join(', ')}]` : String(value);
    return section
      ? [`${indent}# ${description}`, `${indent}${parts.at(-1)}:`]
      : [`${indent}# ${description} (${expected})`, `${indent}${parts.at(-1)}: ${written}`];
  });
  return `${lines.join('\n')}\n`;
}
