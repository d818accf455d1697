/** Losses and measures of pre-training as people name them, in texts, reports and on the page. */
const NAMES: Readonly<Record<string, string>> = {
  total: 'total loss',
  mse: 'mean squared error',
  crossEntropy: 'cross-entropy',
  dice: '1 \u2212 Dice',
  ntXent: 'NT-Xent',
  ncc: '1 \u2212 NCC',
  wideNcc: '1 \u2212 NCC, wider window',
  affineNcc: '1 \u2212 NCC, affine only',
  reverseNcc: '1 \u2212 NCC, the other way',
  features: '1 \u2212 NCC of features',
  smooth: 'smoothness of the flow',
  reverseSmooth: 'smoothness of the flow, the other way',
  inverse: 'inverse consistency',
  affinePose: 'affine pose',
  unrestoredMse: 'mean squared error of what the network sees',
  meanMse: 'mean squared error of filling with the mean',
  accuracy: 'accuracy',
  spread: 'spread of the projections (1 healthy, 0 collapsed)',
};
const MEASURE_NAMES: Readonly<Record<string, string>> = { ...NAMES, dice: 'Dice' };

/** "heldOutLoss" as people write it. */
export const readable = (name: string): string =>
  name.replaceAll(/([a-z])([A-Z])/g, (_, a: string, b: string) => `${a} ${b.toLowerCase()}`);
/** A loss, by its key in metrics.jsonl. */
export const lossName = (name: string): string => NAMES[name] ?? readable(name);
/** A measure, by its key in metrics.jsonl. */
export const measureName = (name: string): string => MEASURE_NAMES[name] ?? readable(name);
