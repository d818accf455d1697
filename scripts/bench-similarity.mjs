/**
 * How long a question to two compared images takes (docs/page.md): the similarity of every voxel with the one that was clicked, the best match, and
 * the field's answer, on images of 64 x 64 x 64 voxels. Features are noise: the work does not depend on them.
 *
 *   npm run build:ts && node scripts/bench-similarity.mjs
 */
import { Correspondence } from '../dist/apply/similarity/correspondence.js';
import { globalFeatureMap, localFeatureMap } from '../dist/apply/similarity/feature-map.js';
import { randomStream } from '../dist/common/random.js';

const SIDE = 64;
const RUNS = 30;
const size = [SIDE, SIDE, SIDE];
const geometry = { size, spacingMm: [1, 1, 1], originMm: [0, 0, 0], direction: [1, 0, 0, 0, 1, 0, 0, 0, 1] };
const stream = randomStream(1, 'bench-similarity');
const noise = (length) => Float32Array.from({ length }, () => stream.normal(0, 1));
const timed = (work) => {
  const start = performance.now();
  const result = work();
  return [performance.now() - start, result];
};
const median = (values) => values.toSorted((a, b) => a - b)[values.length >> 1].toFixed(1);

for (const [width, local, global] of [
  [0.125, 8, 64],
  [0.25, 8, 128],
  [1, 32, 512],
]) {
  const coarse = { data: noise(global * 64), channels: global, size: [4, 4, 4], side: 16, before: [0, 0, 0] };
  const values = noise(local * SIDE ** 3);
  const [localMs, localMap] = timed(() => localFeatureMap(geometry, local, values));
  const [globalMs, globalMap] = timed(() => globalFeatureMap(geometry, coarse));
  const image = { local: localMap, global: globalMap, seen: new Float32Array(SIDE ** 3).fill(1) };
  const residual = { geometry, data: noise(3 * SIDE ** 3) };
  const pair = new Correspondence(
    { fixed: image, moving: image },
    { affine: { matrix: geometry.direction, offset: [1, 0, 0] }, residual },
  );
  const said = ['local', 'global'].map((kind) => {
    const all = Array.from(
      { length: RUNS },
      (_, k) => timed(() => pair.at(k % 2 ? 'moving' : 'fixed', [2 * k, 30, 31], kind))[0],
    );
    return `${kind} ${median(all)} ms (most ${Math.max(...all).toFixed(1)})`;
  });
  console.log(`width ${width}: a click ${said.join(', ')}; once an image ${localMs.toFixed(0)} + ${globalMs.toFixed(0)} ms`);
}
