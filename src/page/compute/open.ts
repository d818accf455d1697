/** Opening models and images. */
import * as Comlink from 'comlink';
import { canRegister, type ModelFiles, networkOfFiles } from '../../apply/network.ts';
import type { Geometry } from '../../geometry/volume.ts';
import { readNiftiFile, writeNiftiFile } from '../../images/nifti-file.ts';
import { hasDecoder } from '../../model/architecture.ts';
import { renderSubject } from '../../phantom/subject.ts';
import { DEMO_SETTINGS } from '../../training/demo-settings.ts';
import type { ComputeState } from './state.ts';

/** Of the model, for people. */
export interface ModelSummary {
  readonly description: string;
  readonly canSegment: boolean;
  readonly hasFeatures: boolean;
  readonly canMatch: boolean;
}

export interface ImageSummary {
  /** What the worker knows it by. */
  readonly id: number;
  /** The file. */
  readonly title: string;
  readonly geometry: Geometry;
  /** Size, voxel size and type. */
  readonly description: string;
  /** What is unusual about it, a sentence each. */
  readonly warnings: readonly string[];
}

/** The example's patients: another cohort than the one that its model has learnt from. */
const EXAMPLE_SEED = 2;

/** One of the example's synthetic patients: finer than the network sees them, as real scans are. */
export function examplePatient(subject: number) {
  const { kind, spacingMm, pose } = DEMO_SETTINGS.phantoms;
  return renderSubject({ kind, seed: EXAMPLE_SEED, subject, spacingMm: spacingMm / 2, pose });
}

export const openPart = (state: ComputeState) => {
  let lastId = 0;
  return {
    openModel(files: ModelFiles): ModelSummary {
      state.network = undefined;
      const model = networkOfFiles(files);
      state.network = model;
      const { task, step, architecture } = model.configuration;
      const { modality, spacingMm } = model.preprocessing;
      const canSegment = task?.kind === 'segmentation';
      const [canMatch, hasFeatures] = [canRegister(model.architecture), hasDecoder(model.architecture.heads)];
      const does = [
        ...(canSegment ? [`segments ${task.labels.length - 1} structures`] : []),
        ...(canMatch ? ['registers'] : []),
        ...(hasFeatures ? ['shows features'] : []),
      ];
      return {
        description: [
          `${task ? `trained for ${task.kind}` : 'pre-trained'}, width ${architecture.width}, ${step} steps`,
          `${modality.toUpperCase()} at ${spacingMm.join(' x ')} mm`,
          does.join(', ') || 'not supported by this page: use gvsl classify',
        ].join('; '),
        canSegment,
        hasFeatures,
        canMatch,
      };
    },

    async openImage(name: string, bytes: ArrayBuffer): Promise<ImageSummary> {
      const image = await readNiftiFile(name, bytes);
      const id = ++lastId;
      state.images.set(id, image);
      const { geometry } = image.volume;
      const mm = geometry.spacingMm.map((side) => +side.toFixed(3)).join(' x ');
      const description = `${geometry.size.join(' x ')} voxels of ${mm} mm, ${image.storedType}`;
      return { id, title: name, geometry, description, warnings: image.warnings };
    },

    closeImage(id: number): void {
      state.images.delete(id);
    },

    /** What was read of an image, as a .nii file. */
    imageAsNifti(id: number): Uint8Array<ArrayBuffer> {
      const { geometry, data } = state.image(id).volume;
      const file = writeNiftiFile(geometry, data);
      return Comlink.transfer(file, [file.buffer]);
    },

    /** A CT of one of the example's synthetic patients, as a .nii file. */
    examplePatient(subject: number): Uint8Array<ArrayBuffer> {
      const { image } = examplePatient(subject);
      return writeNiftiFile(image.geometry, image.data);
    },
  };
};
