/** What works would need, told before they begin: the plan of the network's program, and the volumes beside it. */
import { canRegister, matchingNetwork, windowsFor } from '../../apply/network.ts';
import { planMatch } from '../../apply/registration/match.ts';
import { RunError } from '../../common/errors.ts';
import { rasGeometry } from '../../geometry/orientation.ts';
import { gridWithSpacing } from '../../geometry/resample.ts';
import { voxelCount, type Xyz } from '../../geometry/volume.ts';
import type { LoadedImage } from '../../images/loaded-image.ts';
import { hasDecoder } from '../../model/architecture.ts';
import { featuresProgram, predictionProgram } from '../../model/task-programs.ts';
import { type BackendName, openBackend } from '../../platform/browser/backends.ts';
import { type ComputeState, MEMORY } from './state.ts';

/** Bytes that a work takes at most; null for one that the model or the open images do not allow. */
export interface Estimates {
  readonly segment: number | null;
  readonly features: number | null;
  readonly register: number | null;
  readonly compare: number | null;
  /** What all open images take. */
  readonly images: number;
  /** What the backend can address. */
  readonly limit: number;
}

/** A prepared voxel, of float32. */
const PREPARED_BYTES = 4;
/** A voxel's displacement. */
const VECTOR_BYTES = 12;

export const memoryPart = (state: ComputeState) => {
  /** Programs are planned once. */
  const planned = new Map<string, number>();
  let plannedFor: unknown;

  return {
    /** What works on these images would need. Sizes are those before cropping, so it may be less. */
    async estimates(name: BackendName, first: number | null, second: number | null): Promise<Estimates> {
      const { network } = state;
      const backend = await openBackend(name);
      const images = [...state.images.values()]
        .flatMap((image) => state.channelsOf(image))
        .reduce((sum, { image }) => sum + image.volume.data.byteLength, 0);
      const known = { images, limit: backend.memoryLimitBytes };
      const [still, moved] = [first, second].map((id) => (id === null ? undefined : state.images.get(id)));
      if (!network || !still) return { segment: null, features: null, register: null, compare: null, ...known };

      if (plannedFor !== network) planned.clear();
      plannedFor = network;
      const once = (key: string, plan: () => number): number => {
        const bytes = planned.get(`${name} ${key}`) ?? plan();
        planned.set(`${name} ${key}`, bytes);
        return bytes;
      };
      const { architecture, preprocessing } = network;
      const sizeOf = ({ volume }: LoadedImage): Xyz =>
        gridWithSpacing(rasGeometry(volume.geometry), preprocessing.spacingMm).size;
      const prepared = (image: LoadedImage): number =>
        PREPARED_BYTES * voxelCount(sizeOf(image)) * (preprocessing.channels?.length ?? 1);
      const { window } = windowsFor({ networks: [network] }, {});
      const predict = (): number => once('predict', () => backend.memoryBytes(predictionProgram(architecture, window).program));
      const dense = (): number => once('features', () => backend.memoryBytes(featuresProgram(architecture, window).program));
      const match = (fixed: Xyz, moving: Xyz): number =>
        once(`match ${fixed} ${moving}`, () => {
          try {
            return planMatch(matchingNetwork(network), backend, fixed, moving, MEMORY.session()).neededBytes;
          } catch (error) {
            // nothing fits, not even small tiles
            if (error instanceof RunError) return Number.POSITIVE_INFINITY;
            throw error;
          }
        });
      const featureBytes = (image: LoadedImage): number =>
        PREPARED_BYTES * voxelCount(sizeOf(image)) * (architecture.widths[8] + 4);
      const { segmentation } = architecture.heads;
      const matching = canRegister(architecture);
      const canCompare = hasDecoder(architecture.heads) && moved;
      return {
        segment: segmentation === undefined ? null : predict() + prepared(still) + still.volume.data.byteLength,
        features: hasDecoder(architecture.heads) ? dense() + prepared(still) + featureBytes(still) : null,
        register:
          matching && moved
            ? match(sizeOf(still), sizeOf(moved)) +
              prepared(still) +
              prepared(moved) +
              // its result, the image before, the field
              2 * still.volume.data.byteLength +
              VECTOR_BYTES * voxelCount(still.volume.geometry.size)
            : null,
        compare: canCompare
          ? Math.max(dense(), matching ? match(sizeOf(still), sizeOf(moved)) : 0) + featureBytes(still) + featureBytes(moved)
          : null,
        ...known,
      };
    },
  };
};
