/** Files in memory or chosen in a page, by paths with slashes: read part by part with what every browser has. */
import { RunError } from '../common/errors.ts';
import { type ByteSource, headOf, skipping } from './bytes.ts';
import { type FileStore, HEAD_BYTES } from './file-store.ts';

export const isGzip = (bytes: Uint8Array): boolean => bytes[0] === 0x1f && bytes[1] === 0x8b;

/** A browser no longer gives a file that was moved or changed since it was chosen. */
const unreadable = (): RunError => new RunError('it can no longer be read: moved or changed meanwhile? Choose it again');

async function* piecesOf<Piece>(stream: ReadableStream<Piece>, failed: () => RunError): AsyncGenerator<Piece> {
  const reader = stream.getReader();
  const next = (): Promise<{ done: boolean; value?: Piece | undefined }> =>
    reader.read().catch(() => {
      throw failed();
    });
  try {
    for (let part = await next(); !part.done; part = await next()) yield part.value!;
  } finally {
    await reader.cancel().catch(() => {});
  }
}

/** Decompresses gzip or zlib with what the platform has; it says no more of a damaged stream than that it is damaged. */
async function* inflated(source: ByteSource): AsyncGenerator<Uint8Array> {
  const head = await headOf(source, 2);
  const pieces = source.pieces(0)[Symbol.asyncIterator]();
  let trouble: RunError | undefined;
  const compressed = new ReadableStream<Uint8Array<ArrayBuffer>>({
    async pull(controller) {
      try {
        const { done, value } = await pieces.next();
        // the stream may keep a piece for longer than its source does
        if (done) controller.close();
        else controller.enqueue(value.slice());
      } catch (error) {
        if (error instanceof RunError) trouble = error;
        throw error;
      }
    },
    async cancel() {
      await pieces.return?.();
    },
  });
  const stream = compressed.pipeThrough(new DecompressionStream(isGzip(head) ? 'gzip' : 'deflate'));
  const damaged = () =>
    trouble ?? new RunError('its compressed stream is damaged, truncated or followed by other bytes; copy or download it again');
  yield* piecesOf(stream, damaged);
}

/** What decompressing gives. */
export const inflatedSource = (source: ByteSource): ByteSource => ({
  sizeBytes: null,
  storedBytes: source.storedBytes,
  pieces: (start) => skipping(inflated(source), start),
});

const folderOf = (path: string): string => path.slice(0, Math.max(0, path.lastIndexOf('/')));

/** An absolute path, or one seen from a folder, without `.` and `..`. */
function joined(folder: string, name: string): string {
  const parts: string[] = [];
  for (const part of (name.startsWith('/') ? name : `${folder}/${name}`).split('/'))
    if (part === '..') parts.pop();
    else if (part !== '' && part !== '.') parts.push(part);
  return parts.join('/');
}

/** @param files by their paths: 'scan.nii.gz', 'patient/series/1.dcm' */
export function blobFiles(files: ReadonlyMap<string, Blob>): FileStore {
  const blobAt = (path: string): Blob => {
    const blob = files.get(path);
    if (!blob) throw new RunError('no such file among those that were chosen');
    return blob;
  };
  const bytesOf = async (blob: Blob): Promise<Uint8Array<ArrayBuffer>> =>
    new Uint8Array(
      await blob.arrayBuffer().catch(() => {
        throw unreadable();
      }),
    );
  const source = async (path: string): Promise<ByteSource> => {
    const blob = blobAt(path);
    return {
      sizeBytes: blob.size,
      storedBytes: blob.size,
      pieces: (start) => piecesOf<Uint8Array>(blob.slice(start).stream(), unreadable),
    };
  };
  return {
    source,
    unzipped: async (path) => {
      const stored = await source(path);
      if (stored.storedBytes === 0) throw new RunError('it is empty (0 bytes)');
      const head = await bytesOf(blobAt(path).slice(0, HEAD_BYTES));
      const gzipped = isGzip(head);
      return gzipped ? { ...inflatedSource(stored), gzipped } : { ...stored, head, gzipped };
    },
    inflated: inflatedSource,
    access: async (path) => {
      const blob = blobAt(path);
      return { path, size: blob.size, read: (start, end) => bytesOf(blob.slice(start, Math.max(start, end))) };
    },
    beside: async (path, namesFor, missing) => {
      const tried = namesFor(path.slice(path.lastIndexOf('/') + 1)).map((name) => joined(folderOf(path), name));
      const found = tried.find((candidate) => files.has(candidate));
      if (found === undefined) throw new RunError(`${missing(tried)}; choose it together with this file`);
      return found;
    },
    folderOf,
    isWithin: (folder, other) => other === '' || folder === other || folder.startsWith(`${other}/`),
  };
}
