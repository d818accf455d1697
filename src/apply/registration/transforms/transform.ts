/**
 * Transforms as other programs write them: a chain of affine maps and displacement fields that points of the fixed image pass one after another,
 * to end in the moving one (ITK's convention, mm, LPS). To bring the moving *image* onto the fixed grid is to ask, for each of its voxels, where
 * that point goes; *points* of the moving image take the inverse way.
 */
import {
  type Affine,
  applyAffine,
  composeAffine,
  invertAffine,
  physicalToVoxel,
  voxelToPhysical,
} from '../../../geometry/affine.ts';
import type { Geometry, Xyz } from '../../../geometry/volume.ts';
import { addVectorAt, IDENTITY, type MappedRow, type PhysicalMap, type VectorField } from '../physical-map.ts';

export type TransformStep =
  | { readonly kind: 'affine'; readonly affine: Affine }
  /** x -> x + field(x); points outside its grid stay where they are, as in ITK. */
  | { readonly kind: 'field'; readonly field: VectorField };

/** In the order in which a point of the fixed image passes them. */
export type Transform = readonly TransformStep[];

/** A field reaches half a voxel beyond its outermost centres, as ITK's images do. */
const REACH = 0.5 + 1e-4;

/** Moves the points in place. */
type MovePoints = (row: MappedRow) => void;

function moverOf(step: TransformStep): MovePoints {
  if (step.kind === 'affine') {
    const { matrix: m, offset } = step.affine;
    return ({ x, y, z }) => {
      for (let i = 0; i < x.length; i++) {
        const [a, b, c] = [x[i], y[i], z[i]];
        x[i] = m[0] * a + m[1] * b + m[2] * c + offset[0];
        y[i] = m[3] * a + m[4] * b + m[5] * c + offset[1];
        z[i] = m[6] * a + m[7] * b + m[8] * c + offset[2];
      }
    };
  }
  const { field } = step;
  const { matrix: m, offset } = physicalToVoxel(field.geometry);
  const [lastX, lastY, lastZ] = field.geometry.size.map((n) => n - 1 + REACH);
  const moved = new Float64Array(3);
  return ({ x, y, z }) => {
    for (let i = 0; i < x.length; i++) {
      moved[0] = x[i];
      moved[1] = y[i];
      moved[2] = z[i];
      const u = m[0] * moved[0] + m[1] * moved[1] + m[2] * moved[2] + offset[0];
      const v = m[3] * moved[0] + m[4] * moved[1] + m[5] * moved[2] + offset[1];
      const w = m[6] * moved[0] + m[7] * moved[1] + m[8] * moved[2] + offset[2];
      if (!(u >= -REACH && v >= -REACH && w >= -REACH && u <= lastX && v <= lastY && w <= lastZ)) continue;
      addVectorAt(field, u, v, w, moved);
      x[i] = moved[0];
      y[i] = moved[1];
      z[i] = moved[2];
    }
  };
}

/** Moves rows of points through a whole transform, in place. */
export function pointMover(transform: Transform): MovePoints {
  const movers = transform.map(moverOf);
  return (row) => {
    for (const move of movers) move(row);
  };
}

/** The affine steps of a transform alone, one after another. */
export const affineOf = (transform: Transform): Affine =>
  transform.reduce((all: Affine, step) => (step.kind === 'affine' ? composeAffine(step.affine, all) : all), IDENTITY);

/** Where a transform brings one point. */
export function transformPoint(transform: Transform, [x, y, z]: Xyz): Xyz {
  const row = { x: Float64Array.of(x), y: Float64Array.of(y), z: Float64Array.of(z) };
  pointMover(transform)(row);
  return [row.x[0], row.y[0], row.z[0]];
}

const INVERSE_STEPS = 100;
const HALVED_FROM = 20;
const TOLERANCE_MM = 1e-4;

