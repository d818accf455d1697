/** Files that are copies of one another count once. */
import { MachineError, RunError } from '../../common/errors.ts';
import type { DicomFile } from './frames.ts';
import { storedFrames } from './pixels.ts';
import type { RandomAccess } from './random-access.ts';

type Open = (path: string) => Promise<RandomAccess>;

const CHUNK = 4 * 2 ** 20;

async function haveSameBytes(a: RandomAccess, b: RandomAccess): Promise<boolean> {
  if (a.size !== b.size) return false;
  for (let at = 0; at < a.size; at += CHUNK) {
    const [x, y] = [await a.read(at, at + CHUNK), await b.read(at, at + CHUNK)];
    if (x.length !== y.length || x.some((byte, i) => byte !== y[i])) return false;
  }
  return true;
}

async function haveSamePixels(a: DicomFile, b: DicomFile, open: Open): Promise<boolean> {
  const [framesOfA, framesOfB] = [await storedFrames(a, await open(a.path)), await storedFrames(b, await open(b.path))];
  for (const { index } of a.frames) {
    const [x, y] = [await framesOfA(index), await framesOfB(index)];
    if (x.some((value, i) => value !== y[i])) return false;
  }
  return true;
}

/** True if two files with one SOP Instance UID say and hold the same, be it in other transfer syntaxes. */
async function areCopies(a: DicomFile, b: DicomFile, open: Open): Promise<boolean> {
  const facts = (file: DicomFile): string =>
    JSON.stringify([
      ...[file.rows, file.columns, file.seriesUid],
      ...file.frames.map((frame) => [frame.positionMm, frame.rowDirection, frame.columnDirection, frame.slope, frame.intercept]),
    ]);
  if (facts(a) !== facts(b)) return false;
  if (await haveSameBytes(await open(a.path), await open(b.path))) return true;
  try {
    return await haveSamePixels(a, b, open);
  } catch (error) {
    // what cannot be decoded is said when it is read
    if (error instanceof RunError && !(error instanceof MachineError)) return false;
    throw error;
  }
}

/**
 * Leaves one of every set of copies: the first in the order of `files`. Different files that share a SOP Instance UID all stay.
 * @returns the files, and for each that has copies their paths
 */
export async function withoutCopies(
  files: readonly DicomFile[],
  open: Open,
): Promise<{ files: DicomFile[]; copies: Map<DicomFile, string[]> }> {
  const byUid = new Map<string, DicomFile[]>();
  const kept: DicomFile[] = [];
  const copies = new Map<DicomFile, string[]>();
  for (const file of files) {
    const others = byUid.get(file.sopInstanceUid) ?? [];
    let original: DicomFile | undefined;
    if (file.sopInstanceUid !== '') {
      for (const other of others) if (!original && (await areCopies(other, file, open))) original = other;
    }
    if (original) copies.set(original, [...(copies.get(original) ?? []), file.path]);
    else {
      kept.push(file);
      byUid.set(file.sopInstanceUid, [...others, file]);
    }
  }
  return { files: kept, copies };
}
