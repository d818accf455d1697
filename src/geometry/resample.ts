/**
 * Reading a volume on another grid.
 *
 * Images: trilinear, smoothed before down-sampling. Labels: the nearest voxel, so codes stay what they are. Grids whose axes are
 * parallel are resampled axis by axis (quick), any others voxel by voxel. Positions more than half a voxel outside get the background.
 */
import { type Affine, applyMatrix3, composeAffine, nearestOrthogonal, physicalToVoxel, voxelToPhysical } from './affine.ts';
import { type AxisOperator, interpolationOperator, resultOf, separableSteps } from './axis-operator.ts';
import { isSheared } from './orientation.ts';
import { smoothingOperators } from './smooth.ts';
import {
  type Geometry,
  type Matrix3,
  type PlaneReader,
  perAxis,
  planeReader,
  type Volume,
  type VoxelArray,
  type Xyz,
} from './volume.ts';

/** Directions and positions that agree to this many voxels count as the same: header values are single precision. */
const SAME_VOXELS = 1e-4;

/**
 * The same field of view at another spacing: same centre and axes, each size the nearest whole number of voxels (at least 1; of a half the larger,
 * also where rounding in a header has taken something from it).
 * Axes that are not perpendicular (a sheared file) become the nearest perpendicular ones, and the grid reaches as far along them as the image does.
 */
export function gridWithSpacing(geometry: Geometry, spacingMm: Xyz): Geometry {
  const direction = nearestOrthogonal(geometry.direction);
  const sheared = isSheared(geometry.direction);
  const size = perAxis(geometry.size, (n, k) => {
    if (!sheared) return Math.max(1, Math.round((n * geometry.spacingMm[k]) / spacingMm[k] + SAME_VOXELS));
    return Math.ceil(reachMm(geometry, direction, k) / spacingMm[k] - SAME_VOXELS);
  });
  return centredGrid(geometry, direction, size, spacingMm);
}

/** How far an image reaches from one of its faces to the other along column k of a direction matrix, mm. */
function reachMm({ size, spacingMm, direction: d }: Geometry, along: Matrix3, k: 0 | 1 | 2): number {
  return [0, 1, 2].reduce((sum, axis) => {
    const cosine = d[axis] * along[k] + d[axis + 3] * along[k + 3] + d[axis + 6] * along[k + 6];
    return sum + Math.abs(cosine) * size[axis] * spacingMm[axis];
  }, 0);
}

function centredGrid(geometry: Geometry, direction: Matrix3, size: Xyz, spacingMm: Xyz): Geometry {
  const half = (n: Xyz, s: Xyz): Xyz => [((n[0] - 1) / 2) * s[0], ((n[1] - 1) / 2) * s[1], ((n[2] - 1) / 2) * s[2]];
  const fromCentre = applyMatrix3(geometry.direction, half(geometry.size, geometry.spacingMm));
  const toOrigin = applyMatrix3(direction, half(size, spacingMm));
  const originMm = perAxis(geometry.originMm, (o, k) => o + fromCentre[k] - toOrigin[k]);
  return { size, spacingMm, originMm, direction };
}

/** The standard deviation, in input voxels, that an image needs before it is read at `ratio` times its spacing. */
export function sigmaBeforeDownsampling(ratio: number): number {
  // Cardoso et al. 2015: take the input's point spread for a Gaussian of one voxel's width (FWHM) and make it one of the output's
  return ratio > 1 + SAME_VOXELS ? Math.sqrt(ratio * ratio - 1) / (2 * Math.sqrt(2 * Math.log(2))) : 0;
}

/** The map from `target`'s voxels to `source`'s, and, if the grids are parallel, its scale along each axis. */
function between(source: Geometry, target: Geometry): { map: Affine; parallel: boolean } {
  const map = composeAffine(physicalToVoxel(source), voxelToPhysical(target));
  const m = map.matrix;
  // how far the off-diagonal part moves a corner of the target
  const off = [0, 1, 2].map((row) =>
    [0, 1, 2].reduce((sum, column) => (row === column ? sum : sum + Math.abs(m[row * 3 + column]) * target.size[column]), 0),
  );
  return { map, parallel: Math.max(...off) < 10 * SAME_VOXELS };
}

