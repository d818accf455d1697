/** Which ratios are taken, and of what; the processes that would take the times are played. */
import { describe, expect, it, vi } from 'vitest';
import { SILENT } from '../../common/progress.ts';
import { bestBuild } from '../../platform/node/cpu-host.ts';

const THREADED_S = 2;
const SINGLE_S = 4;
vi.mock('./in-turn.ts', async (original) => ({
  ...(await original<object>()),
  inOwnProcess: async (_: object, { threads }: { threads: number }) => ({ medianS: threads === 1 ? SINGLE_S : THREADED_S }),
  ownProcess: async () => ({
    rows: [{ rounds: [{ steps: 1, bareS: 1, loopS: 1.25, waitS: 0, computeS: 1, bareSleeps: 0, loopSleeps: 0 }] }],
  }),
}));

const { measureRatios } = await import('./ratios.ts');
const request = { build: bestBuild(), python: undefined, progress: SILENT, signal: new AbortController().signal };

describe('measureRatios', () => {
  it('stands threads, loop, builds and arithmetic beside each other, the better the smaller', async () => {
    const ratios = await measureRatios({ ...request, threads: 3 });
    const named = new Map(ratios.map((ratio) => [ratio.what, ratio]));
    const what = (name: string) => named.get(name);
    expect(what('step 32^3, width 0.25: 3 threads over 1')).toMatchObject({ value: 0.5, low: 0.5, high: 0.5 });
    expect(what('training 24x32x32, width 0.25, batch 2: loop over bare step')).toMatchObject({ value: 1.25 });
    expect(what('step 64^3, width 0.25: over its arithmetic at the peak')!.value).toBeGreaterThan(0);
    expect(what(`step 32^3, width 0.25: build ${request.build} over portable`)?.value ?? 1).toBe(1);
    expect([...named.keys()].filter((name) => name.includes('PyTorch'))).toEqual([]);
  });
  it('has no ratio of threads where there is one', async () => {
    const ratios = await measureRatios({ ...request, threads: 1 });
    expect(ratios.filter(({ what }) => what.includes('threads'))).toEqual([]);
  });
});
