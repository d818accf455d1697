/** The methods that a study can name, in the order of its tables. */
import { GVSL, METHODS, methodNamed } from '../methods/registry.ts';

/** What every other method is compared with: no pre-training. */
export const SCRATCH = 'scratch';

export interface StudyMethod {
  readonly name: string;
  readonly title: string;
  /** Whether its decoder is random when training on a segmentation begins. */
  readonly encoderOnly: boolean;
}

export const STUDY_METHODS: readonly StudyMethod[] = [
  { name: SCRATCH, title: SCRATCH, encoderOnly: false },
  ...METHODS.map(({ name, title, trains }) => ({ name, title, encoderOnly: trains === 'encoder' })),
];

/** Those of GVSL and its ablations: the paper's own table. */
export const GVSL_METHODS: readonly string[] = [
  SCRATCH,
  ...METHODS.filter(({ name, preset }) => name === GVSL || preset !== undefined).map(({ name }) => name),
];

/** The names whose keys in `pretraining.methods` a method takes, the later before the earlier: GVSL's ablations take GVSL's. */
export const namesOfKeys = (name: string): readonly string[] => (methodNamed(name)?.preset ? [GVSL, name] : [name]);