/** Which points a transform brings to those of a row, into the row. Returns the largest distance in mm that remains. */
export function inverseMover(transform: Transform): (row: MappedRow) => number {
  const move = pointMover(transform);
  const back = invertAffine(affineOf(transform));
  const m = back.matrix;
  return ({ x, y, z }) => {
    const n = x.length;
    const wanted = { x: x.slice(), y: y.slice(), z: z.slice() };
    moverOf({ kind: 'affine', affine: back })({ x, y, z });
    const at = { x: new Float64Array(n), y: new Float64Array(n), z: new Float64Array(n) };
    let worst = 0;
    for (let step = 0; step < INVERSE_STEPS; step++) {
      for (const axis of ['x', 'y', 'z'] as const) at[axis].set({ x, y, z }[axis]);
      move(at);
      worst = 0;
      const share = step < HALVED_FROM ? 1 : 0.5;
      for (let i = 0; i < n; i++) {
        const [dx, dy, dz] = [at.x[i] - wanted.x[i], at.y[i] - wanted.y[i], at.z[i] - wanted.z[i]];
        const distance = Math.hypot(dx, dy, dz);
        if (distance < TOLERANCE_MM) continue;
        worst = Math.max(worst, distance);
        x[i] -= share * (m[0] * dx + m[1] * dy + m[2] * dz);
        y[i] -= share * (m[3] * dx + m[4] * dy + m[5] * dz);
        z[i] -= share * (m[6] * dx + m[7] * dy + m[8] * dz);
      }
      if (worst === 0) break;
    }
    return worst;
  };
}

/** Goes through the rows of a grid, mm; the arrays are used again for the next row. */
export function forEachRowMm(grid: Geometry, use: (row: MappedRow, at: number) => void): void {
  const { matrix: m, offset } = voxelToPhysical(grid);
  const [nx, ny, nz] = grid.size;
  const row = { x: new Float64Array(nx), y: new Float64Array(nx), z: new Float64Array(nx) };
  for (let k = 0, at = 0; k < nz; k++)
    for (let j = 0; j < ny; j++, at += nx) {
      for (let i = 0; i < nx; i++) {
        row.x[i] = m[0] * i + m[1] * j + m[2] * k + offset[0];
        row.y[i] = m[3] * i + m[4] * j + m[5] * k + offset[1];
        row.z[i] = m[6] * i + m[7] * j + m[8] * k + offset[2];
      }
      use(row, at);
    }
}

/** A transform as displacement vectors, mm, on a grid. @param move moves points in place */
export function fieldOnGrid(grid: Geometry, move: (row: MappedRow) => void): VectorField {
  const data = new Float32Array(3 * grid.size[0] * grid.size[1] * grid.size[2]);
  forEachRowMm(grid, (row, at) => {
    const from = { x: row.x.slice(), y: row.y.slice(), z: row.z.slice() };
    move(row);
    for (let i = 0, k = 3 * at; i < row.x.length; i++, k += 3) {
      data[k] = row.x[i] - from.x[i];
      data[k + 1] = row.y[i] - from.y[i];
      data[k + 2] = row.z[i] - from.z[i];
    }
  });
  return { geometry: grid, data };
}

/** A transform as a map with one deformable part, sampled on a grid; exact for one that is affine alone. */
export function mapOnGrid(transform: Transform, grid: Geometry): PhysicalMap {
  const affine = affineOf(transform);
  if (transform.every(({ kind }) => kind === 'affine')) return { affine, residual: null };
  const move = pointMover(transform);
  const { matrix: m, offset } = affine;
  // what the fields add to the affine
  const residual = fieldOnGrid(grid, (row) => {
    const from = { x: row.x.slice(), y: row.y.slice(), z: row.z.slice() };
    move(row);
    for (let i = 0; i < row.x.length; i++) {
      const [a, b, c] = [from.x[i], from.y[i], from.z[i]];
      row.x[i] += a - (m[0] * a + m[1] * b + m[2] * c + offset[0]);
      row.y[i] += b - (m[3] * a + m[4] * b + m[5] * c + offset[1]);
      row.z[i] += c - (m[6] * a + m[7] * b + m[8] * c + offset[2]);
    }
  });
  return { affine, residual };
}

/** An affine about a centre, as ITK states it: T(x) = M (x - c) + t + c. */
export const aboutCentre = (matrix: Affine['matrix'], translation: Xyz, centre: Xyz): Affine => {
  const turned = applyAffine({ matrix, offset: [0, 0, 0] }, centre);
  return {
    matrix,
    offset: [0, 1, 2].map((k) => translation[k] + centre[k] - turned[k]) as unknown as Xyz,
  };
};
