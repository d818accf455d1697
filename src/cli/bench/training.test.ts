/** The training loop beside the bare step: that the right things are counted and told. Times themselves are never judged. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { SILENT } from '../../common/progress.ts';
import { writeTinyCohort } from '../../training/testing/tiny-cohort.ts';
import { besideBusy } from './busy.ts';
import { type LoopRound, summarizeLoop } from './loop.ts';
import { describeMachine } from './machine.ts';
import { markdown, trainingTable, trainingText } from './tables.ts';
import { measureTraining, shapeText, type TrainingRow } from './training.ts';

const folder = mkdtempSync(join(tmpdir(), 'gvsl-bench-test-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const cohort = join(folder, 'cohort');
beforeAll(() => writeTinyCohort(cohort));

const SHAPE = { size: [16, 16, 16], width: 0.125, batch: 2 } as const;
const round = (bareS: number, loopS: number, waitS = 0, computeS = loopS): LoopRound => ({
  steps: 5,
  bareS,
  loopS,
  waitS,
  computeS,
  bareSleeps: 0,
  loopSleeps: 0,
});

describe('measureTraining', () => {
  it('measures the loop and the bare step in turn, on a given cohort, beside a busy process too', async () => {
    for (const load of ['idle', 'busy'] as const) {
      const result = await measureTraining({
        shapes: [SHAPE],
        threads: [1],
        loads: [load],
        build: 'portable',
        steps: 2,
        cohort,
        command: 'gvsl bench train',
        progress: SILENT,
        signal: new AbortController().signal,
      });
      expect(result).toMatchObject({ format: 'gvsl-bench-train', leftOut: [], rows: [{ ...SHAPE, threads: 1, load }] });
      expect(result.rows[0].rounds).toHaveLength(2);
      for (const { steps, bareS, loopS, waitS, computeS } of result.rows[0].rounds) {
        expect(steps).toBe(2);
        expect(bareS).toBeGreaterThan(0);
        expect(computeS).toBeGreaterThan(0);
        expect(loopS).toBeGreaterThanOrEqual(waitS + computeS);
      }
    }
  });
  it('ends when it is stopped', async () => {
    const controller = new AbortController();
    controller.abort();
    const request = { shapes: [SHAPE], threads: [1], loads: ['idle'], build: 'portable', steps: 1, cohort: undefined } as const;
    await expect(measureTraining({ ...request, command: '', progress: SILENT, signal: controller.signal })).rejects.toThrow(
      'stopped',
    );
  });
  it('says what is wrong with a cohort before anything is measured', async () => {
    const request = { shapes: [SHAPE], threads: [1, 2], loads: ['idle'], build: 'portable', steps: 1, command: '' } as const;
    const measured = measureTraining({ ...request, cohort: folder, progress: SILENT, signal: new AbortController().signal });
    await expect(measured).rejects.toThrow(/expected a cohort made by gvsl prepare|no cohort\.json/);
  });
  it('names what does not fit', async () => {
    const request = { shapes: [{ ...SHAPE, size: [400, 400, 400] as const }], threads: [1], loads: ['idle'] as const };
    const rest = { build: 'portable', steps: 1, cohort, command: '', progress: SILENT } as const;
    await expect(measureTraining({ ...request, ...rest, signal: new AbortController().signal })).rejects.toThrow(
      /400\^3, width 0\.125, batch 2: not enough memory/,
    );
  });
});

describe('besideBusy', () => {
  it('ends the busy process whether the work succeeds or fails', async () => {
    expect(await besideBusy(async () => 7)).toBe(7);
    await expect(
      besideBusy(async () => {
        throw new Error('no');
      }),
    ).rejects.toThrow('no');
  });
});

describe('the table', () => {
  const rows: TrainingRow[] = [
    { ...SHAPE, threads: 1, load: 'idle', rounds: [round(2, 2)] },
    { ...SHAPE, threads: 2, load: 'idle', rounds: [round(1, 1.25, 0.1, 1.1), round(1, 1.25, 0.1, 1.1)] },
    { ...SHAPE, threads: 2, load: 'busy', rounds: [round(3, 4)] },
  ];
  it('says what is kept, where the rest goes, and what the threads bring beside the same load', () => {
    expect(markdown(trainingTable(rows)).split('\n').slice(2)).toEqual([
      '| 16^3, width 0.125, batch 2 | 1 | 2.00 s | 2.00 s | 1.00 | 0.0 % | 0.0 % | 0.0 % |  |',
      '| 16^3, width 0.125, batch 2 | 2 | 1.00 s | 1.25 s | 0.80 | 8.0 % | 8.0 % | 4.0 % | x 2.00 |',
      '| 16^3, width 0.125, batch 2, beside a busy process | 2 | 3.00 s | 4.00 s | 0.75 | 0.0 % | 25.0 % | 0.0 % |  |',
    ]);
    const machine = describeMachine('portable', 1);
    const document = { format: 'gvsl-bench-train', machine, command: 'gvsl bench train', rows, leftOut: ['more'] } as const;
    const text = trainingText(document, markdown);
    expect(text).toContain('command: gvsl bench train');
    expect(text).toContain('2 threads');
    expect(text).toContain('Skipped: more');
  });
  it('takes medians of the ratios of each round', () => {
    expect(summarizeLoop([round(1, 2), round(4, 5), round(1, 1)]).kept).toBe(0.8);
    expect(shapeText({ ...SHAPE, size: [24, 32, 32] })).toBe('24x32x32, width 0.125, batch 2');
  });
});
