/** Fine-tuning the open model on labelled images, in the page: the training of `gvsl train segmentation`. */
import * as Comlink from 'comlink';
import { filesOfNetwork, type ModelFiles } from '../../apply/network.ts';
import type { TaughtLabel } from '../../apply/teaching/network-with-head.ts';
import { type MemorySubject, memorySubject } from '../../cohort/memory-subjects.ts';
import type { LabelArray } from '../../cohort/reader.ts';
import { RunError } from '../../common/errors.ts';
import type { Zyx } from '../../geometry/volume.ts';
import { trainedPatch } from '../../model/configuration.ts';
import { type BackendName, openBackend } from '../../platform/browser/backends.ts';
import { type FineTuneStep, FineTuning } from '../../training/task/fine-tune.ts';
import { type ComputeState, MEMORY } from './state.ts';

/** An open image and its labels. */
export interface LabelledImage {
  readonly image: number;
  /** Codes on the image's own grid. */
  readonly codes: LabelArray;
  /** Images that judge are not trained on, unless there is no other. */
  readonly judges: boolean;
}

export interface FineTuneCall {
  readonly images: readonly LabelledImage[];
  /** The background first. */
  readonly labels: readonly TaughtLabel[];
  readonly learningRate: number;
  /** (z, y, x) */
  readonly crop: Zyx;
}

/** What a fine-tuning will take. */
export interface FineTunePlan {
  readonly memoryBytes: number;
  readonly secondsPerStep: number;
  readonly backend: string;
  /** What is unusual about the images, a sentence each. */
  readonly warnings: readonly string[];
}

/** How the images that judge are segmented after some steps. */
export interface Judgement {
  readonly step: number;
  readonly dice: number | null;
  readonly dicePerClass: readonly (number | null)[];
  /** RGBA of the first of them: image, truth and prediction in three planes. */
  readonly picture: { readonly width: number; readonly height: number; readonly data: Uint8Array } | null;
}

/** Of a few hundred steps on a few images: what docs/transfer.md finds for few labels. */
const SETTINGS = { batch: 2, loss: { kind: 'diceCrossEntropy' }, gradientClip: 12 } as const;
const FOREGROUND_SHARE = 0.5;
const USUAL_CROP: Zyx = [64, 64, 64];

export const fineTunePart = (state: ComputeState) => {
  let tuning: FineTuning | undefined;
  let backendText = '';

  async function end(): Promise<void> {
    const before = tuning;
    tuning = undefined;
    await before?.close();
  }

  return {
    /** The crops that the open model was trained with, (z, y, x). */
    usualCrop(): Zyx {
      return (state.network && trainedPatch(state.network.configuration)) ?? USUAL_CROP;
    },

    /** Opens a fine-tuning of the open model in the place of one before. @throws RunError for too little memory, or no labels */
    async openFineTuning({ images, labels, learningRate, crop }: FineTuneCall, name: BackendName): Promise<FineTunePlan> {
      const { network } = state;
      if (!network) throw new RunError('no model yet: choose a model folder');
      await end();
      const backend = await openBackend(name);
      backendText = backend.description;
      const warnings: string[] = [];
      const subjects: { readonly it: MemorySubject; readonly judges: boolean }[] = [];
      for (const { image: id, codes, judges } of images) {
        const image = state.image(id);
        const labelled = { geometry: image.volume.geometry, data: codes };
        const prepared = await state.prepare(image, network);
        warnings.push(...prepared.prepared.problems.map((problem) => `${image.path}: ${problem}`));
        subjects.push({ it: memorySubject(String(id), prepared, labelled), judges });
      }
      const judging = subjects.filter(({ judges }) => judges);
      const training = subjects.length > judging.length ? subjects.filter(({ judges }) => !judges) : subjects;
      tuning = await FineTuning.open({
        network,
        backend,
        memory: MEMORY,
        training: training.map(({ it }) => it),
        validation: (judging.length > 0 ? judging : subjects).map(({ it }) => it),
        labels,
        configuration: { ...SETTINGS, learningRate, data: { patch: [...crop], foregroundShare: FOREGROUND_SHARE } },
      });
      const secondsPerStep = await tuning.secondsPerStep();
      return { memoryBytes: tuning.memoryBytes, secondsPerStep, backend: backendText, warnings };
    },

    /** Trains until so many steps are done in all; a call that was stopped goes on. */
    async fineTune(
      steps: number,
      evaluateEvery: number,
      onStep: (step: FineTuneStep) => void,
      onJudgement: (judgement: Judgement) => void,
    ): Promise<void> {
      if (!tuning) throw new RunError('nothing to go on with: begin anew');
      const signal = state.begin();
      await tuning.run({
        steps,
        evaluateEvery,
        signal,
        onStep,
        onEvaluation: (step, { summary, pictures }) =>
          onJudgement({
            step,
            dice: summary.dice,
            dicePerClass: summary.dicePerClass ?? [],
            picture: pictures[0]?.picture ?? null,
          }),
      });
    },

    /** The model: its best state by the images that judge, else its last one. */
    async fineTunedModel(): Promise<{ readonly files: ModelFiles; readonly step: number }> {
      if (!tuning) throw new RunError('nothing was fine-tuned yet');
      const { network, step } = await tuning.network();
      const files = filesOfNetwork({ ...network, folder: 'fine-tuned' });
      return Comlink.transfer({ files, step }, [files.weights]);
    },

    /** Gives its memory back: it cannot go on then. */
    endFineTuning: end,
  };
};
