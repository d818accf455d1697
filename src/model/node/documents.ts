/** JSON files that say what a model or a run is. */
import { readFile, stat } from 'node:fs/promises';
import type { z } from 'zod';
import { RunError } from '../../common/errors.ts';
import { parseJson } from '../../common/json.ts';
import { version } from '../../common/version.ts';
import { isMachineTrouble, machineError } from '../../platform/node/machine.ts';

/** A configuration is a page of text; the record of a run lists its subjects. */
const MAX_CONFIG_BYTES = 1_000_000;

/** The content of a JSON file. @throws RunError naming the file */
export async function readDocument(path: string, maxBytes = MAX_CONFIG_BYTES): Promise<unknown> {
  try {
    if ((await stat(path)).size > maxBytes) throw new Error(`more than ${maxBytes} bytes`);
    return parseJson(await readFile(path, 'utf8'));
  } catch (error) {
    if (isMachineTrouble(error)) throw machineError(path, error);
    throw new RunError(`${path}: cannot be read as JSON: ${(error as Error).message}`);
  }
}

/**
 * Reads and checks a JSON file by a schema.
 * @throws RunError naming the file, and the first key that is wrong
 */
export async function readJson<Schema extends z.ZodType>(
  path: string,
  schema: Schema,
  maxBytes?: number,
): Promise<z.output<Schema>> {
  const parsed = await readDocument(path, maxBytes);
  const result = schema.safeParse(parsed);
  if (result.success) return result.data;
  const issue = result.error.issues[0];
  const { formatVersion } = parsed as { formatVersion?: unknown };
  if (issue.path[0] === 'formatVersion' && typeof formatVersion === 'number')
    throw new RunError(
      `${path}: formatVersion ${formatVersion}: made by a different, probably newer version of gvsl than this one (${version}): update gvsl`,
    );
  throw new RunError(
    `${path}: ${issue.path.join('.') || 'the document'}: ${issue.message}; was it edited, or made by a newer version?`,
  );
}

/** JSON as people read it; equal values give equal bytes. */
export const jsonText = (value: unknown): string => `${JSON.stringify(value, null, 2)}\n`;
