/** Whole files in memory, decompressed if need be, with damage named: ITK fills what a truncated file lacks with zeros and says nothing. */
import { readFile } from 'node:fs/promises';
import { promisify } from 'node:util';
import { gunzip } from 'node:zlib';
import { WorkError } from '../../errors/errors.ts';
import { MAX_IMAGE_BYTES } from '../nifti.ts';

const unzip = promisify(gunzip);

export const isGzip = (bytes: Uint8Array): boolean => bytes[0] === 0x1f && bytes[1] === 0x8b;

/** Node's zlib errors in words. */
export function describeZlib(error: NodeJS.ErrnoException): string {
  if (error.code === 'Z_BUF_ERROR') return 'its compressed stream is truncated';
  if (error.code === 'ERR_BUFFER_TOO_LARGE') return `it holds more than ${MAX_IMAGE_BYTES / 2 ** 30} GiB when decompressed`;
  if (/incorrect data check/.test(error.message)) return 'its gzip checksum does not match: voxels are damaged';
  if (/incorrect length check/.test(error.message)) return 'its gzip length does not match: voxels are damaged';
  return `its compressed stream is damaged (${error.message})`;
}

/** The bytes of `path`, decompressed if they are gzip. @throws WorkError for an empty, truncated or damaged file */
export async function readBytes(path: string): Promise<Uint8Array<ArrayBuffer>> {
  let bytes: Uint8Array<ArrayBuffer>;
  try {
    bytes = await readFile(path);
  } catch (error) {
    throw new WorkError(`cannot be opened (${(error as NodeJS.ErrnoException).code ?? (error as Error).message})`);
  }
  if (bytes.length === 0) throw new WorkError('it is empty (0 bytes)');
  if (!isGzip(bytes)) return bytes;
  try {
    return await unzip(bytes, { maxOutputLength: MAX_IMAGE_BYTES });
  } catch (error) {
    throw new WorkError(describeZlib(error as NodeJS.ErrnoException));
  }
}
