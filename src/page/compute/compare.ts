/** Two images compared by their features. */
import * as Comlink from 'comlink';
import { FOREGROUND } from '../../apply/embedding/volume-features.ts';
import type { Correspondence, FeatureKind, Side } from '../../apply/similarity/correspondence.ts';
import { orderStatistic } from '../../common/order-statistic.ts';
import { applyAffine, physicalToVoxel } from '../../geometry/affine.ts';
import { type Geometry, perAxis, type Xyz } from '../../geometry/volume.ts';
import type { BackendName } from '../../platform/browser/backends.ts';
import type { Computed, ComputeState, OnProgress } from './state.ts';

/** Two images that can be asked about. */
export interface Compared extends Computed {
  /** Whether the network predicts a field. */
  readonly hasField: boolean;
  readonly warnings: readonly string[];
  /** Of the similarities of either image. */
  readonly grids: Readonly<Record<Side, Geometry>>;
}

/** What the other image has of a point: positions in mm, LPS. */
export interface Similar {
  readonly asked: Xyz;
  readonly values: Float32Array;
  /** From the 90th percentile of what is not air to the best match. */
  readonly range: readonly [number, number];
  readonly best: { readonly position: Xyz; readonly voxel: Xyz; readonly similarity: number };
  readonly field: { readonly position: Xyz; readonly similarity: number | null } | null;
  readonly distanceMm: number | null;
  readonly ms: number;
}

/** Share of the tissue that a heat map leaves out: what is least like the point. */
const COLD = 0.9;

export const comparePart = (state: ComputeState) => {
  let compared: Correspondence | undefined;
  return {
    /** Compares both images, to be asked by `similar`. */
    compare(moving: number, fixed: number, name: BackendName, onProgress: OnProgress): Promise<Compared> {
      compared = undefined;
      return state.applying(name, onProgress, async (model, options) => {
        const found = await model.correspond(state.image(moving), state.image(fixed), options);
        compared = found;
        return {
          hasField: found.map !== null,
          warnings: found.warnings,
          grids: { fixed: found.images.fixed.local.geometry, moving: found.images.moving.local.geometry },
        };
      });
    },

    /** Gives the features of both back. */
    endCompare(): void {
      compared = undefined;
    },

    /** What the other image has of a point (mm, LPS) of this one; null outside what the network saw, or before `compare`. */
    similar(side: Side, point: Xyz, kind: FeatureKind): Similar | null {
      const start = performance.now();
      const answer = compared?.at(side, point, kind);
      if (!compared || !answer) return null;
      const { similarity, best, ...rest } = answer;
      const { geometry, data } = similarity;
      const { seen } = compared.images[side === 'fixed' ? 'moving' : 'fixed'];
      const tissue = new Float32Array(data.length);
      let count = 0;
      for (let voxel = 0; voxel < data.length; voxel++) if (seen[voxel] > FOREGROUND) tissue[count++] = data[voxel];
      const voxel = perAxis(applyAffine(physicalToVoxel(geometry), best.position), (at) => Math.round(at));
      const low = count > 0 ? orderStatistic(tissue.subarray(0, count), Math.floor(COLD * count)) : 0;
      const result = {
        ...rest,
        values: data,
        range: [low, Math.max(best.similarity, low + 1e-6)] as const,
        best: { ...best, voxel },
        ms: performance.now() - start,
      };
      return Comlink.transfer(result, [data.buffer]);
    },
  };
};
