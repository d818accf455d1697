/** A file that is read in pieces, wherever they lie. */
import { type FileHandle, open } from 'node:fs/promises';
import { WorkError } from '../errors/errors.ts';

/** An open file; `close` it. */
export interface RandomAccessFile {
  readonly path: string;
  readonly sizeBytes: number;
  /** Exactly these bytes, which must lie inside the file. @throws WorkError if the file became shorter */
  read(offset: number, sizeBytes: number): Promise<Uint8Array>;
  close(): Promise<void>;
}

/** Linux and macOS hand over less than 2 GiB a call, whatever is asked. */
const MAX_READ_BYTES = 2 ** 30;

async function readAt(file: FileHandle, path: string, offset: number, sizeBytes: number): Promise<Uint8Array> {
  const out = new Uint8Array(sizeBytes);
  for (let done = 0; done < sizeBytes; ) {
    const { bytesRead } = await file.read(out, done, Math.min(sizeBytes - done, MAX_READ_BYTES), offset + done);
    if (bytesRead === 0) throw new WorkError(`${path}: ended at byte ${offset + done} while it was read; was it replaced?`);
    done += bytesRead;
  }
  return out;
}

/** @throws WorkError naming the path, and `expected` ('a safetensors file'), if there is no such file or it is none */
export async function openRandomAccess(path: string, expected: string): Promise<RandomAccessFile> {
  const file = await open(path, 'r').catch((error: NodeJS.ErrnoException) => {
    throw new WorkError(error.code === 'ENOENT' ? `${path}: no such file; expected ${expected}` : `${path}: ${error.message}`);
  });
  try {
    const status = await file.stat();
    if (!status.isFile()) throw new WorkError(`${path}: not a file; expected ${expected}`);
    return {
      path,
      sizeBytes: status.size,
      read: (offset, sizeBytes) => readAt(file, path, offset, sizeBytes),
      close: () => file.close(),
    };
  } catch (error) {
    await file.close();
    throw error;
  }
}
