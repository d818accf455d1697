/** A file that stays open and is read in pieces, wherever they lie: weights. Files of images: images/node/file-bytes.ts. */
import { type FileHandle, open, stat } from 'node:fs/promises';
import { RunError } from '../../common/errors.ts';
import { formatBytes } from '../../common/format-bytes.ts';
import { fillFrom } from './files.ts';
import { isMachineTrouble, machineError, withMachineTrouble } from './machine.ts';

/** An open file; `close` it. */
export interface RandomAccessFile {
  readonly path: string;
  readonly sizeBytes: number;
  /** Exactly these bytes, which must lie inside the file. @throws RunError if the file was changed meanwhile */
  read(offset: number, sizeBytes: number): Promise<Uint8Array>;
  close(): Promise<void>;
}

async function readAt(file: FileHandle, path: string, offset: number, sizeBytes: number): Promise<Uint8Array> {
  let out: Uint8Array;
  try {
    out = new Uint8Array(sizeBytes);
  } catch {
    throw new RunError(`${path}: reading ${formatBytes(sizeBytes)} at once needs more memory than available`);
  }
  const done = await fillFrom(file, out, offset);
  if (done < sizeBytes) throw new RunError(`${path}: ended at byte ${offset + done} while being read; was it replaced?`);
  return out;
}

/**
 * @throws RunError naming the path, and `expected` ('a safetensors file'), if there is no such file or it is none; MachineError for
 *   trouble of the machine
 */
export async function openRandomAccess(path: string, expected: string): Promise<RandomAccessFile> {
  const trouble = (error: NodeJS.ErrnoException): never => {
    if (error.code === 'ENOENT' || error.code === 'ENOTDIR') throw new RunError(`${path}: no such file; expected ${expected}`);
    throw isMachineTrouble(error) ? machineError(path, error) : new RunError(`${path}: ${error.message}`);
  };
  // opening a pipe would wait for somebody to write into it
  const before = await stat(path).catch(trouble);
  if (!before.isFile()) throw new RunError(`${path}: not a file; expected ${expected}`);
  const file = await open(path, 'r').catch(trouble);
  try {
    const status = await file.stat();
    return {
      path,
      sizeBytes: status.size,
      read: (offset, sizeBytes) =>
        withMachineTrouble(path, async () => {
          const bytes = await readAt(file, path, offset, sizeBytes);
          const { size, mtimeMs } = await file.stat();
          if (size !== status.size || mtimeMs !== status.mtimeMs)
            throw new RunError(`${path}: changed while being read; wait until it is fully written`);
          return bytes;
        }),
      close: () => file.close(),
    };
  } catch (error) {
    await file.close();
    throw error;
  }
}
