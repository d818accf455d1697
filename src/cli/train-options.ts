/** The keys of training on a task that have an option of their own on the command line. */
import { asText, COMMON_OPTIONS, INIT_OPTION, type KeyOption, numberOr, readList } from './configuration-options.ts';

export const TRAIN_OPTIONS: readonly KeyOption[] = [
  INIT_OPTION,
  { name: 'mode', value: '<mode>', path: 'mode', read: asText },
  { name: 'labels', value: '<n>', path: 'data.labels', read: numberOr },
  { name: 'validation', value: '<n>', path: 'data.validation', read: numberOr },
  { name: 'test', value: '<n>', path: 'data.test', read: numberOr },
  { name: 'folds', value: '<n>', path: 'data.folds', read: numberOr },
  { name: 'fold', value: '<n>', path: 'data.fold', read: numberOr },
  { name: 'splitSeed', value: '<n>', path: 'data.splitSeed', read: numberOr },
  { name: 'split', value: '<file>', path: 'data.split', read: asText },
  { name: 'labelCodes', value: '<codes>', path: 'data.labelCodes', read: (text) => (text === 'all' ? text : readList(text)) },
  { name: 'foregroundShare', value: '<share>', path: 'data.foregroundShare', read: numberOr },
  { name: 'flips', value: '<axes>', path: 'data.augmentation.flips', read: readList },
  { name: 'loss', value: '<kind>', path: 'loss.kind', read: asText },
  { name: 'earlyStop', value: '<n>', path: 'earlyStopEvaluations', read: numberOr },
  { name: 'evaluateEvery', value: '<n>', path: 'log.evaluateEverySteps', read: numberOr },
  ...COMMON_OPTIONS,
];
