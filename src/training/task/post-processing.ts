/**
 * Which post-processing of label maps helps, found on subjects that trained nothing: for each structure, keeping its largest connected part alone, or
 * its parts from some volume on. A candidate is taken if it raises the mean Dice and more subjects gain by it than lose.
 */
import { componentsOf } from '../../geometry/components.ts';
import type { Geometry } from '../../geometry/volume.ts';
import type { PostProcessing, Task } from '../../model/configuration.ts';

type SegmentationTask = Extract<Task, { kind: 'segmentation' }>;

/** What may be done to a structure; `minVolumeMm3` in steps that every organ and voxel size finds itself in. */
interface Candidate {
  readonly keepLargest: boolean;
  readonly minVolumeMm3: number;
}

/** The first is to leave all as it is. Of equally good ones the first is taken. */
export const CANDIDATES: readonly Candidate[] = [
  { keepLargest: false, minVolumeMm3: 0 },
  { keepLargest: true, minVolumeMm3: 0 },
  ...[1, 10, 100, 1000, 10_000, 100_000].flatMap((power) =>
    [1, 2, 5].map((digit) => ({ keepLargest: false, minVolumeMm3: digit * power })),
  ),
];

/** Less than this is no gain: what rounding leaves of equal means. */
const LEAST_GAIN = 1e-6;

/** Dice of a structure under every candidate; null where neither prediction nor truth has it. */
export type CandidateDice = readonly (number | null)[];

/**
 * Dice of every structure under every candidate.
 * @param predicted class indices, and `truth`, on the grid
 * @param classes with the background
 */
export function candidateDice(
  predicted: Uint16Array,
  truth: Uint16Array,
  { size, spacingMm }: Pick<Geometry, 'size' | 'spacingMm'>,
  classes: number,
): CandidateDice[] {
  const voxelMm3 = spacingMm[0] * spacingMm[1] * spacingMm[2];
  const reference = new Float64Array(classes);
  for (let i = 0; i < truth.length; i++) reference[truth[i]]++;
  const { components, starts, lengths, of } = componentsOf(predicted, size);
  const right = new Float64Array(components.length);
  for (let run = 0; run < starts.length; run++) {
    const { code } = components[of[run]];
    for (let i = starts[run]; i < starts[run] + lengths[run]; i++) if (truth[i] === code) right[of[run]]++;
  }
  return Array.from({ length: classes - 1 }, (_, c) => {
    const parts = components.flatMap(({ code, voxels }, k) => (code === c + 1 ? [{ voxels, right: right[k] }] : []));
    const largest = parts.reduce((best, part, k) => (part.voxels > parts[best].voxels ? k : best), 0);
    return CANDIDATES.map(({ keepLargest, minVolumeMm3 }) => {
      const kept = keepLargest
        ? parts.slice(largest, largest + 1)
        : parts.filter(({ voxels }) => voxels * voxelMm3 >= minVolumeMm3);
      const total = kept.reduce((sum, { voxels }) => sum + voxels, reference[c + 1]);
      return total === 0 ? null : (2 * kept.reduce((sum, part) => sum + part.right, 0)) / total;
    });
  });
}

/** What was found for a structure. */
export interface FoundRule {
  readonly code: number;
  readonly name: string;
  /** Mean Dice over the subjects without and with the rule; a structure that is rightly absent counts as 1. */
  readonly before: number;
  readonly after: number;
  /** Index of the candidate; 0: nothing helps. */
  readonly candidate: number;
}

/** Chooses for every structure. @param subjects by subject, then structure: see `candidateDice` */
export function choosePostProcessing(subjects: readonly (readonly CandidateDice[])[], { labels }: SegmentationTask): FoundRule[] {
  return labels.slice(1).map(({ code, name }, c) => {
    const scores = CANDIDATES.map((_, k) => subjects.map((structures) => structures[c][k] ?? 1));
    const mean = (values: readonly number[]): number =>
      values.reduce((sum, value) => sum + value, 0) / Math.max(1, values.length);
    const means = scores.map(mean);
    let candidate = 0;
    for (let k = 1; k < CANDIDATES.length; k++) {
      const gained = scores[k].filter((value, i) => value > scores[0][i]).length;
      const lost = scores[k].filter((value, i) => value < scores[0][i]).length;
      if (means[k] > means[candidate] + LEAST_GAIN && gained > lost) candidate = k;
    }
    return { code, name, before: means[0], after: means[candidate], candidate };
  });
}

/** The rules as a model's config.json has them; undefined if nothing helps. */
export function rulesOf(found: readonly FoundRule[]): PostProcessing | undefined {
  const rules = found.filter(({ candidate }) => candidate > 0).map(({ code, candidate }) => ({ code, ...CANDIDATES[candidate] }));
  return rules.length > 0 ? rules : undefined;
}

/** 'anterior: only the largest part (Dice 0.812 to 0.825)', for what helps. */
export const describeRules = (found: readonly FoundRule[]): string[] =>
  found
    .filter(({ candidate }) => candidate > 0)
    .map(({ name, before, after, candidate }) => {
      const { keepLargest, minVolumeMm3 } = CANDIDATES[candidate];
      return `${name}: ${keepLargest ? 'only the largest part' : `parts from ${minVolumeMm3} mm3`} (Dice ${before.toFixed(4)} to ${after.toFixed(4)})`;
    });
