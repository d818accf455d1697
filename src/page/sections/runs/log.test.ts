import { describe, expect, it } from 'vitest';
import { RunLog } from './log.ts';

/** A log that a test writes, and how many bytes were asked of it. */
function written() {
  const file = { text: '', asked: 0, there: true };
  const log = new RunLog(
    {
      part: async (_, from, limit) => {
        if (!file.there) return undefined;
        const all = new TextEncoder().encode(file.text);
        const bytes = all.slice(from, from + limit);
        file.asked += bytes.length;
        return { bytes, sizeBytes: all.length };
      },
    },
    'run',
  );
  return { file, log };
}
const line = (step: number, loss = 1 / step): string => `${JSON.stringify({ kind: 'step', step, loss: { total: loss } })}\n`;
const steps = (log: RunLog): number[] => log.records.map(({ step }) => step);

describe('a log that grows', () => {
  it('is read line by line, whole lines alone', async () => {
    const { file, log } = written();
    expect(await log.update()).toBe(false);
    file.text = line(1) + line(2).slice(0, 20);
    expect(await log.update()).toBe(true);
    expect(steps(log)).toEqual([1]);
    expect(await log.update()).toBe(false);
    file.text = line(1) + line(2) + line(3);
    expect(await log.update()).toBe(true);
    expect(steps(log)).toEqual([1, 2, 3]);
    expect(log.damaged).toBe(0);
  });

  it('is not read again, however long', async () => {
    const { file, log } = written();
    file.text = Array.from({ length: 30_000 }, (_, i) => line(i + 1)).join('');
    await log.update();
    expect(steps(log)).toHaveLength(30_000);
    file.asked = 0;
    file.text += line(30_001);
    await log.update();
    expect(steps(log).at(-1)).toBe(30_001);
    expect(file.asked).toBeLessThan(300);
  });

  it('that a resumed run has cut back is read anew, shorter or longer than it was', async () => {
    const { file, log } = written();
    file.text = line(1) + line(2) + line(3);
    await log.update();
    file.text = line(1);
    expect(await log.update()).toBe(true);
    expect(steps(log)).toEqual([1]);
    file.text = line(1) + line(2) + line(3);
    await log.update();
    file.text = line(1) + line(2, 7) + line(3, 7) + line(4, 7);
    await log.update();
    expect(log.records.map((record) => record.kind === 'step' && record.loss.total)).toEqual([1, 7, 7, 7]);
    file.there = false;
    expect(await log.update()).toBe(true);
    expect(steps(log)).toEqual([]);
  });

  it('with lines that are none says how many, and goes on', async () => {
    const { file, log } = written();
    file.text = `${line(1)}no line\n\n{"kind":"other","step":2}\n${line(3)}`;
    await log.update();
    expect([steps(log), log.damaged]).toEqual([[1, 3], 2]);
  });

  it('has lines of any length', async () => {
    const { file, log } = written();
    const long = `${JSON.stringify({ kind: 'step', step: 2, loss: {}, more: 'x'.repeat(3 << 20) })}\n`;
    file.text = line(1) + long + line(3);
    await log.update();
    expect(steps(log)).toEqual([1, 2, 3]);
  });
});
