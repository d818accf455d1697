// A new way to pre-train: masked image modelling. Cubes of the image are blanked out, and the U-Net with the restoration head learns to fill them.
// `pretrain.mjs` trains by it.
import { Graph, mseLoss, parameterNodes, randomStream, STATES } from 'gvsl/engine';
import {
  gradientGraph,
  NO_HEADS,
  parameterTable,
  pretrainingSchema,
  restorationHead,
  scaledArchitecture,
  schemaParts,
  toPatchSize,
  trainingProgramOf,
  unet,
} from 'gvsl/methods';

const HEADS = { ...NO_HEADS, restoration: true };
const CUBE = 8;

/** The loss of an image that was masked. */
function restore(table, size) {
  const graph = new Graph();
  const parameters = parameterNodes(graph, STATES.parameters, table);
  const [image, masked] = ['image', 'masked'].map((name) => graph.input(name, [1, 1, ...size]));
  const loss = mseLoss(graph, restorationHead(graph, parameters, unet(graph, parameters, masked).local), image);
  return { graph, parameters, loss };
}

/** The image with a share of its cubes at 0. */
function mask(image, [depth, height, width], share, seed) {
  const [rows, columns] = [height, width].map((side) => Math.ceil(side / CUBE));
  const random = randomStream(seed, 'mask');
  const hidden = Array.from({ length: Math.ceil(depth / CUBE) * rows * columns }, () => random.uniform(0, 1) < share);
  return image.map((value, v) => {
    const [z, y, x] = [v / (height * width), (v / width) % height, v % width].map((at) => Math.floor(at / CUBE));
    return hidden[(z * rows + y) * columns + x] ? 0 : value;
  });
}

export const method = {
  name: 'masked',
  title: 'masked image modelling',
  module: import.meta.url,
  imagesPerExample: 2,
  schema: pretrainingSchema({ maskedShare: schemaParts.share().default(0.6).describe('Share of the cubes that are masked.') }),
  heads: () => HEADS,
  program: ({ model, data, batch }, { patch = toPatchSize(data.patch), width = model.width, lossScaling } = {}) => {
    const table = parameterTable(scaledArchitecture(width, HEADS));
    const { graph, parameters, loss } = restore(table, patch);
    const gradient = gradientGraph(graph, [{ name: 'mse', node: loss }], { table, parameters, share: 1 / batch, lossScaling });
    const judged = restore(table, patch);
    judged.graph.output('mse', judged.loss);
    return { program: trainingProgramOf(table, { gradient, judge: judged.graph }), table };
  },
  examples:
    ({ seed, data, maskedShare }, subjects, reader) =>
    async (step, sample) => {
      const random = randomStream(seed, 'example', step, sample);
      const subject = subjects[random.integer(0, subjects.length)];
      const patch = toPatchSize(data.patch);
      const start = patch.map((side, axis) => random.integer(0, Math.max(1, subject.geometry.size[2 - axis] - side + 1)));
      const image = await reader.readCrop(subject, start, patch);
      return { image, masked: mask(image, patch, maskedShare, random.integer(0, 2 ** 31)) };
    },
  evaluate: async (session, { data, maskedShare }, heldOut, reader, { step }) => {
    if (heldOut.length === 0) return null;
    const patch = toPatchSize(data.patch);
    const errors = [];
    for (const subject of heldOut) {
      const image = await reader.readCrop(subject, [0, 0, 0], patch);
      const { mse } = await session.run('judge', { image, masked: mask(image, patch, maskedShare, 1) });
      errors.push(mse[0]);
    }
    const score = errors.reduce((sum, error) => sum + error, 0) / errors.length;
    return {
      score,
      summary: { mse: score },
      details: {},
      scalars: { 'heldOut/mse': score },
      pictures: [],
      text: `step ${step}: ${score}`,
    };
  },
};
