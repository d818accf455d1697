/** Files on disk, read part by part: opened for each part, so that no more than one is open at a time. */
import { open, stat } from 'node:fs/promises';
import { withMachineTrouble } from '../../node/machine.ts';
import type { RandomAccess } from '../dicom/random-access.ts';
import { openingError } from './file-bytes.ts';

/** @throws WorkError without the file's name, or MachineError */
export async function randomAccess(path: string): Promise<RandomAccess> {
  const { size } = await stat(path).catch((error) => {
    throw openingError(path, error);
  });
  return {
    path,
    size,
    read: async (start, end) => {
      const bytes = new Uint8Array(Math.max(0, Math.min(end, size) - start));
      const file = await open(path).catch((error) => {
        throw openingError(path, error);
      });
      try {
        let done = 0;
        while (done < bytes.length) {
          const { bytesRead } = await withMachineTrouble(path, () => file.read(bytes, done, bytes.length - done, start + done));
          if (bytesRead === 0) break;
          done += bytesRead;
        }
        return bytes.subarray(0, done);
      } finally {
        await file.close();
      }
    },
  };
}
