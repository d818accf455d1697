/** How a training's last loss is told. */
import type { TrainResult } from '../training/node/task/train.ts';

/** ', loss 0.1234', after the number of steps. @param name of the loss */
export function lossText({ newSteps, loss }: Pick<TrainResult, 'newSteps' | 'loss'>, name = 'loss'): string {
  if (newSteps === 0) return ' before: nothing was left to train';
  return loss === null ? ', all of this call skipped' : `, ${name} ${loss.toFixed(4)}`;
}
