/**
 * What the headers of DICOM files say about series, slices and positions; pixels are not decoded here.
 *
 * Parsed with dicom-parser, which needs neither a dictionary nor the transfer syntax's codec.
 */
import { open, readFile } from 'node:fs/promises';
import dicomParser from 'dicom-parser';
import { WorkError } from '../../errors/errors.ts';
import type { Xyz } from '../../geometry/volume.ts';

export interface DicomFile {
  readonly path: string;
  readonly seriesUid: string;
  readonly description: string;
  readonly modality: string;
  readonly rows: number;
  readonly columns: number;
  readonly frames: number;
  readonly samplesPerPixel: number;
  /** Centre of the first voxel, LPS; null if not stated. */
  readonly positionMm: Xyz | null;
  /** Directions of a row (towards higher column index) and of a column. */
  readonly rowDirection: Xyz;
  readonly columnDirection: Xyz;
  readonly hasOrientation: boolean;
  /** Between columns (x) and between rows (y); null if not stated. */
  readonly spacingMm: readonly [number, number] | null;
  readonly sliceSpacingMm: number | null;
}

/** True if the file begins as DICOM files do (128 bytes, then 'DICM'). */
export async function isDicomFile(path: string): Promise<boolean> {
  const handle = await open(path, 'r');
  try {
    const { buffer, bytesRead } = await handle.read(Buffer.alloc(132), 0, 132, 0);
    return bytesRead === 132 && buffer.toString('latin1', 128) === 'DICM';
  } finally {
    await handle.close();
  }
}

const UNKNOWN_LENGTH = 0xffffffff;

/** Reads one file's header and checks that its pixels are whole. Null for a DICOM file without an image. @throws WorkError without the file's name */
export async function readDicomHeader(path: string): Promise<DicomFile | null> {
  const bytes = await readFile(path).catch((error: NodeJS.ErrnoException) => {
    throw new WorkError(`cannot be opened (${error.code ?? error.message})`);
  });
  if (bytes.length === 0) throw new WorkError('it is empty (0 bytes)');
  let data: dicomParser.DataSet;
  try {
    data = dicomParser.parseDicom(bytes, { untilTag: 'x7fe00010' });
  } catch (error) {
    const reason =
      error instanceof Error ? error.message : typeof error === 'string' ? error : (error as { exception?: string }).exception;
    throw new WorkError(`not DICOM, or damaged (${reason ?? 'its header cannot be parsed'})`);
  }
  const numbers = (tag: string): number[] | null => {
    const text = data.string(tag);
    const values = text?.split('\\').map(Number);
    return values?.length && values.every(Number.isFinite) && text?.trim() ? values : null;
  };
  const rows = data.uint16('x00280010') ?? 0;
  const columns = data.uint16('x00280011') ?? 0;
  if (rows === 0 || columns === 0) return null;
  const pixels = data.elements.x7fe00010;
  if (!pixels) throw new WorkError('it has no pixel data: truncated?');
  const frames = numbers('x00280008')?.[0] ?? 1;
  const samplesPerPixel = data.uint16('x00280002') ?? 1;
  if (pixels.length !== UNKNOWN_LENGTH && !pixels.hadUndefinedLength) {
    const there = bytes.length - pixels.dataOffset;
    const expected = rows * columns * frames * samplesPerPixel * Math.ceil((data.uint16('x00280100') ?? 16) / 8);
    const needed = Math.max(pixels.length, expected);
    if (there < needed) throw new WorkError(`its header announces ${needed} bytes of pixels, but ${there} are there: truncated`);
  }
  const position = numbers('x00200032');
  const orientation = numbers('x00200037');
  const spacing = numbers('x00280030');
  const [r, c] =
    orientation?.length === 6
      ? [orientation.slice(0, 3), orientation.slice(3)]
      : [
          [1, 0, 0],
          [0, 1, 0],
        ];
  return {
    path,
    seriesUid: data.string('x0020000e')?.trim() ?? '',
    description: data.string('x0008103e')?.trim() ?? '',
    modality: data.string('x00080060')?.trim() ?? '',
    rows,
    columns,
    frames,
    samplesPerPixel,
    positionMm: position?.length === 3 ? (position as unknown as Xyz) : null,
    rowDirection: r as unknown as Xyz,
    columnDirection: c as unknown as Xyz,
    hasOrientation: orientation?.length === 6,
    spacingMm: spacing?.length === 2 ? [spacing[1], spacing[0]] : null,
    sliceSpacingMm: numbers('x00180088')?.[0] ?? numbers('x00180050')?.[0] ?? null,
  };
}

/** Files that form one stack: same series, same picture size, same orientation. Largest stack first. */
export function groupSeries(files: readonly DicomFile[]): readonly (readonly DicomFile[])[] {
  const groups = new Map<string, DicomFile[]>();
  for (const file of files) {
    const angles = [...file.rowDirection, ...file.columnDirection].map((v) => (Math.round(v * 1000) + 0).toString());
    const key = [file.seriesUid, file.rows, file.columns, ...angles].join('|');
    const group = groups.get(key);
    if (group) group.push(file);
    else groups.set(key, [file]);
  }
  return [...groups.values()].sort((a, b) => b.length - a.length || (a[0].path < b[0].path ? -1 : 1));
}
