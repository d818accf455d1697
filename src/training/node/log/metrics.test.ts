import { appendFileSync, readFileSync, writeFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { openMetricsLog, readMetrics } from './metrics.ts';

let folder = '';
let path = '';
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'gvsl-metrics-'));
  path = join(folder, 'run', 'metrics.jsonl');
});
afterEach(() => rm(folder, { recursive: true }));

function write(from: number, to: number, resumed?: number): void {
  const log = openMetricsLog(path, resumed);
  for (let step = from; step <= to; step++) log.append({ step, kind: 'train', loss: 1 / step, note: 'é' });
  log.sync();
  log.close();
}
const steps = (): number[] =>
  readFileSync(path, 'utf8')
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line).step);

describe('metrics.jsonl', () => {
  it('is byte for byte the same in one go and resumed, after a half line and lines past the checkpoint', () => {
    write(1, 20);
    const whole = readFileSync(path, 'utf8');
    expect(whole.split('\n')[1]).toBe('{"step":2,"kind":"train","loss":0.5,"note":"é"}');
    writeFileSync(path, '');
    write(1, 13);
    appendFileSync(path, '{"step":14,"kind":"tr');
    write(11, 20, 10);
    expect(readFileSync(path, 'utf8')).toBe(whole);
  });

  it('is read without the half line of a log that is being written; a damaged line is named', async () => {
    write(1, 3);
    appendFileSync(path, '{"step":4,"ki');
    expect((await readMetrics(path)).map(({ step }) => step)).toEqual([1, 2, 3]);
    appendFileSync(path, '\n');
    await expect(readMetrics(path)).rejects.toThrow(`${path}: line 4 is damaged: {"step":4,"ki`);
    await expect(readMetrics(join(folder, 'none.jsonl'))).rejects.toThrow('none.jsonl: no such file');
  });

  it('a new run begins empty; one resumed at the last step keeps all', () => {
    write(1, 3);
    write(4, 5, 3);
    expect(steps()).toEqual([1, 2, 3, 4, 5]);
    write(1, 1);
    expect(steps()).toEqual([1]);
  });

  it('finds lines across the pieces that a large file is read in', () => {
    const log = openMetricsLog(path);
    for (let step = 1; step <= 30; step++) log.append({ step, kind: 'train', text: 'x'.repeat(100_000) });
    log.close();
    openMetricsLog(path, 25).close();
    expect(steps().at(-1)).toBe(25);
  });

  it('writes null for what JSON cannot say', () => {
    const log = openMetricsLog(path);
    log.append({ step: 1, kind: 'skipped', loss: Number.NaN });
    log.close();
    expect(readFileSync(path, 'utf8')).toBe('{"step":1,"kind":"skipped","loss":null}\n');
  });
});
