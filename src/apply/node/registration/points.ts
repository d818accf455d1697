/**
 * Points in files: 3D Slicer's markups (`.mrk.json`, `.fcsv`) and tables with columns x, y, z (`.csv`, mm, LPS, as ANTs has them). Everything else in a
 * file stays as it is, its frame (RAS or LPS) too.
 */
import { readFile } from 'node:fs/promises';
import { RunError } from '../../../common/errors.ts';
import { parseJson, withoutByteOrderMark } from '../../../common/json.ts';
import type { Xyz } from '../../../geometry/volume.ts';
import { namingFile } from '../../../platform/node/machine.ts';

export interface PointFile {
  /** LPS, mm. */
  readonly points: readonly Xyz[];
  /** The file's text with other points in their places. */
  readonly withPoints: (points: readonly Xyz[]) => string;
}

const flipped = ([x, y, z]: Xyz): Xyz => [0 - x, 0 - y, z];

/** A frame by its name, or by Slicer's early number. */
function isRas(name: string): boolean {
  if (/^(RAS|0)$/i.test(name)) return true;
  if (/^(LPS|1)$/i.test(name)) return false;
  throw new RunError(`its frame is '${name}', expected LPS or RAS`);
}

/** Commas that stand in no quotes. Fields are not parsed, so that those which are no coordinates are written as they were. */
const BETWEEN_FIELDS = /,(?=(?:[^"]*"[^"]*")*[^"]*$)/;

/** Lines of a table whose columns x, y, z stand at these places. */
function tableOf(
  lines: readonly string[],
  end: string,
  [x, y, z]: readonly number[],
  isPoint: (line: string, k: number) => boolean,
  ras: boolean,
): PointFile {
  const rows = lines.flatMap((line, k) => (isPoint(line, k) ? [{ k, fields: line.split(BETWEEN_FIELDS) }] : []));
  const points = rows.map(({ k, fields }): Xyz => {
    const position: Xyz = [Number(fields[x]), Number(fields[y]), Number(fields[z])];
    if ([x, y, z].some((at) => (fields[at] ?? '').trim() === '') || !position.every(Number.isFinite))
      throw new RunError(`line ${k + 1} has no three coordinates: '${lines[k]}'`);
    return ras ? flipped(position) : position;
  });
  return {
    points,
    withPoints: (moved) => {
      const out = [...lines];
      rows.forEach(({ k, fields }, i) => {
        const position = ras ? flipped(moved[i]) : moved[i];
        const next = [...fields];
        [x, y, z].forEach((at, axis) => {
          next[at] = String(position[axis]);
        });
        out[k] = next.join(',');
      });
      return out.join(end);
    },
  };
}

/** A table with a line of names. */
function parseCsv(text: string): PointFile {
  const end = text.includes('\r\n') ? '\r\n' : '\n';
  const lines = text.split(end);
  const names = lines[0].split(BETWEEN_FIELDS).map((name) => name.trim().replace(/^"|"$/g, '').toLowerCase());
  const places = ['x', 'y', 'z'].map((name) => names.indexOf(name));
  if (places.includes(-1))
    throw new RunError(`its first line is '${lines[0].slice(0, 60)}', expected names of columns with x, y and z`);
  return tableOf(lines, end, places, (line, k) => k > 0 && line.trim() !== '', false);
}

/** Slicer's fiducials. In files without a frame it is RAS (Slicer before 4.11). */
function parseFcsv(text: string): PointFile {
  const end = text.includes('\r\n') ? '\r\n' : '\n';
  const lines = text.split(end);
  const said = (name: string): string | undefined => new RegExp(`^#\\s*${name}\\s*=\\s*(.*?)\\s*$`, 'm').exec(text)?.[1];
  const columns = (said('columns') ?? 'id,x,y,z').split(',').map((name) => name.trim());
  const places = ['x', 'y', 'z'].map((name) => columns.indexOf(name));
  if (places.includes(-1)) throw new RunError('its line of columns has no x, y, z');
  return tableOf(
    lines,
    end,
    places,
    (line) => line.trim() !== '' && !line.startsWith('#'),
    isRas(said('CoordinateSystem') ?? 'RAS'),
  );
}

interface Markups {
  markups: { coordinateSystem?: string; coordinateUnits?: string; controlPoints?: { position?: unknown }[] }[];
}

function parseMarkups(text: string): PointFile {
  const document = parseJson(text) as Markups;
  if (!Array.isArray(document?.markups)) throw new RunError("it has no list 'markups': expected 3D Slicer markups JSON");
  const all = document.markups.flatMap(({ coordinateSystem = 'LPS', coordinateUnits = 'mm', controlPoints = [] }) => {
    if (coordinateUnits !== 'mm') throw new RunError(`its coordinateUnits are ${coordinateUnits}, expected mm`);
    const ras = isRas(coordinateSystem);
    return controlPoints.map((point) => ({ point, ras }));
  });
  const points = all.map(({ point: { position }, ras }, k): Xyz => {
    if (!Array.isArray(position) || position.length !== 3 || !position.every((value) => typeof value === 'number'))
      throw new RunError(`control point ${k + 1} has no position of three numbers`);
    const [x, y, z] = position as number[];
    return ras ? flipped([x, y, z]) : [x, y, z];
  });
  return {
    points,
    withPoints: (moved) => {
      all.forEach(({ point, ras }, i) => {
        point.position = ras ? flipped(moved[i]) : moved[i];
      });
      return `${JSON.stringify(document, null, 2)}\n`;
    },
  };
}

/** Endings of files of points, longest first. */
export const POINT_ENDINGS = ['.mrk.json', '.fcsv', '.csv'] as const;

/** Reads a file of points. @throws RunError naming the file and what is wrong with it */
export async function readPoints(path: string): Promise<PointFile> {
  const parsers = { '.mrk.json': parseMarkups, '.fcsv': parseFcsv, '.csv': parseCsv } as const;
  const ending = POINT_ENDINGS.find((one) => path.toLowerCase().endsWith(one));
  if (!ending) throw new RunError(`${path}: not a file of points by its name; expected ${POINT_ENDINGS.join(', ')}`);
  const text = withoutByteOrderMark(await namingFile(path, () => readFile(path, 'utf8')));
  try {
    const file = parsers[ending](text);
    if (file.points.length === 0) throw new RunError('it holds no point');
    return file;
  } catch (error) {
    throw new RunError(`${path}: cannot be read as points: ${(error as Error).message}`);
  }
}
