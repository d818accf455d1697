// A small 3D network of one's own, trained with the engine: two convolutions learn to tell a bright ball from the noise around it.
//   node examples/own-network.mjs [STEPS]
import { createBackend } from 'gvsl';
import {
  adamStep,
  conv3d,
  diceLoss,
  Graph,
  groupNorm,
  initialParameters,
  parameterNodes,
  randomStream,
  STATES,
  softmax,
  tableOf,
} from 'gvsl/engine';
import { gradientGraph, trainingProgramOf } from 'gvsl/methods';

const SIDE = 16;
const CHANNELS = 8;
const steps = Number(process.argv[2] ?? 40);

// parameters: names, shapes, and what they start from
const uniform = (fanIn) => ({ kind: 'uniform', bound: 1 / Math.sqrt(fanIn) });
const table = tableOf([
  { name: 'first.weight', shape: [CHANNELS, 1, 3, 3, 3], start: uniform(27) },
  { name: 'norm.weight', shape: [CHANNELS], start: { kind: 'constant', value: 1 } },
  { name: 'norm.bias', shape: [CHANNELS], start: { kind: 'constant', value: 0 } },
  { name: 'second.weight', shape: [2, CHANNELS, 3, 3, 3], start: uniform(27 * CHANNELS) },
  { name: 'second.bias', shape: [2], start: { kind: 'constant', value: 0 } },
]);

/** The network: an image (1, 1, D, H, W) to the probabilities of two classes (1, 2, D, H, W). */
function network(graph) {
  const parameters = parameterNodes(graph, STATES.parameters, table);
  const image = graph.input('image', [1, 1, SIDE, SIDE, SIDE]);
  const features = conv3d(graph, image, parameters('first.weight'));
  const normed = groupNorm(graph, features, parameters('norm.weight'), parameters('norm.bias'), { groups: 1, slope: 0.2 });
  const logits = conv3d(graph, normed, parameters('second.weight'), parameters('second.bias'));
  return { parameters, probabilities: softmax(graph, logits) };
}

const training = new Graph();
const { parameters, probabilities } = network(training);
const truth = training.input('truth', [1, 2, SIDE, SIDE, SIDE]);
const loss = diceLoss(training, probabilities, truth);
const predict = new Graph();
predict.output('probabilities', network(predict).probabilities);
const program = trainingProgramOf(table, {
  gradient: gradientGraph(training, [{ name: 'dice', node: loss }], { table, parameters, share: 1 }),
  predict,
});

/** A ball of radius 4 somewhere in noise; the truth is one-hot: background, ball. */
function example(step) {
  const random = randomStream(1, 'ball', step);
  const centre = [0, 1, 2].map(() => random.uniform(5, SIDE - 5));
  const image = new Float32Array(SIDE ** 3);
  const oneHot = new Float32Array(2 * SIDE ** 3);
  for (let v = 0; v < image.length; v++) {
    const position = [Math.floor(v / SIDE ** 2), Math.floor(v / SIDE) % SIDE, v % SIDE];
    const inside = Math.hypot(...position.map((p, k) => p - centre[k])) <= 4;
    image[v] = random.normal(inside ? 1 : 0, 0.5);
    oneHot[(inside ? SIDE ** 3 : 0) + v] = 1;
  }
  return { image, truth: oneHot };
}

const backend = await createBackend('cpu', 1);
const session = await backend.open(program);
try {
  await session.writeState(STATES.parameters, initialParameters(table, 1));
  for (let step = 0; step < steps; step++) {
    const { 'loss.dice': dice } = await session.run('gradient', example(step));
    await session.run('update', { step: adamStep(1e-2, step + 1) });
    if (step % 10 === 0 || step === steps - 1) console.log(`step ${step + 1}: Dice loss ${dice[0].toFixed(4)}`);
  }
  const { image, truth: expected } = example(steps);
  const { probabilities: found } = await session.run('predict', { image });
  let right = 0;
  for (let v = 0; v < SIDE ** 3; v++) if (found[SIDE ** 3 + v] > 0.5 === expected[SIDE ** 3 + v] > 0.5) right++;
  console.log(`${((100 * right) / SIDE ** 3).toFixed(1)} % of the voxels of a new image are right`);
} finally {
  await session.close();
}
