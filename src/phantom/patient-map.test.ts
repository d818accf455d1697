import { describe, expect, it } from 'vitest';
import { randomStream } from '../common/random.ts';
import type { Xyz } from '../geometry/volume.ts';
import { BRAIN_VARIATION } from './brain-mr.ts';
import { HEART_VARIATION } from './heart-ct.ts';
import { randomPatient, toBody, toPatient } from './patient-map.ts';
import { cross, length, subtract } from './vectors.ts';

const variations = { heart: HEART_VARIATION, brain: BRAIN_VARIATION };

describe.each(Object.entries(variations))('the map of a %s patient', (name, variation) => {
  const patients = Array.from({ length: 6 }, (_, i) => randomPatient(randomStream(3, 'test', name, i), variation));
  const random = randomStream(4, 'test', name);
  const points = Array.from(
    { length: 40 },
    (): Xyz => [random.uniform(-120, 120), random.uniform(-120, 120), random.uniform(-120, 120)],
  );

  it('is inverted by toBody to far less than 0.1 mm', () => {
    for (const patient of patients) {
      for (const p of points) {
        expect(length(subtract(toBody(patient, toPatient(patient, p)), p))).toBeLessThan(1e-4);
        expect(length(subtract(toPatient(patient, toBody(patient, p)), p))).toBeLessThan(1e-4);
      }
    }
  });

  it('has a positive Jacobian', () => {
    const step = 0.01;
    for (const patient of patients) {
      for (const [x, y, z] of points) {
        const at = toBody(patient, [x, y, z]);
        const dx = subtract(toBody(patient, [x + step, y, z]), at);
        const dy = subtract(toBody(patient, [x, y + step, z]), at);
        const dz = subtract(toBody(patient, [x, y, z + step]), at);
        const c = cross(dy, dz);
        const jacobian = (dx[0] * c[0] + dx[1] * c[1] + dx[2] * c[2]) / step ** 3;
        expect(jacobian).toBeGreaterThan(0.15);
        expect(jacobian).toBeLessThan(4);
      }
    }
  });

  it('bends space: no affine explains it, by some millimetres', () => {
    for (const patient of patients) {
      // In an affine map the middle of two points stays in the middle.
      const bends = points.slice(1).map((p, i) => {
        const q = points[i];
        const middle = toPatient(patient, [(p[0] + q[0]) / 2, (p[1] + q[1]) / 2, (p[2] + q[2]) / 2]);
        const [a, b] = [toPatient(patient, p), toPatient(patient, q)];
        return length(subtract(middle, [(a[0] + b[0]) / 2, (a[1] + b[1]) / 2, (a[2] + b[2]) / 2]));
      });
      expect(Math.max(...bends)).toBeGreaterThan(1.5);
    }
  });
});
