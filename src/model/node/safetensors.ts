/**
 * Safetensors files: the header is read and checked at once, a tensor's bytes only when it is asked for, so that a file of
 * gigabytes costs what is taken from it. Format and limits: src/formats/safetensors.ts.
 */
import { RunError } from '../../common/errors.ts';
import { toHalves } from '../../common/float16.ts';
import { writeFileAtomic } from '../../platform/node/files.ts';
import { openRandomAccess } from '../../platform/node/random-access.ts';
import {
  decodeTensor,
  encodeHeader,
  isReadable,
  LENGTH_BYTES,
  type NamedTensor,
  parseHeader,
  readHeaderLength,
  type SafetensorsDtype,
} from '../safetensors.ts';

/** An open file; `close` it. */
export interface SafetensorsFile {
  readonly metadata: Readonly<Record<string, string>>;
  /** What is in it, in the order of their bytes. */
  readonly tensors: ReadonlyMap<string, { readonly dtype: SafetensorsDtype; readonly shape: readonly number[] }>;
  /**
   * One tensor as 32-bit floats (`decodeTensor` says which types are exact).
   * @throws RunError if there is none of that name, or the file became shorter.
   */
  read(name: string): Promise<Float32Array>;
  close(): Promise<void>;
}

/** @throws RunError naming the file and the reason if it is missing, no safetensors file, or damaged. */
export async function openSafetensors(path: string): Promise<SafetensorsFile> {
  const file = await openRandomAccess(path, 'a safetensors file');
  try {
    const start = await file.read(0, Math.min(file.sizeBytes, LENGTH_BYTES));
    const headerBytes = readHeaderLength(start, file.sizeBytes, path);
    const { metadata, tensors } = parseHeader(await file.read(LENGTH_BYTES, headerBytes), file.sizeBytes, path);
    return {
      metadata,
      tensors,
      read: async (name) => {
        const entry = tensors.get(name);
        if (!entry) {
          const some = [...tensors.keys()].slice(0, 5).join(', ');
          throw new RunError(
            `${path}: has no tensor "${name}" (it has ${tensors.size}: ${some}${tensors.size > 5 ? ', ...' : ''})`,
          );
        }
        if (!isReadable(entry.dtype)) throw new RunError(`${path}: ${name} has type ${entry.dtype}, which is not supported`);
        return decodeTensor(entry.dtype, await file.read(entry.offset, entry.sizeBytes));
      },
      close: () => file.close(),
    };
  } catch (error) {
    await file.close();
    throw error;
  }
}

/** Every tensor of a file, in the order of their bytes. */
export async function readSafetensors(
  path: string,
): Promise<{ metadata: Readonly<Record<string, string>>; tensors: Map<string, NamedTensor> }> {
  const file = await openSafetensors(path);
  try {
    const tensors = new Map<string, NamedTensor>();
    for (const [name, { shape }] of file.tensors) tensors.set(name, { name, shape, data: await file.read(name) });
    return { metadata: file.metadata, tensors };
  } finally {
    await file.close();
  }
}

/**
 * Writes the tensors in the given order, atomically; equal arguments give equal bytes. As F32 the data are not copied; as F16 each is rounded to the
 * nearest half.
 */
export async function writeSafetensors(
  path: string,
  tensors: Iterable<NamedTensor>,
  metadata: Readonly<Record<string, string>> = {},
  dtype: 'F32' | 'F16' = 'F32',
): Promise<void> {
  const list = [...tensors];
  const bytes = list.map(({ data }) => {
    const stored = dtype === 'F16' ? toHalves(data) : data;
    return new Uint8Array(stored.buffer, stored.byteOffset, stored.byteLength);
  });
  await writeFileAtomic(path, encodeHeader(list, metadata, dtype), ...bytes);
}
