import { expect, it } from 'vitest';
import type { Subject } from '../../cohort/cohort.ts';
import type { Session } from '../../engine/backend.ts';
import { type JudgedMethod, type JudgementContext, judge } from './judge.ts';

it('chooses nothing where the losses are not finite: what was probed before has another scale', async () => {
  const sides = { training: 'training', heldOut: 'heldOut' } as unknown as Record<'training' | 'heldOut', Subject>;
  const judged = (losses: Readonly<Record<string, number>>, probe: boolean) => {
    const session = {
      run: async (_: string, { side }: { side: string }) => ({ 'loss.total': Float32Array.of(losses[side]) }),
    } as unknown as Session;
    const context = {
      configuration: {
        judgement: { examples: 2, probe, probeSubjects: 1 },
        model: { width: 0.25 },
        data: { patch: 16 },
        seed: 1,
      },
      training: [sides.training],
      heldOut: [sides.heldOut],
      pictures: false,
      step: 3,
    } as unknown as JudgementContext<never>;
    const method = {
      examples:
        (_: never, [side]: Subject[]) =>
        async () => ({ side }),
    } as unknown as JudgedMethod<never>;
    return judge(session, context, method);
  };
  expect((await judged({ training: 0.5, heldOut: 0.25 }, false))!.score).toBe(0.25);
  for (const losses of [
    { training: Number.NaN, heldOut: 0.25 },
    { training: 0.5, heldOut: Number.POSITIVE_INFINITY },
  ]) {
    const { score, summary, text } = (await judged(losses, true))!;
    expect([score, summary.chosenBy]).toEqual([null, null]);
    expect(text).not.toContain('chosen');
  }
});
