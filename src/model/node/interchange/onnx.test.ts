/** The ONNX file in a runtime of its own (onnxruntime, as WebAssembly) against the CPU backend, sizes that need margins. */
import { InferenceSession, Tensor } from 'onnxruntime-web';
import { describe, expect, it } from 'vitest';
import type { Heads } from '../../architecture.ts';
import { encodeOnnx } from './onnx.ts';
import type { NetworkPart } from './part.ts';
import { runPart } from './testing/run-part.ts';
import { largestDifference, noise, tinyModel } from './testing/tiny-model.ts';

/** Of the greatest value, at least 1; measured 3e-6. */
const TOLERANCE = 2e-5;

type Size = readonly [number, number, number];

async function compare(part: NetworkPart, heads: Partial<Heads>, fixed: Size | undefined, sizes: readonly Size[], batch = 1) {
  const made = tinyModel(heads);
  const { architecture, model } = made;
  const { pieces, outputs } = encodeOnnx({
    part,
    architecture,
    parameters: model.parameters,
    size: fixed,
    description: 'a test',
    metadata: {},
    producerVersion: '0',
  });
  const session = await InferenceSession.create(Buffer.concat(pieces));
  try {
    for (const size of sizes) {
      const values = noise(size, batch);
      const expected = await runPart(part, made, size, batch, values);
      const results = await session.run({ image: new Tensor('float32', values, [batch, 1, ...size]) });
      expect(Object.keys(results).sort()).toEqual(outputs.map(({ name }) => name).sort());
      for (const [name, { shape, data }] of Object.entries(expected)) {
        expect(results[name].dims).toEqual(shape);
        const scale = Math.max(
          1,
          data.reduce((most, value) => Math.max(most, Math.abs(value)), 0),
        );
        expect(largestDifference(results[name].data as Float32Array, data) / scale, `${name} at ${size}`).toBeLessThan(TOLERANCE);
      }
    }
  } finally {
    await session.release();
  }
}

describe('onnx', () => {
  it('segmenter, every size and batch from one file', () =>
    compare('segmenter', { segmentation: 3 }, undefined, [
      [19, 33, 26],
      [16, 32, 16],
      [5, 17, 31],
    ]));
  it('segmenter, a batch of two', () => compare('segmenter', { segmentation: 2 }, undefined, [[18, 20, 17]], 2));
  it('segmenter of one fixed size', () => compare('segmenter', { segmentation: 3 }, [19, 33, 26], [[19, 33, 26]]));
  it('segmenter that reads all levels', () =>
    compare('segmenter', { segmentation: 3, multiLevel: true }, undefined, [[19, 33, 26]]));
  it('backbone', () => compare('backbone', {}, undefined, [[19, 33, 26]]));
  it('backbone of a fixed size that needs no margins', () => compare('backbone', {}, [16, 32, 32], [[16, 32, 32]]));
  it('encoder of a network without a decoder', () => compare('encoder', { classification: 10 }, undefined, [[19, 33, 26]]));
  it('classifier with one output and with three', async () => {
    await compare('classifier', { classification: 1 }, undefined, [[19, 33, 26]]);
    await compare('classifier', { classification: 3 }, [17, 20, 40], [[17, 20, 40]]);
  });
});
