/** What a run came to in one figure: what its checkpoints are judged by, as far as it has it. */
import { MEASURES, short } from './figures.ts';
import { probeScores } from './method-page.ts';
import type { EvaluationRecord, RunRecord } from './run-data.ts';
import { mainScore } from './task-page.ts';

export interface RunScore {
  /** 'landmark error'. */
  readonly name: string;
  readonly value: number;
  /** With its unit. */
  readonly text: string;
}

/** Of an evaluation; undefined where it judged nothing. */
export function scoreOf(run: RunRecord, evaluation: EvaluationRecord): RunScore | undefined {
  if (run.task) {
    const { title, of } = mainScore(run.task);
    const value = of(evaluation);
    return value === null ? undefined : { name: title, value, text: value.toFixed(3) };
  }
  for (const { name, title, unit, format } of MEASURES) {
    const value = evaluation[name]?.after;
    if (typeof value === 'number')
      return { name: title.toLowerCase(), value, text: unit === 'mm' ? `${format(value)}\u202fmm` : format(value) };
  }
  for (const [name, value] of probeScores(evaluation.probe))
    if (value !== null) return { name: `${name} of a probe`, value, text: value.toFixed(3) };
  const loss = evaluation.heldOut?.loss.total;
  return typeof loss === 'number' ? { name: 'held-out loss', value: loss, text: short(loss) } : undefined;
}
