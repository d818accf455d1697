/** The processes that prepare subjects, which only a build has. Needs `npm run build`, which `npm test` does. */
import { setTimeout as pause, setImmediate as turn } from 'node:timers/promises';
import { expect, it } from 'vitest';

it('stops a process whose answer is there but not yet read, and ends', async () => {
  const { startWorker } = await import(new URL('../dist/cohort/node/workers.js', import.meta.url).href);
  const options = { modality: 'ct', spacingMm: [1, 1, 1], size: null, crop: 'none', intensity: 'minmax' };
  const worker = startWorker(options, [], '/nowhere');
  const task = { id: 'a', image: { kind: 'file', path: '/nowhere/a.nii' }, labels: [], landmarksPath: null, split: 'train' };
  await expect(worker.prepare(task)).rejects.toThrow('a.nii');
  const answer = worker.prepare(task).catch(() => 'refused');
  await turn();
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1000);
  expect(await Promise.race([worker.stop().then(() => 'stopped'), pause(20_000).then(() => 'waits for ever')])).toBe('stopped');
  expect(await answer).toBe('refused');
});
