/** Applying the model to one image: segmentation, features as colours. */

import { RunError } from '../../common/errors.ts';
import { voxelCount } from '../../geometry/volume.ts';
import { writeNiftiFile } from '../../images/nifti-file.ts';
import type { BackendName } from '../../platform/browser/backends.ts';
import type { Computed, ComputeState, OnProgress } from './state.ts';

/** A finished result: a .nii file on the image's own grid (features: on the prepared one). */
export interface ImageResult extends Computed {
  readonly nifti: Uint8Array<ArrayBuffer>;
}

export interface Segmented extends ImageResult {
  readonly structures: readonly { readonly code: number; readonly name: string; readonly volumeMl: number }[];
  /** For each class, if they were asked for: on the image's own grid. */
  readonly probabilities: readonly Float32Array[] | null;
  readonly warnings: readonly string[];
}

export interface Features extends ImageResult {
  /** (channels, D, H, W) on the prepared grid, if they were asked for. */
  readonly local: Float32Array | null;
  readonly warnings: readonly string[];
}

export const applyPart = (state: ComputeState) => ({
  segment(image: number, name: BackendName, wantProbabilities: boolean, onProgress: OnProgress): Promise<Segmented> {
    return state.applying(name, onProgress, async (model, options) => {
      const { labels, structures, probabilities, warnings } = await model.segment(state.image(image), {
        ...options,
        probabilities: wantProbabilities,
      });
      return {
        nifti: writeNiftiFile(labels.geometry, labels.data),
        structures,
        warnings,
        probabilities: probabilities?.map(({ data }) => data) ?? null,
      };
    });
  },

  /** The first three principal components of the local features as colours. */
  features(image: number, name: BackendName, wantLocal: boolean, onProgress: OnProgress): Promise<Features> {
    return state.applying(name, onProgress, async (model, options) => {
      const { local, colours, geometry, seen, warnings } = await model.embed(state.image(image), options);
      if (!local || !colours)
        throw new RunError('this model has no decoder and so no local features; use a model that was pre-trained with one');
      const rgb = new Uint8Array(3 * voxelCount(geometry.size));
      // air has features too, but no anatomy
      seen.forEach((value, voxel) => {
        if (value <= 0) return;
        for (let k = 0; k < 3; k++) rgb[3 * voxel + k] = Math.round(255 * colours[k][voxel]);
      });
      return { nifti: writeNiftiFile(geometry, rgb, 'rgb'), local: wantLocal ? local.data : null, warnings };
    });
  },
});
