/**
 * The features that a backbone has of an image: local ones for every voxel, one global vector, and a picture of the local ones: their first three
 * principal components as red, green and blue.
 */
import { join } from 'node:path';
import { readForNetwork } from '../cohort/read-for-network.ts';
import { UsageError } from '../errors/errors.ts';
import { cropPad } from '../geometry/crop.ts';
import { toXyz, toZyx, type Zyx } from '../geometry/volume.ts';
import { principalComponents, project } from '../method/embedding/principal-components.ts';
import { featuresProgram } from '../method/transfer/programs.ts';
import { slideWindows, windowCount } from '../method/transfer/sliding-window.ts';
import { hasDecoder } from '../model/architecture.ts';
import { writeFileAtomic } from '../node/files.ts';
import { writeSafetensors } from '../node/safetensors.ts';
import { featurePicture } from '../pictures/feature-picture.ts';
import { encodePng } from '../pictures/picture.ts';
import { percentileOf } from '../scores/segmentation.ts';
import { availableBytes, formatBytes } from '../training/estimate.ts';
import { inputImages } from './inputs.ts';
import { type ApplyCall, openNetwork, readNetwork, windowOf } from './network.ts';

export interface EmbedCall extends ApplyCall {
  readonly input: string;
}

export interface EmbedReport {
  readonly model: { readonly folder: string; readonly step: number };
  readonly image: string;
  /** (channels, D, H, W) of the local features. */
  readonly local: readonly number[];
  /** Length of the global vector. */
  readonly global: number;
  /** Share of the local features' variance that each component of the picture explains. */
  readonly explained: readonly number[];
  readonly files: readonly string[];
}

/** Sides of the window if the model does not say what it was trained with. */
const DEFAULT_SIDE = 64;
/** Voxels darker than this are not looked at for the components: air says nothing of anatomy. */
const FOREGROUND = 0.02;

/** Writes features.safetensors and features.png. @throws UsageError or WorkError naming the input and why */
export async function embedImage(call: EmbedCall): Promise<EmbedReport> {
  const { out, backend, progress, overlap = 0.5 } = call;
  const network = await readNetwork(call.model, call.modality);
  if (!hasDecoder(network.architecture.heads))
    throw new UsageError(
      `${network.folder}: a classifier has no decoder, so no local features; give a pre-trained model or a segmenter`,
    );
  const { task, pretraining } = network.configuration;
  const trained = task?.patch ?? pretraining?.data.patch ?? DEFAULT_SIDE;
  const window = windowOf(call.window, typeof trained === 'number' ? [trained, trained, trained] : trained);
  const [input, ...others] = await inputImages([call.input], call.series);
  if (others.length > 0) throw new UsageError(`${call.input}: holds ${others.length + 1} images; give one`);
  const { cropped } = await readForNetwork(input!.source, network.preprocessing, call.modality !== undefined);
  const size = toZyx(cropped.geometry.size);
  const voxels = size[0] * size[1] * size[2];
  const channels = network.architecture.widths[8]!;
  const bytes = 4 * voxels * (channels + 4);
  if (bytes > availableBytes().bytes)
    throw new UsageError(`${call.input}: its local features need ${formatBytes(bytes)}, more than there is; crop the image`);
  const session = await openNetwork(network, backend, featuresProgram(network.architecture, window), window);
  const local = new Float32Array(channels * voxels);
  const global = new Float64Array(network.architecture.widths[4]!);
  let windows = 0;
  progress.start(windowCount(size, window, overlap), 'windows');
  try {
    const predict = async (start: Zyx): Promise<Float32Array> => {
      const found = await session.run('features', { image: cropPad(cropped, toXyz(start), toXyz(window), 0).data });
      const places = found.global!.length / global.length;
      for (let c = 0; c < global.length; c++)
        for (let k = 0; k < places; k++) global[c]! += found.global![c * places + k]! / places;
      windows++;
      progress.advance(1);
      return found.local!;
    };
    const plane = size[1] * size[2];
    let z = 0;
    for await (const values of slideWindows({ size, window, overlap, channels, predict })) {
      for (let c = 0; c < channels; c++) local.set(values.subarray(c * plane, (c + 1) * plane), c * voxels + z * plane);
      z++;
    }
  } finally {
    await session.close();
    progress.stop();
  }
  const components = principalComponents(local, channels, 3, (voxel) => cropped.data[voxel]! > FOREGROUND);
  const colours = [0, 1, 2].map((k) => {
    const values = project(local, components, Math.min(k, components.directions.length - 1));
    const sorted = values.filter((_, voxel) => cropped.data[voxel]! > FOREGROUND).sort();
    const [low, high] = sorted.length > 0 ? [percentileOf(sorted, 0.02), percentileOf(sorted, 0.98)] : [0, 1];
    return values.map((value) => Math.min(1, Math.max(0, (value - low) / (high - low || 1))));
  });
  const { spacingMm, originMm, direction } = cropped.geometry;
  const vector = Float32Array.from(global, (sum) => sum / windows);
  await writeSafetensors(
    join(out, 'features.safetensors'),
    [
      { name: 'local', shape: [channels, ...size], data: local },
      { name: 'global', shape: [vector.length], data: vector },
    ],
    {
      image: input!.source.path,
      spacingMm: JSON.stringify(spacingMm),
      originMm: JSON.stringify(originMm),
      direction: JSON.stringify(direction),
      axes: 'local is (channels, z, y, x); geometry is x, y, z in LPS',
    },
  );
  const picture = featurePicture(size, cropped.data, colours as [Float32Array, Float32Array, Float32Array]);
  await writeFileAtomic(join(out, 'features.png'), encodePng(picture));
  return {
    model: { folder: network.folder, step: network.configuration.step },
    image: input!.source.path,
    local: [channels, ...size],
    global: vector.length,
    explained: components.explained,
    files: ['features.safetensors', 'features.png'],
  };
}
