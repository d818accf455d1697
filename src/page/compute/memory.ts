/** What works would need, told before they begin: the plan of the network's program, and the volumes beside it. */
import { canRegister, matchingNetwork, type TrainedNetwork, windowsFor } from '../../apply/network.ts';
import { planMatch } from '../../apply/registration/match.ts';
import { windowCount } from '../../apply/segmentation/sliding-window.ts';
import { keptFeatureBytes } from '../../apply/teaching/teacher.ts';
import { RunError } from '../../common/errors.ts';
import { rasGeometry } from '../../geometry/orientation.ts';
import { gridWithSpacing } from '../../geometry/resample.ts';
import { toZyx, voxelCount, type Xyz, type Zyx } from '../../geometry/volume.ts';
import type { LoadedImage } from '../../images/loaded-image.ts';
import { hasDecoder } from '../../model/architecture.ts';
import { featuresProgram, predictionProgram, teachingProgram } from '../../model/task-programs.ts';
import { type BackendName, openBackend } from '../../platform/browser/backends.ts';
import { estimateFineTuning } from '../../training/task/fine-tune.ts';
import { demoTrainingBytes } from './demo-training.ts';
import { type ComputeState, MEMORY } from './state.ts';

/** Bytes that a work takes at most; null for one that the model or the open images do not allow. */
export interface Estimates {
  readonly segment: number | null;
  readonly features: number | null;
  readonly register: number | null;
  readonly compare: number | null;
  /** Features of all open images, as far as they are kept, and learning. */
  readonly teach: number | null;
  /** What all open images take. */
  readonly images: number;
  /** What the backend can address. */
  readonly limit: number;
}

/** Bytes of one work, and what can be addressed. */
export interface Need {
  readonly bytes: number;
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

  const sizeOf = ({ volume }: LoadedImage, { preprocessing }: TrainedNetwork): Xyz =>
    gridWithSpacing(rasGeometry(volume.geometry), preprocessing.spacingMm).size;

  return {
    /** What fine-tuning on these images would need, and what can be addressed; null without a model. */
    async fineTuningEstimate(name: BackendName, images: readonly number[], classes: number, crop: Zyx): Promise<Need | null> {
      const { network } = state;
      if (!network) return null;
      const backend = await openBackend(name);
      const voxels = images.map((id) => voxelCount(sizeOf(state.image(id), network)));
      const bytes = estimateFineTuning(network, backend, { classes, patch: crop, voxels });
      return { bytes, limit: Math.min(backend.memoryLimitBytes, MEMORY.session().bytes) };
    },

    /** What pre-training a network of this width on so many patients would need, and what can be addressed. */
    async trainingEstimate(name: BackendName, width: number, subjects: number): Promise<Need> {
      const backend = await openBackend(name);
      return { bytes: demoTrainingBytes(backend, { width, subjects }), limit: backend.memoryLimitBytes };
    },

    /** What works on these images would need. Sizes are those before cropping, so it may be less. */
    async estimates(name: BackendName, first: number | null, second: number | null): Promise<Estimates> {
      const { network } = state;
      const backend = await openBackend(name);
      const images = [...state.images.values()]
        .flatMap((image) => state.channelsOf(image))
        .reduce((sum, { image }) => sum + image.volume.data.byteLength, 0);
      const known = { images, limit: backend.memoryLimitBytes };
      const [still, moved] = [first, second].map((id) => (id === null ? undefined : state.images.get(id)));
      if (!network || !still) return { segment: null, features: null, register: null, compare: null, teach: null, ...known };

      if (plannedFor !== network) planned.clear();
      plannedFor = network;
      const once = (key: string, plan: () => number): number => {
        const bytes = planned.get(`${name} ${key}`) ?? plan();
        planned.set(`${name} ${key}`, bytes);
        return bytes;
      };
      const { architecture, preprocessing } = network;
      const prepared = (image: LoadedImage): number =>
        PREPARED_BYTES * voxelCount(sizeOf(image, network)) * (preprocessing.channels?.length ?? 1);
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
        PREPARED_BYTES * voxelCount(sizeOf(image, network)) * (architecture.widths[8] + 4);
      const { segmentation } = architecture.heads;
      const matching = canRegister(architecture);
      const decodes = hasDecoder(architecture.heads);
      const canCompare = decodes && moved;
      const teach = (): number => {
        const all = [...state.images.values()];
        const { overlap } = windowsFor({ networks: [network] }, {});
        const windows = all.reduce(
          (sum, image) => sum + windowCount({ size: toZyx(sizeOf(image, network)), window, overlap }),
          0,
        );
        const session = once('teach', () => backend.memoryBytes(teachingProgram(architecture, window, 2).program));
        return (
          session + keptFeatureBytes(architecture, window, windows, MEMORY) + all.reduce((sum, image) => sum + prepared(image), 0)
        );
      };
      return {
        teach: decodes ? teach() : null,
        segment: segmentation === undefined ? null : predict() + prepared(still) + still.volume.data.byteLength,
        features: decodes ? dense() + prepared(still) + featureBytes(still) : null,
        register:
          matching && moved
            ? match(sizeOf(still, network), sizeOf(moved, network)) +
              prepared(still) +
              prepared(moved) +
              // its result, the image before, the field
              2 * still.volume.data.byteLength +
              VECTOR_BYTES * voxelCount(still.volume.geometry.size)
            : null,
        compare: canCompare
          ? Math.max(dense(), matching ? match(sizeOf(still, network), sizeOf(moved, network)) : 0) +
            featureBytes(still) +
            featureBytes(moved)
          : null,
        ...known,
      };
    },
  };
};
