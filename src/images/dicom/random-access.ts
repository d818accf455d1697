/**
 * Where a DICOM file's bytes come from: a file on disk, a browser's Blob, memory. Parts are read on demand, so that a scan is never held
 * twice. The other formats are read in order: ByteSource (bytes.ts).
 */
export interface RandomAccess {
  /** Names the file in messages. */
  readonly path: string;
  readonly size: number;
  /** The bytes from `start` to `end` (exclusive), fewer where the file ends before. */
  read(start: number, end: number): Promise<Uint8Array>;
}

/** Bytes that are in memory. */
export const inMemory = (path: string, bytes: Uint8Array): RandomAccess => ({
  path,
  size: bytes.length,
  read: async (start, end) => bytes.subarray(start, Math.max(start, end)),
});
