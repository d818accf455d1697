import { expect, it } from 'vitest';
import { Catalogue } from './catalogue.ts';
import type { RunSource } from './source.ts';

/** A source with one log, and how many bytes were asked of it. */
function sourceOf(log: string) {
  const all = new TextEncoder().encode(log);
  const asked: number[] = [];
  const source: RunSource = {
    isLive: true,
    list: async () => ({ name: 'runs', folders: [], left: null }),
    files: async () => [],
    text: async () => undefined,
    part: async (_, from, limit) => {
      asked.push(limit);
      return { bytes: all.slice(from).slice(0, limit), sizeBytes: all.length };
    },
    url: () => undefined,
  };
  const folder = { path: 'run', locked: false, files: [{ name: 'metrics.jsonl', sizeBytes: all.length, modifiedMs: 0 }] };
  return { asked, entry: async () => (await new Catalogue().entries(source, [folder], 'runs', () => {}))[0] };
}
const evaluation = (step: number, more = ''): string =>
  `${JSON.stringify({ kind: 'evaluation', step, landmarkErrorMm: { after: 7.5 }, more })}\n`;
const steps = (count: number): string =>
  Array.from({ length: count }, (_, i) => `${JSON.stringify({ kind: 'step', step: i + 1, loss: { total: 1 / 3 } })}\n`).join('');

it('tells the last result where the end of the log has it, and nothing more is read', async () => {
  const { asked, entry } = sourceOf(steps(4000) + evaluation(4000));
  expect(await entry()).toMatchObject({ step: 4000, method: '\u2013', score: { value: 7.5 } });
  expect(asked).toEqual([1 << 16]);
});

it('tells the last result also where each of many steps since then is logged', async () => {
  const { entry } = sourceOf(evaluation(0) + steps(5000));
  expect(await entry()).toMatchObject({ step: 5000, state: 'stopped', score: { value: 7.5 } });
});

it('tells the state of a run whose last line is longer than the end that is read', async () => {
  const { entry } = sourceOf(steps(30) + evaluation(30, 'x'.repeat(100_000)));
  expect(await entry()).toMatchObject({ step: 30, state: 'stopped', score: { value: 7.5 } });
});
