/**
 * Smooth random fields as sums of plane waves: f(p) = sum of sin(k . p + phase) over a few random k.
 *
 * They serve as texture, as rough walls and as the folding of the cortex. A few waves suffice, and value and gradient are exact,
 * which lattice noise does not give as cheaply.
 */
import type { RandomStream } from '../common/random.ts';

/** Wave vectors (radians per mm) and phases, four numbers a wave: kx, ky, kz, phase. */
export type Waves = Float64Array;

/** A direction drawn evenly from the sphere, times `size`. */
export function randomVector(random: RandomStream, size: number): [number, number, number] {
  const z = random.uniform(-1, 1);
  const angle = random.uniform(0, 2 * Math.PI);
  const across = Math.sqrt(1 - z * z);
  return [size * across * Math.cos(angle), size * across * Math.sin(angle), size * z];
}

/** `count` waves with wavelengths drawn from the given range in mm. */
export function randomWaves(random: RandomStream, count: number, shortestMm: number, longestMm: number): Waves {
  const waves = new Float64Array(4 * count);
  for (let i = 0; i < count; i++) {
    const wavelengthMm = random.uniform(shortestMm, longestMm);
    waves.set([...randomVector(random, (2 * Math.PI) / wavelengthMm), random.uniform(0, 2 * Math.PI)], 4 * i);
  }
  return waves;
}

/** The field at a point, scaled to a variance of one. */
export function waveAt(waves: Waves, x: number, y: number, z: number): number {
  let sum = 0;
  for (let i = 0; i < waves.length; i += 4) {
    sum += Math.sin(waves[i] * x + waves[i + 1] * y + waves[i + 2] * z + waves[i + 3]);
  }
  return sum * Math.sqrt(8 / waves.length);
}

/**
 * About how far in mm the point lies from the nearest sheet on which the field is zero: |f| / |grad f|.
 * Where the gradient vanishes this is bounded by the waves' own length.
 */
export function sheetDistance(waves: Waves, x: number, y: number, z: number): number {
  let sum = 0;
  let gx = 0;
  let gy = 0;
  let gz = 0;
  let kk = 0;
  for (let i = 0; i < waves.length; i += 4) {
    const kx = waves[i];
    const ky = waves[i + 1];
    const kz = waves[i + 2];
    const angle = kx * x + ky * y + kz * z + waves[i + 3];
    const slope = Math.cos(angle);
    sum += Math.sin(angle);
    gx += kx * slope;
    gy += ky * slope;
    gz += kz * slope;
    kk += kx * kx + ky * ky + kz * kz;
  }
  return Math.abs(sum) / Math.sqrt(gx * gx + gy * gy + gz * gz + 0.05 * kk);
}
