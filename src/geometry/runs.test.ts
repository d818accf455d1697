/** Runs of equal voxels: against the plain loop, for every type and offset. */
import { describe, expect, it } from 'vitest';
import { randomStream } from '../common/random.ts';
import { runEnds } from './runs.ts';

describe('runEnds', () => {
  it.each([Uint8Array, Int8Array, Uint16Array, Int16Array, Int32Array, Float32Array, Float64Array])(
    'ends where the voxels change: %o',
    (Type) => {
      const random = randomStream(1, 'runs', Type.name);
      for (let round = 0; round < 200; round++) {
        const offset = random.integer(0, 5);
        const whole = new Type(offset + random.integer(1, 40));
        const data = whole.subarray(offset);
        for (let i = 0, code = 0; i < data.length; i++) {
          if (random.chance(0.2)) code = random.integer(-2, 130) * (random.chance(0.5) ? 1 : 255);
          data[i] = code;
        }
        const endOf = runEnds(data);
        const at = random.integer(0, data.length);
        const end = random.integer(at + 1, data.length + 1);
        let expected = at + 1;
        while (expected < end && data[expected] === data[at]) expected++;
        expect(endOf(at, end)).toBe(expected);
      }
    },
  );
});
