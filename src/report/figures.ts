/** Numbers as the report writes them, and what it computes from the records: means over pairs, changes, counts. Pure functions. */
import type { EvaluationDetails, EvaluationRecord, PairRecord, Stages } from './run-data.ts';

/** What is judged on held-out pairs, most reliable measure first. */
export type MeasureName = 'landmarkErrorMm' | 'labelDice' | 'ncc' | 'foldedShare';

export interface Measure {
  readonly name: MeasureName;
  readonly title: string;
  readonly unit: string;
  /** Which way it should go. */
  readonly better: 'lower' | 'higher';
  format(value: number): string;
}

const MINUS = '\u2212';
const THIN_SPACE = '\u202f';
/** A fixed number of decimals, with a minus sign that is one. */
export const decimals = (value: number, digits: number): string => value.toFixed(digits).replace('-', MINUS);
/** A share as percent: two decimals where it is small. */
export const percent = (share: number): string => `${decimals(100 * share, Math.abs(share) < 0.1 ? 2 : 1)}${THIN_SPACE}%`;
/** A whole number with its thousands apart. */
export const grouped = (value: number): string => String(Math.round(value)).replace(/\B(?=(\d{3})+$)/g, THIN_SPACE);
/** Four significant digits, or a power of ten where that is shorter: for losses, norms and rates of any size. */
export function short(value: number): string {
  const size = Math.abs(value);
  if (value === 0) return '0';
  return (size >= 1e-3 && size < 1e5 ? String(+value.toPrecision(4)) : value.toExponential(2)).replaceAll('-', MINUS);
}

export const MEASURES: readonly Measure[] = [
  { name: 'landmarkErrorMm', title: 'Landmark error', unit: 'mm', better: 'lower', format: (mm) => decimals(mm, 2) },
  { name: 'labelDice', title: 'Label overlap', unit: 'Dice', better: 'higher', format: (dice) => decimals(dice, 3) },
  { name: 'ncc', title: 'Image similarity', unit: 'local NCC', better: 'higher', format: (ncc) => decimals(ncc, 3) },
  { name: 'foldedShare', title: 'Folded voxels', unit: 'share', better: 'lower', format: percent },
];

/** The mean of what is a number; null if nothing is. */
export function mean(values: readonly (number | null | undefined)[]): number | null {
  const numbers = values.filter((value) => typeof value === 'number' && Number.isFinite(value)) as number[];
  return numbers.length === 0 ? null : numbers.reduce((sum, value) => sum + value, 0) / numbers.length;
}

/** The stages' means over a list. */
export const meanStages = (list: readonly Stages[]): Stages => ({
  before: mean(list.map(({ before }) => before)),
  affine: mean(list.map(({ affine }) => affine)),
  after: mean(list.map(({ after }) => after)),
});

/** A pair's figure of a measure; null where it has none. */
export function ofPair(pair: PairRecord, name: MeasureName): Stages | null {
  if (name === 'ncc' || name === 'foldedShare') return pair[name];
  const list = name === 'landmarkErrorMm' ? pair.landmarksMm : pair.labels;
  return list === null || list.length === 0 ? null : meanStages(list);
}

/** An evaluation from its pairs, for a run whose log lacks the line. */
export function summed({ step, pairs }: EvaluationDetails): EvaluationRecord {
  const over = (name: MeasureName): Stages | null => {
    const list = pairs.map((pair) => ofPair(pair, name)).filter((stages) => stages !== null);
    return list.length === 0 ? null : meanStages(list);
  };
  return {
    kind: 'evaluation',
    step,
    pairs: pairs.length,
    ncc: over('ncc'),
    foldedShare: over('foldedShare'),
    landmarkErrorMm: over('landmarkErrorMm'),
    labelDice: over('labelDice'),
    subjects: null,
    patients: null,
    dice: null,
    dicePerClass: null,
    auc: null,
    accuracy: null,
    heldOut: null,
    training: null,
    probe: null,
    chosenBy: null,
  };
}

/** The relative change; null where there is nothing to compare. */
export const change = ({ before, after }: Stages): number | null =>
  before === null || after === null || before === 0 ? null : after / before - 1;

/** The same thing over all pairs: `key` names it (a landmark, a label code), in the order of first appearance. */
export function byName<Item extends Stages>(
  lists: readonly (readonly Item[] | null)[],
  key: (item: Item) => string,
): { readonly name: string; readonly pairs: number; readonly stages: Stages }[] {
  const groups = new Map<string, Item[]>();
  for (const item of lists.flatMap((list) => list ?? [])) {
    // A label that neither image holds has no overlap: it is no pair of that label.
    if (item.before === null && item.after === null) continue;
    groups.set(key(item), [...(groups.get(key(item)) ?? []), item]);
  }
  return [...groups].map(([name, items]) => ({ name, pairs: items.length, stages: meanStages(items) }));
}
