/** One number that says how good a state of a task's network is: what training chooses the best checkpoint by, and the report names. */

/** Scores on validation subjects; null where one is not defined. */
interface TaskScores {
  readonly dice: number | null;
  readonly auc: number | null;
  readonly accuracy: number | null;
}

/** The lower the better; null without a score. Overlap; else area under the ROC curve, accuracy between equal areas, and alone where none is defined. */
export function taskLoss({ dice, auc, accuracy }: TaskScores): number | null {
  if (dice !== null) return 1 - dice;
  if (accuracy === null) return auc === null ? null : 1 - auc;
  return 1 - (auc ?? 0.5) + 1e-3 * (1 - accuracy);
}
