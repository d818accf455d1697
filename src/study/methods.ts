/** The methods that a study can name, in the order of its tables. */
import { METHODS } from '../methods/registry.ts';

/** What every other method is compared with: no pre-training. */
export const SCRATCH = 'scratch';

export const STUDY_METHODS: readonly { readonly name: string; readonly title: string }[] = [
  { name: SCRATCH, title: SCRATCH },
  ...METHODS.filter(({ name, preset }) => name === 'gvsl' || preset !== undefined),
];
