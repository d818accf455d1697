// A new way to pre-train: masked image modelling. Cubes of the image are blanked out, and the U-Net with the restoration head learns to fill them.
// `pretrain.mjs` trains by it.
import { mseLoss, randomStream } from 'gvsl/engine';
import {
  cropDataSection,
  cropOf,
  drawSubject,
  judge,
  judgementSection,
  methodProgram,
  NO_HEADS,
  pretrainingSchema,
  restorationHead,
  scaledArchitecture,
  schemaParts,
  toPatchSize,
  unet,
} from 'gvsl/methods';

const HEADS = { ...NO_HEADS, restoration: true };
const CUBE = 8;

/** The image with a share of its cubes at 0. */
function mask(image, [depth, height, width], share, random) {
  const [rows, columns] = [height, width].map((side) => Math.ceil(side / CUBE));
  const hidden = Array.from({ length: Math.ceil(depth / CUBE) * rows * columns }, () => random.chance(share));
  return image.map((value, v) => {
    const [z, y, x] = [v / (height * width), (v / width) % height, v % width].map((at) => Math.floor(at / CUBE));
    return hidden[(z * rows + y) * columns + x] ? 0 : value;
  });
}

const examples = (configuration, subjects, reader) => async (step, sample) => {
  const { seed, data, maskedShare } = configuration;
  const image = await cropOf(configuration, drawSubject(seed, subjects, step, sample), reader, ['image', step, sample]);
  return { image, masked: mask(image, toPatchSize(data.patch), maskedShare, randomStream(seed, 'mask', step, sample)) };
};

export const method = {
  name: 'masked',
  title: 'masked image modelling',
  module: import.meta.url,
  imagesPerExample: 2,
  schema: pretrainingSchema({
    data: cropDataSection,
    judgement: judgementSection,
    maskedShare: schemaParts.share().default(0.6).describe('Share of the cubes that are masked.'),
  }),
  heads: () => HEADS,
  program: ({ model, data, batch }, { patch: size = toPatchSize(data.patch), width = model.width, lossScaling } = {}) =>
    methodProgram({ architecture: scaledArchitecture(width, HEADS), size, batch, lossScaling }, (graph, parameters, samples) => {
      const [image, masked] = ['image', 'masked'].map((name) => graph.input(name, [samples, 1, ...size]));
      const restored = restorationHead(graph, parameters, unet(graph, parameters, masked).local);
      return { losses: [{ name: 'mse', node: mseLoss(graph, restored, image) }], outputs: { restored } };
    }),
  examples,
  evaluate: (session, configuration, heldOut, reader, request) =>
    judge(session, { configuration, heads: HEADS, heldOut, reader, ...request }, { examples }),
};
