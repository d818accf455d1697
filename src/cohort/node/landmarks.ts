/** Landmarks from 3D Slicer's markups files (`.mrk.json`): named points beside an image. */
import { readFile } from 'node:fs/promises';
import { z } from 'zod';
import { RunError } from '../../common/errors.ts';
import { parseJson, withoutByteOrderMark } from '../../common/json.ts';
import { endsBatch, machineError } from '../../platform/node/machine.ts';
import type { Landmark } from '../cohort.ts';

const point = z.object({
  label: z.string(),
  position: z.tuple([z.number(), z.number(), z.number()]),
  positionStatus: z.string().optional(),
});
const markups = z.object({
  markups: z.array(
    z.object({ coordinateSystem: z.string().optional(), coordinateUnits: z.string().optional(), controlPoints: z.array(point) }),
  ),
});

/** Reads the points of all markups in the file, in LPS millimetres. @throws RunError naming the file and what is wrong in it */
export async function readLandmarks(path: string): Promise<Landmark[]> {
  let json: unknown;
  try {
    json = parseJson(withoutByteOrderMark(await readFile(path, 'utf8')));
  } catch (error) {
    if (endsBatch(error)) throw machineError(path, error);
    throw new RunError(`${path}: not a landmark file (${(error as Error).message}); expected 3D Slicer markups JSON`);
  }
  const parsed = markups.safeParse(json);
  if (!parsed.success) {
    const [issue] = parsed.error.issues;
    throw new RunError(`${path}: ${issue.path.join('.')}: ${issue.message}; expected 3D Slicer markups JSON`);
  }
  return parsed.data.markups.flatMap(({ coordinateSystem = 'LPS', coordinateUnits = 'mm', controlPoints }) => {
    // Slicer wrote numbers for the frames in early versions: 0 RAS, 1 LPS
    const ras = coordinateSystem === 'RAS' || coordinateSystem === '0';
    if (!ras && coordinateSystem !== 'LPS' && coordinateSystem !== '1')
      throw new RunError(`${path}: coordinateSystem is ${coordinateSystem}, expected LPS or RAS`);
    if (coordinateUnits !== 'mm') throw new RunError(`${path}: coordinateUnits is ${coordinateUnits}, expected mm`);
    return controlPoints
      .filter((p) => p.positionStatus === undefined || p.positionStatus === 'defined')
      .map(({ label, position: [x, y, z] }) => ({
        name: label,
        positionMm: ras ? ([-x, -y, z] as const) : ([x, y, z] as const),
      }));
  });
}
