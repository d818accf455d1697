/** Registration, and views of what it did. */
import * as Comlink from 'comlink';
import type { RegisterResult } from '../../apply/registration/in-memory.ts';
import {
  checkerboard,
  deformationGrid,
  differenceColours,
  displacementMm,
  foldsOf,
  greyWindow,
  type ShownPair,
} from '../../apply/registration/views.ts';
import { warpImage } from '../../apply/registration/warp.ts';
import { RunError } from '../../common/errors.ts';
import type { Volume } from '../../geometry/volume.ts';
import { writeNiftiFile } from '../../images/nifti-file.ts';
import type { BackendName } from '../../platform/browser/backends.ts';
import type { ImageResult } from './apply.ts';
import type { ComputeState, OnProgress } from './state.ts';

export interface Registered extends ImageResult {
  /** Local correlation with the fixed image on the network's grid: centre on centre, after the affine, after the deformation. */
  readonly ncc: RegisterResult['ncc'];
  /** Voxels of the fixed image where the map folds, and their share of all. */
  readonly folds: { readonly voxels: number; readonly share: number; readonly range: readonly [number, number] };
  /** How far voxels are brought, mm. */
  readonly displacementMm: { readonly mean: number; readonly greatest: number };
  readonly warnings: readonly string[];
}

/** What to show of the registration, on the fixed image's grid. */
export type RegistrationView =
  /** The moving image itself, after the registration or before. */
  | { readonly kind: 'overlay'; readonly isBefore: boolean }
  | { readonly kind: 'checkerboard'; readonly isBefore: boolean; readonly cellMm: number }
  | { readonly kind: 'difference'; readonly isBefore: boolean }
  /** Lines in slices perpendicular to an axis of the fixed image's grid. */
  | { readonly kind: 'grid'; readonly normal: number; readonly cellMm: number }
  | { readonly kind: 'folds' };

export const registerPart = (state: ComputeState) => {
  let shown:
    | {
        readonly result: RegisterResult;
        readonly fixed: Volume;
        readonly before: Volume;
        readonly windows: ShownPair['windows'];
        readonly folds: Volume<Uint8Array>;
      }
    | undefined;

  return {
    /** Registers one image to another: centre on centre, affine, then deformable; the result is it on the fixed one's own grid. */
    register(moving: number, fixed: number, name: BackendName, onProgress: OnProgress): Promise<Registered> {
      shown = undefined;
      return state.applying(name, onProgress, async (model, options) => {
        const [still, moved] = [state.image(fixed), state.image(moving)];
        const result = await model.register(moved, still, options);
        const { warped, ncc, network, warnings, start } = result;
        const grid = still.volume.geometry;
        const { mask, ...folds } = foldsOf(result.jacobian());
        const own = greyWindow(moved.volume);
        const ofFixed = greyWindow(still.volume);
        shown = {
          result,
          fixed: still.volume,
          before: warpImage(moved.volume, start, grid, own.low),
          // Hounsfield units mean the same in both
          windows: { fixed: ofFixed, moving: model.network.preprocessing.modality === 'ct' ? ofFixed : own },
          folds: mask,
        };
        return {
          nifti: writeNiftiFile(warped.geometry, warped.data),
          ncc: ncc.filter(({ stage }) => stage !== 'asStored'),
          folds,
          displacementMm: displacementMm(result.displacement()),
          warnings: [...(network?.reason ? [network.reason] : []), ...warnings],
        };
      });
    },

    /** The field of the last registration, where each voxel is brought minus where it is, as a .nii file of vectors. @throws RunError */
    registrationField(): Uint8Array<ArrayBuffer> {
      if (!shown) throw new RunError('nothing is registered yet');
      const { geometry, data } = shown.result.displacement();
      const file = writeNiftiFile(geometry, data, 'vector');
      return Comlink.transfer(file, [file.buffer]);
    },

    /** A view of the last registration, as a .nii file. @throws RunError */
    registrationView(view: RegistrationView): Uint8Array<ArrayBuffer> {
      if (!shown) throw new RunError('nothing is registered yet');
      const { result, fixed, before, windows, folds } = shown;
      const { geometry } = fixed;
      const written = (): Uint8Array<ArrayBuffer> => {
        if (view.kind === 'folds') return writeNiftiFile(geometry, folds.data);
        if (view.kind === 'grid')
          return writeNiftiFile(geometry, deformationGrid(result.displacement(), view.normal, view.cellMm).data);
        const moving = (view.isBefore ? before : result.warped).data;
        if (view.kind === 'overlay') return writeNiftiFile(geometry, moving);
        const pair: ShownPair = { geometry, fixed: fixed.data, moving, windows };
        if (view.kind === 'checkerboard') return writeNiftiFile(geometry, checkerboard(pair, view.cellMm).data);
        return writeNiftiFile(geometry, differenceColours(pair), 'rgb');
      };
      const file = written();
      return Comlink.transfer(file, [file.buffer]);
    },

    /** Gives the memory of the last registration back. */
    endRegistration(): void {
      shown = undefined;
    },
  };
};
