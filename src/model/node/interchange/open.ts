/** Opens a file of weights whatever its format: torch.save, safetensors, or the index of either in several files. */
import { stat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { RunError } from '../../../common/errors.ts';
import { formatNames } from '../../../common/format-names.ts';
import { quoteJson } from '../../../common/json.ts';
import { isFile } from '../../../platform/node/files.ts';
import { openRandomAccess } from '../../../platform/node/random-access.ts';
import { readDocument } from '../documents.ts';
import { resolveModel } from '../model-folder.ts';
import { openSafetensors } from '../safetensors.ts';
import { openPyTorch } from './pytorch.ts';
import type { StoredTensor, StoredWeights } from './stored.ts';

/** What Hugging Face's libraries look for in a folder, in their order. */
export const FOLDER_FILES = [
  'model.safetensors',
  'model.safetensors.index.json',
  'diffusion_pytorch_model.safetensors',
  'diffusion_pytorch_model.safetensors.index.json',
  'pytorch_model.bin',
  'pytorch_model.bin.index.json',
] as const;
/** An index of a hundred thousand tensors. */
const MAX_INDEX_BYTES = 20_000_000;

/** The file of weights that a path means: itself, a folder's, or a run's best state. */
export async function findWeights(path: string): Promise<string> {
  if (!(await stat(path).catch(() => undefined))?.isDirectory()) return path;
  for (const name of FOLDER_FILES) if (await isFile(join(path, name))) return join(path, name);
  return join(await resolveModel(path), FOLDER_FILES[0]);
}

async function openOne(path: string): Promise<StoredWeights> {
  const opened = await openSafetensors(path);
  const tensors = new Map<string, StoredTensor>(
    [...opened.tensors].map(([name, { dtype, shape }]) => [name, { dtype, shape, read: () => opened.read(name) }]),
  );
  return { format: 'safetensors', tensors, refused: new Map(), opaque: new Map(), warnings: [], close: opened.close };
}

/** Which file of an index holds which tensor: {"weight_map": {"tensor": "model-00001-of-00002.safetensors"}}. */
async function readIndex(path: string): Promise<Map<string, string>> {
  const refuse = (reason: string): never => {
    throw new RunError(`${path}: not an index of sharded weights: ${reason}`);
  };
  const parsed = await readDocument(path, MAX_INDEX_BYTES);
  const map = typeof parsed === 'object' && parsed !== null && 'weight_map' in parsed ? parsed.weight_map : undefined;
  if (typeof map !== 'object' || map === null || Array.isArray(map)) return refuse('it has no weight_map');
  const entries = Object.entries(map);
  for (const [name, shard] of entries)
    if (typeof shard !== 'string' || shard === '' || shard === '.' || shard === '..' || /[\\/\0]/.test(shard))
      refuse(`${name} is in ${quoteJson(shard)}; expected a file name in the same folder`);
  const index = entries.find(([, shard]) => (shard as string).endsWith('.index.json'));
  if (index) refuse(`${index[0]} is in ${quoteJson(index[1])}, another index`);
  return new Map(entries as [string, string][]);
}

/** All tensors of the files that an index names, each from the file that it names for it. */
async function openShards(path: string, isWanted: (name: string) => boolean): Promise<StoredWeights> {
  const index = await readIndex(path);
  const shards = [...new Set(index.values())].sort();
  const missing: string[] = [];
  for (const shard of shards) if (!(await isFile(join(dirname(path), shard)))) missing.push(shard);
  if (missing.length > 0)
    throw new RunError(
      `${path}: ${missing.length} of its ${shards.length} shards are missing: ${formatNames(missing, 5)}; put them into the same folder`,
    );
  const opened: StoredWeights[] = [];
  const close = async (): Promise<void> => void (await Promise.all(opened.map((each) => each.close())));
  try {
    const tensors = new Map<string, StoredTensor>();
    const holders = new Map<string, string>();
    const opaque = new Map<string, number>();
    const warnings: string[] = [];
    for (const shard of shards) {
      const file = join(dirname(path), shard);
      const weights = await openWeights(file, isWanted);
      opened.push(weights);
      for (const [name, tensor] of weights.tensors) {
        const first = holders.get(name);
        if (first !== undefined) throw new RunError(`${path}: ${name} occurs in two of its shards: ${first} and ${shard}`);
        holders.set(name, shard);
        const expected = index.get(name);
        if (expected !== undefined && expected !== shard)
          throw new RunError(
            `${path}: ${name} should be in ${expected}, but is in ${shard}; are these shards of different models?`,
          );
        tensors.set(name, tensor);
      }
      for (const [name, count] of weights.opaque) opaque.set(name, (opaque.get(name) ?? 0) + count);
      warnings.push(...weights.warnings);
    }
    for (const [name, shard] of index)
      if (!tensors.has(name))
        throw new RunError(
          `${path}: ${name} should be in ${shard}, which does not hold it; are these shards of different models?`,
        );
    const unlisted = [...tensors.keys()].filter((name) => !index.has(name));
    if (unlisted.length > 0)
      warnings.push(`${basename(path)} does not list ${unlisted.length} tensors of its shards: ${formatNames(unlisted, 5)}`);
    const refused = new Map(opened.flatMap((each) => [...each.refused]));
    return { format: `${opened[0]?.format ?? 'no format'}, ${shards.length} shards`, tensors, refused, opaque, warnings, close };
  } catch (error) {
    await close();
    throw error;
  }
}

/**
 * Opens what is at `path`; `close` it.
 * @param isWanted of a tensor's name: tells which of several state dicts of one file is meant
 * @throws RunError naming file and reason
 */
export async function openWeights(path: string, isWanted: (name: string) => boolean): Promise<StoredWeights> {
  if (path.endsWith('.index.json')) return openShards(path, isWanted);
  const file = await openRandomAccess(path, 'a weights file (.pth or .safetensors)');
  const start = await file.read(0, Math.min(file.sizeBytes, 32)).finally(() => file.close());
  if (new TextDecoder().decode(start).startsWith('version https://git-lfs'))
    throw new RunError(`${path}: a Git LFS pointer; fetch the file with 'git lfs pull'`);
  // A safetensors file starts with the length of its JSON header, whatever its name is.
  return start[8] === 0x7b || path.endsWith('.safetensors') ? openOne(path) : openPyTorch(path, isWanted);
}
