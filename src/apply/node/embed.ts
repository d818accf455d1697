/**
 * The features that a backbone has of an image: local ones for every voxel, one global vector, and a picture of the local ones: their first three
 * principal components as red, green and blue.
 */
import { join } from 'node:path';
import { readForNetwork } from '../../cohort/node/read-for-network.ts';
import { UsageError, WorkError } from '../../common/errors.ts';
import { formatBytes } from '../../common/format-bytes.ts';
import { toZyx, type Zyx } from '../../geometry/volume.ts';
import { featurePicture } from '../../images/pictures/feature-picture.ts';
import { encodePng } from '../../images/pictures/png.ts';
import { hasDecoder } from '../../model/architecture.ts';
import { trainedPatch } from '../../model/configuration.ts';
import { writeSafetensors } from '../../model/node/safetensors.ts';
import { featuresProgram } from '../../model/task-programs.ts';
import { writeFileAtomic } from '../../platform/node/files.ts';
import { guardInputs, modelInputs } from '../../platform/node/guard.ts';
import { availableBytes } from '../../platform/node/limits.ts';
import { openResults } from '../../platform/node/results.ts';
import { volumeFeatures } from '../embedding/volume-features.ts';
import { windowCount } from '../segmentation/sliding-window.ts';
import { filesOf, type InputImage, inputImages } from './inputs.ts';
import { type ApplyCall, openNetwork, readNetwork, type TrainedNetwork, windowOf } from './network.ts';

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
  /** What is unusual about the image. */
  readonly warnings: readonly string[];
}

const FILES = ['features.safetensors', 'features.png'] as const;

/** Sides of the window if the model does not say what it was trained with. */
const DEFAULT_SIDE = 64;

/** Writes features.safetensors and features.png. @throws UsageError or WorkError naming the input and why */
export async function embedImage(call: EmbedCall): Promise<EmbedReport> {
  const network = await readNetwork(call.model, call.modality);
  if (!hasDecoder(network.architecture.heads))
    throw new UsageError(
      `${network.folder}: a classifier has no decoder, so no local features; give a pre-trained model or a segmenter`,
    );
  const window = windowOf(call.window, trainedPatch(network.configuration) ?? [DEFAULT_SIDE, DEFAULT_SIDE, DEFAULT_SIDE]);
  const { images, failed, warnings } = await inputImages([call.input], { series: call.series });
  if (failed.length > 0) throw new WorkError(`${failed[0]!.path}: ${failed[0]!.reason}`);
  if (images.length > 1) throw new UsageError(`${call.input}: holds ${images.length} images; give one`);
  return guardInputs([...filesOf(images), ...(await modelInputs(call.model))], () =>
    embedOne(call, network, images[0]!, window, warnings),
  );
}

async function embedOne(
  { out, backend, progress, overlap = 0.5, overwrite = false, ...call }: EmbedCall,
  network: TrainedNetwork,
  input: InputImage,
  window: Zyx,
  warnings: readonly string[],
): Promise<EmbedReport> {
  const results = await openResults(out, { names: FILES, overwrite, by: 'gvsl embed' });
  const { cropped, prepared } = await readForNetwork(
    input.source,
    network.preprocessing,
    call.modality !== undefined,
    call.channel,
  );
  const size = toZyx(cropped.geometry.size);
  const voxels = size[0] * size[1] * size[2];
  const channels = network.architecture.widths[8]!;
  const bytes = 4 * voxels * (channels + 4);
  if (bytes > availableBytes().bytes)
    throw new WorkError(`${call.input}: its local features need ${formatBytes(bytes)}, more than there is; crop the image`);
  const session = await openNetwork(network, backend, featuresProgram(network.architecture, window), window);
  progress.start(windowCount({ size, window, overlap }), 'windows');
  const features = await volumeFeatures({
    session,
    architecture: network.architecture,
    cropped,
    window,
    overlap,
    onWindow: () => progress.advance(1),
  }).finally(async () => {
    await session.close();
    progress.stop();
  });
  const { spacingMm, originMm, direction } = cropped.geometry;
  await writeSafetensors(
    join(out, 'features.safetensors'),
    [
      { name: 'local', shape: [channels, ...size], data: features.local },
      { name: 'global', shape: [features.global.length], data: features.global },
    ],
    {
      image: input.source.path,
      spacingMm: JSON.stringify(spacingMm),
      originMm: JSON.stringify(originMm),
      direction: JSON.stringify(direction),
      axes: 'local is (channels, z, y, x); geometry is x, y, z in LPS',
    },
  );
  const picture = featurePicture(size, cropped.data, features.colours);
  await writeFileAtomic(join(out, 'features.png'), encodePng(picture));
  await results.finish(FILES);
  return {
    model: { folder: network.folder, step: network.configuration.step },
    image: input.source.path,
    local: [channels, ...size],
    global: features.global.length,
    explained: features.explained,
    files: FILES,
    warnings: [...warnings, ...prepared.problems],
  };
}
