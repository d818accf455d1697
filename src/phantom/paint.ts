/**
 * Draws layered bodies onto a voxel grid, the later over the earlier, as a painter does.
 *
 * Edges are soft over one voxel: a voxel that a surface cuts gets a mixture of both sides (partial volume), so nothing is jagged. Labels
 * are hard: the last layer whose surface holds the voxel's centre. The grid may lie in any way in the patient; every voxel is
 * asked where its centre lies in the body.
 */
import { type Geometry, voxelCount, type Xyz } from '../geometry/volume.ts';
import { type PatientMap, rowToBody, toPatient } from './patient-map.ts';
import type { Shape } from './shapes.ts';
import { add, combine, subtract, transform, transpose } from './vectors.ts';

/** What fills a shape from `insetMm` below its surface inwards. */
export interface Shell {
  readonly insetMm: number;
  /** Intensity, or a function of the body position. */
  readonly value: number | ((x: number, y: number, z: number) => number);
  /** The label to write; absent: what lies below keeps its label (0: background). */
  readonly label?: number;
}

/** A shape and its shells from outside to inside; one distance serves all. */
export interface Layer {
  readonly shape: Shape;
  readonly shells: readonly Shell[];
  /** For vessels thinner than coarse voxels: their radius. Labels are then drawn at least 0.6 voxels wide, so that they stay connected. */
  readonly thinMm?: number;
}

/** A layer of one filling. */
export const solid = (shape: Shape, value: Shell['value'], label?: number): Layer => ({
  shape,
  shells: [label === undefined ? { insetMm: 0, value } : { insetMm: 0, value, label }],
});

export interface Painting {
  /** Intensities, x fastest. */
  readonly image: Float32Array;
  readonly labels: Uint16Array;
}

/** The patient position of a voxel centre. */
export const voxelPosition = (grid: Geometry, [x, y, z]: Xyz): Xyz =>
  add(grid.originMm, transform(grid.direction, [x * grid.spacingMm[0], y * grid.spacingMm[1], z * grid.spacingMm[2]]));

/** The (fractional) voxel at a patient position; the inverse of `voxelPosition`. */
export function voxelAt(grid: Geometry, positionMm: Xyz): Xyz {
  const along = transform(transpose(grid.direction), subtract(positionMm, grid.originMm));
  return [along[0] / grid.spacingMm[0], along[1] / grid.spacingMm[1], along[2] / grid.spacingMm[2]];
}

/** The body position of every voxel centre: x, y, z of each, x fastest. */
function bodyPositions(grid: Geometry, map: PatientMap): Float32Array {
  const [nx, ny, nz] = grid.size;
  const positions = new Float32Array(3 * nx * ny * nz);
  const step = subtract(voxelPosition(grid, [1, 0, 0]), grid.originMm);
  for (let z = 0; z < nz; z++) {
    for (let y = 0; y < ny; y++) rowToBody(map, voxelPosition(grid, [0, y, z]), step, nx, positions, 3 * nx * (z * ny + y));
  }
  return positions;
}

/** The range of voxels that may hold the shape: its box's corners, mapped, with room for how far the map bends between them. */
function voxelRange(grid: Geometry, map: PatientMap, shape: Shape, edgeMm: number): { low: number[]; high: number[] } {
  const { low, high } = shape.box;
  const last = grid.size.map((n) => n - 1);
  if (![...low, ...high].every(Number.isFinite)) return { low: [0, 0, 0], high: last };
  const diagonalMm = Math.hypot(...subtract(high, low));
  const corners = Array.from(
    { length: 8 },
    (_, i): Xyz => [i & 1 ? high[0] : low[0], i & 2 ? high[1] : low[1], i & 4 ? high[2] : low[2]],
  );
  const voxels = corners.map((corner) => voxelAt(grid, toPatient(map, corner, 8)));
  const roomMm = edgeMm + 1 + 0.12 * diagonalMm;
  const axes = [0, 1, 2] as const;
  return {
    low: axes.map((k) => Math.max(0, Math.floor(Math.min(...voxels.map((v) => v[k])) - roomMm / grid.spacingMm[k]))),
    high: axes.map((k) => Math.min(last[k], Math.ceil(Math.max(...voxels.map((v) => v[k])) + roomMm / grid.spacingMm[k]))),
  };
}

/** Paints `layers` (given in the body's frame) as patient `map` onto `grid`, over `background`. */
export function paint(grid: Geometry, map: PatientMap, layers: readonly Layer[], background: number): Painting {
  const [nx, ny] = grid.size;
  const positions = bodyPositions(grid, map);
  const image = new Float32Array(voxelCount(grid.size)).fill(background);
  const labels = new Uint16Array(image.length);
  const voxelMm = Math.cbrt(grid.spacingMm[0] * grid.spacingMm[1] * grid.spacingMm[2]);
  const halfEdgeMm = 0.6 * voxelMm;
  for (const { shape, shells, thinMm } of layers) {
    const { low, high } = voxelRange(grid, map, shape, halfEdgeMm);
    const [boxLow, boxHigh] = [
      combine([1, shape.box.low], [-halfEdgeMm, [1, 1, 1]]),
      combine([1, shape.box.high], [halfEdgeMm, [1, 1, 1]]),
    ];
    const widenMm = thinMm === undefined ? 0 : Math.max(0, 0.6 * voxelMm - thinMm);
    for (let vz = low[2]; vz <= high[2]; vz++) {
      for (let vy = low[1]; vy <= high[1]; vy++) {
        const row = (vz * ny + vy) * nx;
        for (let i = row + low[0]; i <= row + high[0]; i++) {
          const x = positions[3 * i];
          if (x < boxLow[0] || x > boxHigh[0]) continue;
          const y = positions[3 * i + 1];
          if (y < boxLow[1] || y > boxHigh[1]) continue;
          const z = positions[3 * i + 2];
          if (z < boxLow[2] || z > boxHigh[2]) continue;
          const distance = shape.distance(x, y, z);
          if (distance >= halfEdgeMm) continue;
          for (let s = 0; s < shells.length; s++) {
            const { insetMm, value, label } = shells[s];
            const depth = -distance - insetMm;
            if (depth <= -halfEdgeMm) break;
            if (label !== undefined && depth > -widenMm) labels[i] = label;
            // The next shell covers this voxel wholly: what lies under it need not be computed.
            if (s + 1 < shells.length && -distance - shells[s + 1].insetMm >= halfEdgeMm) continue;
            const inside = typeof value === 'number' ? value : value(x, y, z);
            const share = Math.min(1, 0.5 + (0.5 * depth) / halfEdgeMm);
            image[i] = image[i] + share * (inside - image[i]);
          }
        }
      }
    }
  }
  return { image, labels };
}
