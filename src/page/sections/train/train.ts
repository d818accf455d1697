/** Pre-trains a small network on synthetic patients. */
import * as Comlink from 'comlink';
import { formatBytes } from '../../../common/format-bytes.ts';
import { Activity } from '../../activity.ts';
import { Curves, meanOfLast } from '../../curves.ts';
import { addSection, element, input, select } from '../../dom.ts';
import { memoryLine } from '../../memory-lines.ts';
import type { Workspace } from '../../workspace.ts';
import markup from './train.html?raw';

type Losses = Readonly<Record<string, number>>;

/** @returns the losses of the training's steps so far */
export function startTrain(workspace: Workspace): { readonly losses: readonly Losses[] } {
  const section = addSection(markup);
  const { compute } = workspace;
  const activity = new Activity(section, () => void compute.stop());
  const curves = new Curves(element('curves'));
  const losses: Losses[] = [];

  const tellMemory = memoryLine('train-memory', 'pre-training', () =>
    compute.trainingEstimate(workspace.backend, Number(select('width').value), Number(input('subjects').value)),
  );
  select('width').onchange = () => void tellMemory();
  input('subjects').onchange = () => void tellMemory();
  workspace.onChange((change) => {
    if (change === 'model') void tellMemory();
  });

  element('training-form').onsubmit = (event) => {
    event.preventDefault();
    const request = {
      subjects: Number(input('subjects').value),
      steps: Number(input('steps').value),
      width: Number(select('width').value),
      seed: 1,
    };
    curves.clear();
    losses.length = 0;
    const { subjects, steps } = request;
    const summary = (): string => `step ${losses.length} of ${steps}, loss ${meanOfLast(losses, 'total').toFixed(4)}`;
    let startedMs = 0;
    workspace.alone(() =>
      activity.run('starting ...', async () => {
        await compute.train(
          workspace.backend,
          request,
          Comlink.proxy((memoryBytes: number) =>
            activity.say(`${formatBytes(memoryBytes)} of memory; generating ${subjects} patients`),
          ),
          Comlink.proxy((subject: number) => {
            activity.say(`generating patients: ${subject} of ${subjects}`);
            startedMs = performance.now();
          }),
          Comlink.proxy((step: number, loss: Losses) => {
            losses.push(loss);
            curves.add(step, loss);
            activity.advance(step, steps, summary());
          }),
        );
        return `${summary()}; done in ${((performance.now() - startedMs) / 1000).toFixed(1)} s`;
      }),
    );
  };
  return { losses };
}
