/**
 * The features that a backbone has of images: of each, local ones for every voxel with a picture of them (their first three principal components as
 * red, green and blue), and one global vector; the global vectors of all images in a table.
 */
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { channelsOf } from '../../cohort/network-image.ts';
import { readForNetwork } from '../../cohort/node/read-for-network.ts';
import { csvLine } from '../../common/csv.ts';
import type { Progress } from '../../common/progress.ts';
import { toZyx, type Zyx } from '../../geometry/volume.ts';
import { featurePicture } from '../../images/pictures/feature-picture.ts';
import { encodePng } from '../../images/pictures/png.ts';
import { hasDecoder } from '../../model/architecture.ts';
import { jsonText } from '../../model/node/documents.ts';
import { writeSafetensors } from '../../model/node/safetensors.ts';
import { type Failure, failureOf } from '../../platform/node/batch.ts';
import { writeFileAtomic } from '../../platform/node/files.ts';
import { guardInputs } from '../../platform/node/guard.ts';
import type { Part } from '../../platform/node/parts.ts';
import { inResults } from '../../platform/node/results.ts';
import { type EmbedResult, embedPrepared } from '../embedding/embed.ts';
import { type OpenNetwork, windowsFor } from '../network.ts';
import { filesOf, inputImages, inputOptions, leftOut, partFile } from './inputs.ts';
import { type ApplyCall, modelInputsOf, withNetwork } from './network.ts';

export interface EmbedCall extends ApplyCall {
  readonly inputs: readonly string[];
  /** Writes the table of global vectors alone, no files of each image: local features are several times as large as the image. Default false. */
  readonly globalOnly?: boolean;
  /** Only the images of a part, by their names: for job arrays, which may share a folder of results. */
  readonly part?: Part | undefined;
}

export interface EmbeddedImage {
  readonly name: string;
  readonly path: string;
  /** (channels, D, H, W) of the local features; null for a network without a decoder, and where only global vectors are written. */
  readonly local: readonly number[] | null;
  /** Share of the local features' variance that each component of the picture explains. */
  readonly explained: readonly number[];
  readonly files: readonly string[];
  readonly warnings: readonly string[];
}

export interface EmbedReport {
  readonly model: { readonly folder: string; readonly step: number };
  /** Length of the global vectors. */
  readonly global: number;
  readonly window: Zyx;
  readonly images: readonly EmbeddedImage[];
  /** Inputs without a result, and why. */
  readonly failed: readonly Failure[];
  /** What concerns no single image: files of a folder that were left out. */
  readonly warnings: readonly string[];
}

const TABLE = 'global.csv';
const REPORT = 'embed.json';
const featuresName = (name: string): string => `${name}.safetensors`;
const pictureName = (name: string): string => join('pictures', `${name}.png`);

/**
 * Writes the features of images: NAME.safetensors and, of a network with a decoder, pictures/NAME.png for each, global.csv and embed.json. An image
 * that cannot be read or prepared is listed in `failed`, and the others are done.
 * @throws UsageError before anything is computed; RunError if the model cannot be used, or nothing more can be computed or written
 */
export async function embedImages(call: EmbedCall): Promise<EmbedReport> {
  return withNetwork(call, (open, progress) => embedWith(open, progress, call));
}

async function embedWith(open: OpenNetwork, progress: Progress, call: EmbedCall): Promise<EmbedReport> {
  const { out, signal, part, globalOnly = false, overwrite = false } = call;
  const { folder, configuration, preprocessing, modalityIsCertain } = open.network;
  const { architecture } = open.only('embed');
  const plan = windowsFor(open, call);
  const inputs = await inputImages(call.inputs, inputOptions(call, preprocessing));
  const [table, reportName] = [TABLE, REPORT].map((name) => partFile(name, part));
  const hasPicture = hasDecoder(architecture.heads);
  const filesFor = (name: string): string[] =>
    globalOnly ? [] : [featuresName(name), ...(hasPicture ? [pictureName(name)] : [])];
  const names = [...inputs.images.flatMap(({ name }) => filesFor(name)), table, reportName];
  return guardInputs([...filesOf(inputs.images), ...(await modelInputsOf(call))], () =>
    inResults(out, { names, overwrite, by: 'gvsl embed', part }, async (results) => {
      const images: EmbeddedImage[] = [];
      const lines: string[] = [];
      const failed = [...inputs.failed];
      const warnings = [...inputs.warnings];
      for (const input of inputs.images) {
        signal?.throwIfAborted();
        const { name, source, others, channel = call.channel } = input;
        const image = await readForNetwork(source, preprocessing, modalityIsCertain, channel, others).catch((error: unknown) =>
          failureOf(error, source.path),
        );
        if ('reason' in image) {
          failed.push(image);
          progress.say(`${image.path}: ${image.reason}`);
          continue;
        }
        const why = leftOut(input, image.prepared.doubts);
        if (why !== undefined) {
          warnings.push(why);
          continue;
        }
        const features = await embedPrepared(
          open,
          source.path,
          channelsOf(image),
          { ...plan, globalOnly },
          {
            progress,
            ...(signal ? { signal } : {}),
          },
        );
        const { global, explained } = features;
        const files = filesFor(name);
        if (!globalOnly) await writeFeatures(out, name, source.path, features);
        await results.finish(files);
        lines.push(csvLine([name, ...Array.from(global, (value) => String(value))]));
        const local = features.local?.shape ?? null;
        images.push({ name, path: source.path, local, explained, files, warnings: image.prepared.problems });
      }
      const length = architecture.widths[4];
      const heading = csvLine(['case', ...Array.from({ length }, (_, k) => `g${k}`)]);
      const report: EmbedReport = {
        model: { folder, step: configuration.step },
        global: length,
        window: plan.window,
        images,
        failed,
        warnings,
      };
      await writeFileAtomic(join(out, table), `${[heading, ...lines].join('\n')}\n`);
      await writeFileAtomic(join(out, reportName), jsonText(report));
      await results.finish([table, reportName]);
      return report;
    }),
  );
}

async function writeFeatures(
  out: string,
  name: string,
  path: string,
  { local, global, colours, geometry, seen }: Omit<EmbedResult, 'warnings'>,
): Promise<void> {
  await writeSafetensors(
    join(out, featuresName(name)),
    [...(local ? [{ name: 'local', ...local }] : []), { name: 'global', shape: [global.length], data: global }],
    {
      image: path,
      spacingMm: JSON.stringify(geometry.spacingMm),
      originMm: JSON.stringify(geometry.originMm),
      direction: JSON.stringify(geometry.direction),
      axes: 'local is (channels, z, y, x); geometry is x, y, z in LPS',
    },
  );
  const picture = join(out, pictureName(name));
  if (colours)
    await writeFileAtomic(picture, encodePng(featurePicture(toZyx(geometry.size), seen, colours, toZyx(geometry.spacingMm))));
  // an earlier call's would be of another model
  else await rm(picture, { force: true });
}
