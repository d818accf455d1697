/** Says in every section what is missing before its works can begin: a control that rests says why. */
import type { Workspace } from './workspace.ts';

const FEATURES = {
  can: 'hasFeatures',
  model: 'a model with features of voxels: one that was pre-trained with a decoder, or that segments',
} as const;
/** What works need of what is open. */
const WORKS = {
  segment: {
    what: 'Segmenting',
    images: 1,
    can: 'canSegment',
    model: 'a model with a segmentation head: gvsl train segmentation makes one',
  },
  features: { what: 'Showing features', images: 1, ...FEATURES },
  register: {
    what: 'Registering',
    images: 2,
    can: 'canMatch',
    model: 'a model with a matching head: gvsl pretrain --method gvsl makes one',
  },
  compare: { what: 'Comparing', images: 2, ...FEATURES },
  teach: { what: 'Teaching', images: 1, ...FEATURES },
  'fine-tune': { what: 'Fine-tuning', images: 1, ...FEATURES },
} as const;
export type Work = keyof typeof WORKS;

/** What is missing before a work can begin, and what to do; empty if nothing is. */
export function missing({ model, first, second }: Workspace, work: Work): string {
  const { what, images, can, model: wanted } = WORKS[work];
  if (!model) return 'Open a model first.';
  if (!model[can]) return `${what} needs ${wanted}. ${model.name} has none.`;
  if (!first) return images === 2 ? 'Open two images first.' : 'Open an image first.';
  return images === 2 && !second ? 'Open a second image first.' : '';
}

/** Fills the lines that the sections have for it (`data-missing`: their works). */
export function startMissingLines(workspace: Workspace): void {
  const lines = document.querySelectorAll<HTMLElement>('[data-missing]');
  const tell = (): void => {
    for (const line of lines) {
      const works = line.dataset.missing!.split(' ') as Work[];
      const texts = new Set(works.map((work) => missing(workspace, work)).filter(Boolean));
      line.textContent = [...texts].join(' ');
      line.hidden = texts.size === 0;
    }
  };
  workspace.onChange((change) => {
    if (change !== 'busy') tell();
  });
  tell();
}
