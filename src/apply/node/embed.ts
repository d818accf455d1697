/**
 * The features that a backbone has of an image: local ones for every voxel, one global vector, and a picture of the local ones: their first three
 * principal components as red, green and blue.
 */
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { channelsOf } from '../../cohort/network-image.ts';
import { readForNetwork } from '../../cohort/node/read-for-network.ts';
import { RunError, UsageError } from '../../common/errors.ts';
import type { Progress } from '../../common/progress.ts';
import { toZyx } from '../../geometry/volume.ts';
import { featurePicture } from '../../images/pictures/feature-picture.ts';
import { encodePng } from '../../images/pictures/png.ts';
import { writeSafetensors } from '../../model/node/safetensors.ts';
import { writeFileAtomic } from '../../platform/node/files.ts';
import { guardInputs } from '../../platform/node/guard.ts';
import { inResults, type ResultFolder } from '../../platform/node/results.ts';
import { embedPrepared } from '../embedding/embed.ts';
import { type OpenNetwork, windowsFor } from '../network.ts';
import type { InputImage } from './input-image.ts';
import { filesOf, inputImages, inputOptions } from './inputs.ts';
import { type ApplyCall, modelInputsOf, withNetwork } from './network.ts';

export interface EmbedCall extends ApplyCall {
  readonly input: string;
}

export interface EmbedReport {
  readonly model: { readonly folder: string; readonly step: number };
  readonly image: string;
  /** (channels, D, H, W) of the local features; null for a network without a decoder. */
  readonly local: readonly number[] | null;
  /** Length of the global vector. */
  readonly global: number;
  /** Share of the local features' variance that each component of the picture explains. */
  readonly explained: readonly number[];
  readonly files: readonly string[];
  /** What is unusual about the image. */
  readonly warnings: readonly string[];
}

const FILES = ['features.safetensors', 'features.png'] as const;

/** Writes features.safetensors and, of a network with a decoder, features.png. @throws UsageError or RunError naming the input and why */
export async function embedImage(call: EmbedCall): Promise<EmbedReport> {
  return withNetwork(call, async (open, progress) => {
    const plan = windowsFor(open, call);
    const { images, failed, warnings } = await inputImages([call.input], inputOptions(call, open.network.preprocessing));
    if (failed.length > 0) throw new RunError(`${failed[0].path}: ${failed[0].reason}`);
    if (images.length > 1) throw new UsageError(`${call.input}: contains ${images.length} images; expected one`);
    return guardInputs([...filesOf(images), ...(await modelInputsOf(call))], () =>
      inResults(call.out, { names: FILES, overwrite: call.overwrite ?? false, by: 'gvsl embed' }, (results) =>
        embedOne(results, call, open, progress, images[0], plan, warnings),
      ),
    );
  });
}

async function embedOne(
  results: ResultFolder,
  { out, channel, signal }: EmbedCall,
  open: OpenNetwork,
  progress: Progress,
  { source, channel: ofFile, others }: InputImage,
  plan: ReturnType<typeof windowsFor>,
  warnings: readonly string[],
): Promise<EmbedReport> {
  const { folder, configuration, preprocessing, modalityIsCertain } = open.network;
  const image = await readForNetwork(source, preprocessing, modalityIsCertain, ofFile ?? channel, others);
  const { prepared } = image;
  const features = await embedPrepared(open, source.path, channelsOf(image), plan, { progress, ...(signal ? { signal } : {}) });
  const { local, global, colours, explained, geometry, seen } = features;
  await writeSafetensors(
    join(out, 'features.safetensors'),
    [...(local ? [{ name: 'local', ...local }] : []), { name: 'global', shape: [global.length], data: global }],
    {
      image: source.path,
      spacingMm: JSON.stringify(geometry.spacingMm),
      originMm: JSON.stringify(geometry.originMm),
      direction: JSON.stringify(geometry.direction),
      axes: 'local is (channels, z, y, x); geometry is x, y, z in LPS',
    },
  );
  const picture = join(out, 'features.png');
  if (colours) await writeFileAtomic(picture, encodePng(featurePicture(toZyx(geometry.size), seen, colours)));
  // an earlier call's would be of another model
  else await rm(picture, { force: true });
  const files = colours ? FILES : FILES.slice(0, 1);
  await results.finish(files);
  return {
    model: { folder, step: configuration.step },
    image: source.path,
    local: local?.shape ?? null,
    global: global.length,
    explained,
    files,
    warnings: [...warnings, ...prepared.problems],
  };
}
