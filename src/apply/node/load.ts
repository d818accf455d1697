/** Loading a trained model: images of its calls are files as well as volumes in memory. */
import type { NetworkImage } from '../../cohort/network-image.ts';
import { readForNetwork } from '../../cohort/node/read-for-network.ts';
import { RunError, UsageError } from '../../common/errors.ts';
import type { Volume } from '../../geometry/volume.ts';
import { Model, prepareVolume } from '../model.ts';
import type { TrainedNetwork } from '../network.ts';
import type { InputImage } from './input-image.ts';
import { inputImages, inputOptions } from './inputs.ts';
import { memoryFor, type OpenOptions, openBackend, readNetworks } from './network.ts';

/** An image of a call: a file or a folder of one DICOM series, with what chooses among several; or a volume in memory. */
export type ImageInput =
  | string
  | Volume
  | {
      readonly path: string;
      /** Of a DICOM folder with several series: its number as listed, or its UID. */
      readonly series?: string;
      /** Of images with several channels (4D, several values a voxel), the one to take, from 0. */
      readonly channel?: number;
    };

async function inputOf(path: string, { preprocessing }: TrainedNetwork, series?: string, channel?: number): Promise<InputImage> {
  const { images, failed } = await inputImages([path], inputOptions({ series, channel }, preprocessing));
  if (failed.length > 0) throw new RunError(`${failed[0].path}: ${failed[0].reason}`);
  if (images.length > 1) throw new UsageError(`${path}: contains ${images.length} images; expected one`);
  return images[0];
}

async function prepareImage(image: ImageInput, network: TrainedNetwork, name: string): Promise<NetworkImage> {
  if (typeof image === 'object' && 'data' in image) return prepareVolume(image, network, name);
  const { path, series, channel } = typeof image === 'string' ? { path: image } : image;
  const { source, channel: ofFile, others } = await inputOf(path, network, series, channel);
  return readForNetwork(source, network.preprocessing, network.modalityIsCertain, ofFile ?? channel, others);
}

/**
 * Loads a model, to be closed by the caller; or several that segment or classify together.
 * @param pathOrRun a model folder, a run of pre-training or training (its best state), or a cross-validation (the models of all folds)
 * @throws RunError for a model that is missing or damaged; UsageError for a backend that is not there, a modality that is missing or another
 * than the model's
 * @example
 * const model = await load('runs/segment');
 * const { labels, structures } = await model.segment('scan.nii.gz');
 * await writeImage('labels.nii.gz', labels);
 * await model.close();
 */
export async function load(pathOrRun: string | readonly string[], options: OpenOptions = {}): Promise<Model<ImageInput>> {
  const networks = await readNetworks(pathOrRun, options.modality);
  const backend = await openBackend(options);
  return new Model(networks, backend, memoryFor(backend), prepareImage);
}
