import { describe, expect, it } from 'vitest';
import { philox, randomStream } from './random.ts';

describe('philox', () => {
  it('gives the known answers of the Random123 distribution', () => {
    const out = new Uint32Array(4);
    philox([0, 0, 0, 0], [0, 0], out);
    expect([...out]).toEqual([0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8]);
    philox([0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff], [0xffffffff, 0xffffffff], out);
    expect([...out]).toEqual([0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd]);
  });
});

describe('randomStream', () => {
  it('depends on seed and path alone', () => {
    const draw = (seed: number, ...path: (string | number)[]) => Array.from({ length: 9 }, randomStream(seed, ...path).bits);
    expect(draw(1, 'a', 2)).toEqual(draw(1, 'a', 2));
    expect(draw(1, 'a', 2)).not.toEqual(draw(2, 'a', 2));
    expect(draw(1, 'a', 2)).not.toEqual(draw(1, 'a', 3));
    expect(draw(1, 'a', 2)).not.toEqual(draw(1, 'a', '2'));
  });

  it('has the moments that it promises', () => {
    const stream = randomStream(7, 'moments');
    const count = 40_000;
    const normals = Float64Array.from({ length: count }, () => stream.normal(2, 3));
    const mean = normals.reduce((a, b) => a + b) / count;
    const variance = normals.reduce((a, b) => a + (b - mean) ** 2, 0) / count;
    expect(mean).toBeCloseTo(2, 1);
    expect(Math.sqrt(variance)).toBeCloseTo(3, 1);
    const uniforms = Float64Array.from({ length: count }, () => stream.uniform(-1, 1));
    expect(Math.max(...uniforms)).toBeLessThan(1);
    expect(uniforms.reduce((a, b) => a + b) / count).toBeCloseTo(0, 1);
  });

  it('permutes', () => {
    const order = [...randomStream(1, 'p').permutation(100)];
    expect(order).not.toEqual(order.toSorted((a, b) => a - b));
    expect(order.toSorted((a, b) => a - b)).toEqual(Array.from({ length: 100 }, (_, i) => i));
  });
});