/** Source positions along one axis of parallel grids; those within rounding of a voxel are put onto it, so that equal grids copy. */
function axisPositions(map: Affine, axis: number, outputs: number): Float64Array {
  return Float64Array.from({ length: outputs }, (_, k) => {
    const position = map.matrix[axis * 4] * k + map.offset[axis];
    const whole = Math.round(position);
    return Math.abs(position - whole) < SAME_VOXELS ? whole : position;
  });
}

const isOutside = (position: number, inputs: number): boolean =>
  position < -0.5 - SAME_VOXELS || position > inputs - 0.5 + SAME_VOXELS;

/**
 * `volume` on the grid `target`, trilinear. Axes along which the target is coarser are smoothed first (see `sigmaBeforeDownsampling`).
 * @param background value of positions more than half a voxel outside; nearer ones take the border's value
 */
export const resampleLinear = (volume: Volume, target: Geometry, background: number): Volume<Float32Array> =>
  resamplePlanes(volume.geometry, planeReader(volume), target, background);

/** The same for a volume on the grid `source` that is read plane by plane. It is only held whole, in single precision, if the grids are not parallel. */
export const resamplePlanes = (
  source: Geometry,
  read: PlaneReader,
  target: Geometry,
  background: number,
): Volume<Float32Array<ArrayBuffer>> => resultOf(resamplingSteps(source, read, target, background));

/** The same in steps: says before each reading which plane comes next, so that one can wait until it is there. */
export function* resamplingSteps(
  source: Geometry,
  read: PlaneReader,
  target: Geometry,
  background: number,
): Generator<number, Volume<Float32Array<ArrayBuffer>>, void> {
  const { map, parallel } = between(source, target);
  // along each source axis, how many source voxels one target voxel spans
  const sigma = perAxis([0, 1, 2], (row) =>
    sigmaBeforeDownsampling(Math.hypot(map.matrix[row * 3], map.matrix[row * 3 + 1], map.matrix[row * 3 + 2])),
  );
  if (!parallel) {
    const smooth = yield* separableSteps(smoothingOperators(source.size, sigma), read);
    return { geometry: target, data: sampleLinear(smooth, source.size, map, target.size, background) };
  }
  const positions = [0, 1, 2].map((axis) => axisPositions(map, axis, target.size[axis]));
  const operators = positions.map((p, axis) => interpolationOperator(source.size[axis], p, sigma[axis]));
  const data = yield* separableSteps(operators as [AxisOperator, AxisOperator, AxisOperator], read);
  fillOutside(data, target.size, positions, source.size, background);
  return { geometry: target, data };
}

/** Places along each axis at which `coveredShare` looks. */
const LOOKS = 24;

/** The share of `target`'s field of view that lies in `source`'s: 1 for equal grids, 0 for ones that do not overlap. */
export function coveredShare(source: Geometry, target: Geometry): number {
  const { matrix: m, offset } = between(source, target).map;
  const [xs, ys, zs] = target.size.map((n) => Array.from({ length: LOOKS }, (_, k) => ((k + 0.5) / LOOKS) * n - 0.5));
  let inside = 0;
  for (const z of zs)
    for (const y of ys)
      for (const x of xs)
        if ([0, 1, 2].every((k) => !isOutside(m[3 * k] * x + m[3 * k + 1] * y + m[3 * k + 2] * z + offset[k], source.size[k])))
          inside++;
  return inside / LOOKS ** 3;
}

function fillOutside(data: VoxelArray, size: Xyz, positions: readonly Float64Array[], inputs: Xyz, background: number): void {
  const outside = positions.map((p, axis) => Array.from(p, (position) => isOutside(position, inputs[axis])));
  if (!outside.some((axis) => axis.includes(true))) return;
  let at = 0;
  for (let z = 0; z < size[2]; z++) {
    for (let y = 0; y < size[1]; y++) {
      const row = outside[2][z] || outside[1][y];
      for (let x = 0; x < size[0]; x++, at++) if (row || outside[0][x]) data[at] = background;
    }
  }
}

