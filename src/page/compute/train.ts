/** The demo's pre-training. */
import { type BackendName, openBackend } from '../../platform/browser/backends.ts';
import { type DemoTraining, trainDemo } from './demo-training.ts';
import type { ComputeState } from './state.ts';

export const trainPart = (state: ComputeState) => ({
  async train(
    name: BackendName,
    request: Pick<DemoTraining, 'subjects' | 'steps' | 'width' | 'seed'>,
    onStart: DemoTraining['onStart'],
    onSubject: DemoTraining['onSubject'],
    onStep: DemoTraining['onStep'],
  ): Promise<void> {
    const signal = state.begin();
    await trainDemo({ ...request, backend: await openBackend(name), onStart, onSubject, onStep, signal });
  },
});
