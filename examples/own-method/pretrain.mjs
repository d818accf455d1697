// Pre-trains by the method of `method.mjs`, as by any other: checkpoints, exact resume, logs and the thread of examples are there.
//   node examples/own-method/pretrain.mjs COHORT OUT [STEPS]
import { pretrain } from 'gvsl';
import { method } from './method.mjs';

const [cohort, out, steps = 100] = process.argv.slice(2);
if (!out) {
  console.error('usage: node examples/own-method/pretrain.mjs COHORT OUT [STEPS]');
  process.exit(2);
}
const configuration = {
  steps: Number(steps),
  maskedShare: 0.5,
  model: { width: 0.125 },
  data: { patch: 16, heldOut: 1 },
  log: { evaluateEverySteps: 5 },
};
const result = await pretrain({ method, cohort, out, configuration });
console.log(
  `${result.step} steps, loss ${result.loss.toFixed(4)}, held-out loss ${result.evaluation.heldOut.loss.total.toFixed(4)}`,
);
