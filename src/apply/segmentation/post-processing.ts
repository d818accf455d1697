/**
 * Post-processing of label maps: of each structure the largest connected part alone is kept, or its parts from a smallest volume on. What is taken
 * away becomes background. Training chooses the rules on validation subjects (training/task/post-processing.ts) and a model's config.json keeps them.
 */
import { UsageError } from '../../common/errors.ts';
import { voxelVolumeMm3 } from '../../geometry/affine.ts';
import { componentsOf } from '../../geometry/components.ts';
import type { Volume } from '../../geometry/volume.ts';
import type { PostProcessing } from '../../model/configuration.ts';
import type { TrainedNetwork } from '../network.ts';

/** What a call may say of post-processing. */
export interface PostProcessingOptions {
  /** Whether rules that the models store are applied. Default: true. */
  readonly postProcessing?: boolean;
  /** Structures (codes) of which the largest part alone is kept, whatever the models store; true: all. */
  readonly keepLargest?: boolean | readonly number[];
  /** Parts of structures below this volume are taken away, whatever the models store; ml. */
  readonly minVolume?: number;
}

/** The rule of a structure, where it has one. */
export type PostProcessingRule = PostProcessing[number];

/**
 * The rules for segmentations of these networks together, and what is to be said of them.
 * @throws UsageError for a code that is no structure of theirs, or a volume below 0
 */
export function postProcessingOf(
  networks: readonly TrainedNetwork[],
  { postProcessing = true, keepLargest = false, minVolume = 0 }: PostProcessingOptions,
): { readonly rules: PostProcessing; readonly warnings: readonly string[] } {
  const [{ configuration }] = networks;
  const codes = configuration.task?.kind === 'segmentation' ? configuration.task.labels.slice(1).map(({ code }) => code) : [];
  if (!(minVolume >= 0)) throw new UsageError(`\`minVolume\` ${minVolume}: expected a volume in ml, 0 or more`);
  const largest = keepLargest === true ? codes : keepLargest === false ? [] : keepLargest;
  const unknown = largest.find((code) => !codes.includes(code));
  if (unknown !== undefined)
    throw new UsageError(`\`keepLargest\` ${unknown}: no structure of the model has this code; it has ${codes.join(', ')}`);
  const stored = networks.map((network) => network.configuration.postProcessing ?? []);
  const agree = stored.every((rules) => JSON.stringify(rules) === JSON.stringify(stored[0]));
  const ofModels = postProcessing && agree ? stored[0] : [];
  const rules = codes.flatMap((code): PostProcessing => {
    const known = ofModels.find((rule) => rule.code === code);
    const rule = {
      code,
      keepLargest: largest.includes(code) || (known?.keepLargest ?? false),
      minVolumeMm3: minVolume > 0 ? minVolume * 1000 : (known?.minVolumeMm3 ?? 0),
    };
    return rule.keepLargest || rule.minVolumeMm3 > 0 ? [rule] : [];
  });
  const warnings =
    postProcessing && !agree
      ? [
          'the models store different post-processing, so none of it was applied (models of one cross-validation store the same; or choose with `keepLargest`, `minVolume`)',
        ]
      : [];
  return { rules, warnings };
}

/** Applies rules to a label map in place. @returns by code, how many voxels became background */
export function applyPostProcessing(labels: Volume, rules: PostProcessing): ReadonlyMap<number, number> {
  const removed = new Map<number, number>();
  if (rules.length === 0) return removed;
  const { geometry, data } = labels;
  const ruleOf = new Map(rules.map((rule) => [rule.code, rule]));
  const voxelMm3 = voxelVolumeMm3(geometry);
  const { components, starts, lengths, of } = componentsOf(data, geometry.size);
  const largest = new Map<number, number>();
  components.forEach(({ code, voxels }, k) => {
    const before = largest.get(code);
    // the first of equal ones
    if (before === undefined || voxels > components[before].voxels) largest.set(code, k);
  });
  const kept = components.map(({ code, voxels }, k) => {
    const rule = ruleOf.get(code);
    return rule === undefined || ((!rule.keepLargest || largest.get(code) === k) && voxels * voxelMm3 >= rule.minVolumeMm3);
  });
  for (let run = 0; run < starts.length; run++) {
    const component = of[run];
    if (kept[component]) continue;
    const { code } = components[component];
    data.fill(0, starts[run], starts[run] + lengths[run]);
    removed.set(code, (removed.get(code) ?? 0) + lengths[run]);
  }
  return removed;
}
