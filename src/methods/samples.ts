/** Samples of a batch as one, for graphs that take several. */
import type { ExampleTensors } from './method.ts';

/** The samples behind one another, input by input. */
export function joinSamples(samples: readonly ExampleTensors[]): ExampleTensors {
  const join = (arrays: readonly Float32Array[]): Float32Array => {
    const all = new Float32Array(arrays.reduce((sum, { length }) => sum + length, 0));
    let at = 0;
    for (const array of arrays) {
      all.set(array, at);
      at += array.length;
    }
    return all;
  };
  return Object.fromEntries(Object.keys(samples[0]).map((name) => [name, join(samples.map((sample) => sample[name]))]));
}
