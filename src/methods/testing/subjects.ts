/** Subjects in memory, for the tests of methods. */
import type { Subject } from '../../cohort/cohort.ts';
import type { CohortReader } from '../../cohort/reader.ts';
import { randomStream } from '../../common/random.ts';
import { type Geometry, IDENTITY_3, toXyz, voxelCount, type Zyx } from '../../geometry/volume.ts';

/** A subject of `size` voxels of 1 mm. */
export function subjectOf(id: string, size: Zyx, changes: Partial<Subject> = {}): Subject {
  const geometry: Geometry = { size: toXyz(size), spacingMm: [1, 1, 1], originMm: [0, 0, 0], direction: IDENTITY_3 };
  return {
    id,
    source: '',
    labelSource: null,
    sourceGeometry: geometry,
    sourceOrientation: 'RAS',
    geometry,
    intensity: { kind: 'minmax', low: 0, high: 1 },
    labelCodes: null,
    content: null,
    patient: null,
    class: null,
    landmarks: [],
    split: 'train',
    problems: [],
    ...changes,
  };
}

/** Every crop of a subject is the same noise of its own in [0, 1). */
export const memoryReader: CohortReader = {
  readCrop: async ({ id }, _start, size) => {
    const stream = randomStream(1, 'subject', id);
    return Float32Array.from({ length: voxelCount(size) }, () => stream.uniform());
  },
  readLabelCrop: async () => null,
};
