/** Files by their paths, wherever they lie: on disk (`node/disk.ts`), chosen in a page (`blob-files.ts`). Readers of images know them through this alone. */
import type { ByteSource } from './bytes.ts';
import type { RandomAccess } from './dicom/random-access.ts';

/** Enough to recognise a file, and for most headers. */
export const HEAD_BYTES = 2 ** 13;

/** Whatever goes wrong is a RunError without the file's name, trouble of the machine a MachineError. */
export interface FileStore {
  /** A file as it is. */
  source(path: string): Promise<ByteSource>;
  /** A file, decompressed if it begins as gzip does. @param warnings gets what is odd about its compressed stream */
  unzipped(path: string, warnings: Set<string>): Promise<ByteSource & { readonly gzipped: boolean }>;
  /**
   * What decompressing gives of gzip or zlib.
   * @param stored length of the compressed stream as a header states it; null if none does
   */
  inflated(source: ByteSource, warnings: Set<string>, stored: number | null): ByteSource;
  /** A file's parts. */
  access(path: string): Promise<RandomAccess>;
  /**
   * The first that is there of the files that go with `path`.
   * @param namesFor their names, given that of the file: absolute, or as seen from its folder
   * @param missing what to say otherwise; is told the places that were tried
   */
  beside(
    path: string,
    namesFor: (name: string) => readonly string[],
    missing: (tried: readonly string[]) => string,
  ): Promise<string>;
  /** The folder that a file or folder lies in; of the topmost itself. */
  folderOf(path: string): string;
  /** Whether a folder is another one or lies in it. */
  isWithin(folder: string, other: string): boolean;
}
