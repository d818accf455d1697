/** The demo's choice between the whole training and the short one. The trainings themselves: test/cli.test.ts, and the rooms' own tests. */
import { describe, expect, it } from 'vitest';
import { SILENT } from '../common/progress.ts';
import { begunPlan, newPlan } from './demo.ts';

const signal = new AbortController().signal;
const WHOLE = expect.objectContaining({ learningRateDecaySteps: 1500 });
const SHORT = { steps: 600, learningRateDecaySteps: 600 };

async function chosen(stepSeconds: number, call: object = {}) {
  const said: string[] = [];
  const progress = { ...SILENT, say: (line: string) => void said.push(line) };
  const plan = await newPlan({ progress, signal, ...call }, stepSeconds);
  return { plan, said: said.join('\n') };
}

describe('the demo', () => {
  it('is trained whole where that takes minutes, and says how many', async () => {
    const { plan, said } = await chosen(0.1);
    expect(plan).toEqual(WHOLE);
    expect(said).toBe('a step takes 0.10 s on this machine: about 2 min 45 s for 1500 steps');
  });
  it('is short on a slow machine with nobody to ask, and says how it would be whole', async () => {
    const { plan, said } = await chosen(1);
    expect(plan).toEqual(SHORT);
    expect(said).toMatch(/the full demo would take about 27 min 30 s .* the short one about 11 min 0 s .* --steps 1500/);
  });
  it('asks whoever is there on a slow machine, and nobody on a quick one', async () => {
    const asked: string[] = [];
    const ask = (answer: boolean) => async (question: string) => {
      asked.push(question);
      return answer;
    };
    expect((await chosen(1, { ask: ask(true) })).plan).toEqual(SHORT);
    expect((await chosen(1, { ask: ask(false) })).plan).toEqual(WHOLE);
    expect((await chosen(0.1, { ask: ask(true) })).plan).toEqual(WHOLE);
    expect(asked).toHaveLength(2);
    expect(asked[0]).toContain('27 min');
  });
  it('does what it is told, however long that takes', async () => {
    expect((await chosen(1, { steps: 1500 })).plan).toEqual(WHOLE);
    expect((await chosen(0.1, { short: true })).plan).toEqual(SHORT);
  });
  it('goes on as it was begun', () => {
    const begun = (configuration: Record<string, unknown>) => ({ cohort: {}, configuration });
    expect(begunPlan(begun({ steps: 600, learningRateDecaySteps: 600 }), undefined)).toEqual(SHORT);
    expect(begunPlan(begun({ steps: 600, learningRateDecaySteps: 600 }), 1200)).toEqual({ ...SHORT, steps: 1200 });
    expect(begunPlan(begun({ steps: 1500, learningRateDecaySteps: 1500 }), undefined)).toEqual(WHOLE);
    expect(begunPlan(begun({ steps: 1500, learningRateDecaySteps: 1500 }), 3600)).toMatchObject({ steps: 3600 });
  });
});
