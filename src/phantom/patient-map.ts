/**
 * The map between the canonical body and one patient: q = w + u(w), w = S^-1 R^-1 (p - t), for a patient point p and a body point q.
 *
 * R is the pose, S the size along each axis, t the place in the scanner, u a smooth displacement of a few low-frequency waves. The
 * way from patient to body is a formula (drawing asks it for every voxel); the way back, for landmarks, solves w = q - u(w) by
 * iteration. |grad u| is bounded by the sum of |amplitude| |wave vector|, which is kept below `STEEPEST`: so the iteration contracts, the
 * map is one to one, and its Jacobian is positive everywhere, by construction.
 */

import type { RandomStream } from '../common/random.ts';
import type { Matrix3, Xyz } from '../geometry/volume.ts';
import { add, rotation, subtract, transform, transpose } from './vectors.ts';
import { randomVector } from './waves.ts';

const STEEPEST = 0.5;
const ITERATIONS = 30; // 0.5^30 of a few mm: far below a micrometre

/** How much patients differ; each number is the half-width of a uniform distribution unless said otherwise. */
export interface PatientVariation {
  readonly rotationDegrees: number;
  readonly translationMm: number;
  /** Size along each axis lies in [1 - size, 1 + size]. */
  readonly size: number;
  /** Root mean square length of the displacement u, as far as `STEEPEST` allows. */
  readonly displacementMm: number;
  /** Wavelengths of the displacement. */
  readonly wavelengthMm: readonly [number, number];
}

export interface PatientMap {
  readonly rotationDegrees: Xyz;
  readonly translationMm: Xyz;
  readonly size: Xyz;
  /** Seven numbers a wave: amplitude x, y, z in mm; wave vector x, y, z in radians per mm; phase. */
  readonly waves: Float64Array;
  readonly rotation: Matrix3;
}

/** Draws a patient. */
export function randomPatient(random: RandomStream, variation: PatientVariation): PatientMap {
  const around = (half: number): Xyz => [random.uniform(-half, half), random.uniform(-half, half), random.uniform(-half, half)];
  const count = 8;
  const waves = new Float64Array(7 * count);
  let steepness = 0;
  for (let i = 0; i < count; i++) {
    const amplitudeMm = variation.displacementMm * Math.sqrt(2 / count) * random.uniform(0.7, 1.3);
    const k = (2 * Math.PI) / random.uniform(...variation.wavelengthMm);
    steepness += amplitudeMm * k;
    waves.set([...randomVector(random, amplitudeMm), ...randomVector(random, k), random.uniform(0, 2 * Math.PI)], 7 * i);
  }
  const shrink = Math.min(1, STEEPEST / steepness);
  for (let i = 0; i < waves.length; i++) if (i % 7 < 3) waves[i] *= shrink;
  const rotationDegrees = around(variation.rotationDegrees);
  return {
    rotationDegrees,
    rotation: rotation(rotationDegrees),
    translationMm: around(variation.translationMm),
    size: add([1, 1, 1], around(variation.size)),
    waves,
  };
}

/** u(w), written into `out`. */
function displacement(map: PatientMap, x: number, y: number, z: number, out: Float64Array): void {
  const { waves } = map;
  let ux = 0;
  let uy = 0;
  let uz = 0;
  for (let i = 0; i < waves.length; i += 7) {
    const s = Math.sin(waves[i + 3] * x + waves[i + 4] * y + waves[i + 5] * z + waves[i + 6]);
    ux += waves[i] * s;
    uy += waves[i + 1] * s;
    uz += waves[i + 2] * s;
  }
  out[0] = ux;
  out[1] = uy;
  out[2] = uz;
}

/**
 * The body points of a row of patient points, `count` of them from `start` in equal steps (mm, LPS); x, y, z of each are written
 * into `out` from index `at`.
 */
export function rowToBody(map: PatientMap, start: Xyz, step: Xyz, count: number, out: Float32Array | Float64Array, at = 0): void {
  const back = transpose(map.rotation);
  const [wx, wy, wz] = transform(back, subtract(start, map.translationMm));
  const [sx, sy, sz] = transform(back, step);
  const u = new Float64Array(3);
  for (let i = 0; i < count; i++) {
    const x = (wx + i * sx) / map.size[0];
    const y = (wy + i * sy) / map.size[1];
    const z = (wz + i * sz) / map.size[2];
    displacement(map, x, y, z, u);
    out[at + 3 * i] = x + u[0];
    out[at + 3 * i + 1] = y + u[1];
    out[at + 3 * i + 2] = z + u[2];
  }
}

/** The body point that lies at patient point `p` (mm, LPS). */
export function toBody(map: PatientMap, p: Xyz): Xyz {
  const out = new Float64Array(3);
  rowToBody(map, p, [0, 0, 0], 1, out);
  return [out[0], out[1], out[2]];
}

/** Where body point `q` lies in the patient (mm, LPS); the inverse of `toBody`. */
export function toPatient(map: PatientMap, q: Xyz, iterations = ITERATIONS): Xyz {
  const u = new Float64Array(3);
  let w = q;
  for (let i = 0; i < iterations; i++) {
    displacement(map, w[0], w[1], w[2], u);
    w = [q[0] - u[0], q[1] - u[1], q[2] - u[2]];
  }
  return add(map.translationMm, transform(map.rotation, [w[0] * map.size[0], w[1] * map.size[1], w[2] * map.size[2]]));
}