function sampleLinear(
  input: Float32Array,
  inSize: Xyz,
  map: Affine,
  outSize: Xyz,
  background: number,
): Float32Array<ArrayBuffer> {
  const [nx, ny, nz] = inSize;
  const m = map.matrix;
  const out = new Float32Array(outSize[0] * outSize[1] * outSize[2]);
  let at = 0;
  for (let z = 0; z < outSize[2]; z++) {
    for (let y = 0; y < outSize[1]; y++) {
      let px = m[1] * y + m[2] * z + map.offset[0];
      let py = m[4] * y + m[5] * z + map.offset[1];
      let pz = m[7] * y + m[8] * z + map.offset[2];
      for (let x = 0; x < outSize[0]; x++, at++, px += m[0], py += m[3], pz += m[6]) {
        if (isOutside(px, nx) || isOutside(py, ny) || isOutside(pz, nz)) {
          out[at] = background;
          continue;
        }
        const cx = px < 0 ? 0 : Math.min(px, nx - 1);
        const cy = py < 0 ? 0 : Math.min(py, ny - 1);
        const cz = pz < 0 ? 0 : Math.min(pz, nz - 1);
        const [x0, y0, z0] = [Math.floor(cx), Math.floor(cy), Math.floor(cz)];
        const [fx, fy, fz] = [cx - x0, cy - y0, cz - z0];
        const dx = fx > 0 ? 1 : 0;
        const dy = fy > 0 ? nx : 0;
        const dz = fz > 0 ? nx * ny : 0;
        const i = (z0 * ny + y0) * nx + x0;
        const c00 = input[i] + (input[i + dx] - input[i]) * fx;
        const c10 = input[i + dy] + (input[i + dy + dx] - input[i + dy]) * fx;
        const c01 = input[i + dz] + (input[i + dz + dx] - input[i + dz]) * fx;
        const c11 = input[i + dz + dy] + (input[i + dz + dy + dx] - input[i + dz + dy]) * fx;
        const c0 = c00 + (c10 - c00) * fy;
        const c1 = c01 + (c11 - c01) * fy;
        out[at] = c0 + (c1 - c0) * fz;
      }
    }
  }
  return out;
}

/** The index of the nearest voxel; exactly between two, the lower. */
const nearest = (position: number, inputs: number): number =>
  Math.max(0, Math.min(inputs - 1, Math.ceil(position - 0.5 - SAME_VOXELS)));

/** `volume` on the grid `target` by the nearest voxel, in its own number type: for label maps. */
export function resampleNearest<Data extends VoxelArray>(
  volume: Volume<Data>,
  target: Geometry,
  background: number,
): Volume<Data> {
  const plane = target.size[0] * target.size[1];
  const data = new (volume.data.constructor as new (length: number) => Data)(plane * target.size[2]);
  const read = nearestPlanes(volume, target, background);
  for (let z = 0; z < target.size[2]; z++) read(z, data.subarray(z * plane, (z + 1) * plane));
  return { geometry: target, data };
}

/** The same plane by plane: fills `out` with the plane z of the target. */
export function nearestPlanes(
  { geometry: source, data: input }: Volume,
  target: Geometry,
  background: number,
): (z: number, out: VoxelArray) => void {
  const { map, parallel } = between(source, target);
  const [nx, ny, nz] = source.size;
  const [width, height] = target.size;
  if (parallel) {
    // the source's voxel at each place along each axis, -1 outside
    const [alongX, alongY, alongZ] = [0, 1, 2].map((axis) =>
      Int32Array.from(axisPositions(map, axis, target.size[axis]), (position) =>
        isOutside(position, source.size[axis]) ? -1 : nearest(position, source.size[axis]),
      ),
    );
    return (z, out) => {
      for (let y = 0, at = 0; y < height; y++) {
        const row = alongZ[z] < 0 || alongY[y] < 0 ? -1 : (alongZ[z] * ny + alongY[y]) * nx;
        for (let x = 0; x < width; x++) out[at++] = row < 0 || alongX[x] < 0 ? background : input[row + alongX[x]];
      }
    };
  }
  const m = map.matrix;
  return (z, out) => {
    for (let y = 0, at = 0; y < height; y++) {
      let px = m[1] * y + m[2] * z + map.offset[0];
      let py = m[4] * y + m[5] * z + map.offset[1];
      let pz = m[7] * y + m[8] * z + map.offset[2];
      for (let x = 0; x < width; x++, px += m[0], py += m[3], pz += m[6]) {
        out[at++] =
          isOutside(px, nx) || isOutside(py, ny) || isOutside(pz, nz)
            ? background
            : input[(nearest(pz, nz) * ny + nearest(py, ny)) * nx + nearest(px, nx)];
      }
    }
  };
}
