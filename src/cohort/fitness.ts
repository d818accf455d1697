/**
 * Whether an image is what a cohort or a model is of: what its header says, and what its values say.
 *
 * CT has a scale of its own, the Hounsfield scale: air -1000, fat -100, water 0, soft tissue 20 to 80, bone up to 2000. Values on another one
 * (normalised, 8 bits, unsigned with an offset, MR) would be prepared into an image without contrast, so each rule below names one way in
 * which values cannot be Hounsfield units. None of them needs air in the image, or its absence; padding at any value is allowed.
 */
import { labelCodes, type Statistics } from '../geometry/statistics.ts';
import type { VoxelArray } from '../geometry/volume.ts';
import type { LoadedImage } from '../images/loaded-image.ts';
import type { MrScale } from './prepare-options.ts';
import type { Reason } from './reasons.ts';

export interface Misfit {
  readonly reason: Reason;
  /** What it is instead, as it is counted: 'label map', 'PT'. */
  readonly what: string;
  /** A sentence without the file's name. */
  readonly message: string;
}

/** The shape of a distribution: sorted values drawn evenly from all voxels, finite ones only. */
export interface Distribution {
  /** Share of the values that are below `value`, and those that are not above it. */
  below(value: number): number;
  upTo(value: number): number;
  /** The value below which a share of them lies. */
  percentile(share: number): number;
  /** The largest share that any single value takes among those from `low` to `high` (not included). */
  mostCommonShare(low: number, high: number, count: number): number;
}

/** Enough to see a thousandth. */
const SAMPLE = 200_000;

export function distributionOf(data: VoxelArray): Distribution {
  const count = Math.min(SAMPLE, data.length);
  const values = new Float64Array(count);
  let finite = 0;
  for (let i = 0; i < count; i++) {
    // within each stretch at another place, so that no row or column of the image is preferred
    const place = count === data.length ? 0 : (i * 0.6180339887498949) % 1;
    const value = data[Math.min(data.length - 1, Math.floor(((i + place) * data.length) / count))];
    if (Number.isFinite(value)) values[finite++] = value;
  }
  const sorted = values.subarray(0, finite).sort();
  const firstAtLeast = (value: number): number => {
    let [low, high] = [0, finite];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (sorted[middle] < value) low = middle + 1;
      else high = middle;
    }
    return low;
  };
  const firstAbove = (value: number): number => {
    let [low, high] = [0, finite];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (sorted[middle] <= value) low = middle + 1;
      else high = middle;
    }
    return low;
  };
  const share = (n: number): number => (finite === 0 ? 0 : n / finite);
  return {
    below: (value) => share(firstAtLeast(value)),
    upTo: (value) => share(firstAbove(value)),
    percentile: (part) => (finite === 0 ? 0 : sorted[Math.round(part * (finite - 1))]),
    mostCommonShare: (low, high, most) => {
      const [from, to] = [firstAtLeast(low), firstAtLeast(high)];
      const runs: number[] = [];
      for (let i = from; i < to; ) {
        const next = Math.min(to, firstAbove(sorted[i]));
        runs.push(next - i);
        i = next;
      }
      runs.sort((a, b) => b - a);
      return share(runs.slice(0, most).reduce((a, b) => a + b, 0));
    },
  };
}

/** Hounsfield units of a scan spread over more than this: noise alone does. Normalised values (z-scores, 0 to 1) do not. */
const MIN_SPREAD_HU = 50;
/** Metal goes further, but not in a hundredth of a scan, even on the extended scale. */
const HIGHEST_HU = 8000;
/** Below the scale's end at -1024 there is padding: a few single values. Reconstructions undershoot beside metal, in few voxels. */
const LOWEST_HU = -1100;
const UNDERSHOOTING_SHARE = 0.05;
const PADDING_VALUES = 3;
/** From this share on, voxels near 0 are the background of an image without negative values. */
const BACKGROUND_SHARE = 0.01;

const short = (value: number): string => String(+value.toPrecision(4));

/** Whether values without negative ones are Hounsfield units shifted up by about 1024, as unsigned files have them. */
function isShifted(d: Distribution): boolean {
  const [p1, median, p99] = [0.01, 0.5, 0.99].map((share) => d.percentile(share));
  const betweenAirAndTissue = d.below(850) - d.upTo(350);
  const tissue = d.upTo(1250) - d.below(850);
  const withAir = d.upTo(250) >= 0.02 && tissue >= 0.03 && tissue > betweenAirAndTissue && p99 < 4096;
  return withAir || (p1 >= 850 && p99 <= 1400 && median >= 950 && median <= 1200);
}

/** What values look like where it is not said what they are of; null if nothing is wrong with them in themselves. */
export function unusualValues({ volume, storedType }: LoadedImage, { min, max }: Statistics): string | null {
  if (min < 0 || max < 1300 || !/^u?int(16|32)$/.test(storedType)) return null;
  return isShifted(distributionOf(volume.data))
    ? 'looks like CT shifted by 1024 (stored unsigned): air at 0 and soft tissue near 1024; subtract 1024 from every voxel'
    : null;
}

/**
 * Why values cannot be Hounsfield units, in words; null if they can.
 * @param isStated the file's header says that they are: a DICOM CT's rescaled values are Hounsfield units by definition (PS3.3 C.8.2.1).
 *   Then only what contradicts it counts, not what is merely unlikely
 */
function notHounsfield(
  distribution: Distribution,
  { min, max }: Pick<Statistics, 'min' | 'max'>,
  storedType: string,
  isStated = false,
): string | null {
  const d = distribution;
  const [p01, p1, median, p99, p999] = [0.001, 0.01, 0.5, 0.99, 0.999].map((share) => d.percentile(share));
  const range = `values from ${short(min)} to ${short(max)}`;
  if (p999 - p01 < MIN_SPREAD_HU)
    return `${range}, nearly all of them within ${short(p999 - p01)}: normalised (z-scores, 0 to 1 or the like)`;
  if (/^u?int8$/.test(storedType)) return `${range} in 8 bits: a windowed picture, not a CT`;
  if (min >= 0) {
    if (isShifted(d))
      return `${range}, air at 0 and soft tissue near 1024: shifted by 1024 (stored unsigned); subtract 1024 from every voxel`;
    if (min === 0 && max === 255) return `${range}: a windowed picture in 8 bits, not a CT`;
    if (!isStated && d.upTo(0.02 * p99) >= BACKGROUND_SHARE)
      return `${range}: no value below 0, and a background near 0 instead of air at -1000`;
    // a crop of soft tissue has a low median, one of bone nothing near 0
    if (!isStated && median > 300 && p1 < 100)
      return `${range}, half of them above ${short(median)}: no value below 0, and more than bone`;
  }
  if (p99 > HIGHEST_HU) return `${range}: 1 % of the voxels are above ${HIGHEST_HU}, denser than metal`;
  const below = d.below(LOWEST_HU);
  const padding = d.mostCommonShare(Number.NEGATIVE_INFINITY, LOWEST_HU, PADDING_VALUES);
  if (below - padding > UNDERSHOOTING_SHARE)
    return `${range}: ${Math.round(100 * (below - padding))} % of the voxels are spread below ${LOWEST_HU}, the end of the scale`;
  const dense = 1 - d.upTo(-800);
  const tissue = d.upTo(600) - d.below(-250);
  if (below > 0.02 && tissue < 0.02 * dense)
    return `${range}: no values in the range of fat, water and soft tissue (-250 to 600): shifted down, perhaps by 1024 twice`;
  return null;
}

/** Values that have both ends of the Hounsfield scale: air, and what is between fat and muscle. */
export const isSurelyHounsfield = (d: Distribution): boolean =>
  d.upTo(-900) - d.below(-1100) > 0.02 && d.upTo(300) - d.below(-200) > 0.02;

/** What is unusual about values that can be Hounsfield units: a word to whoever looks, not a reason to refuse. */
export const withoutAir = ({ min, max }: Pick<Statistics, 'min' | 'max'>): string | null =>
  min >= 0
    ? `no value below 0 (${short(min)} to ${short(max)}): normal for a crop without air and fat; otherwise these are not Hounsfield units`
    : null;

/** Smaller than this part of the 99th percentile, negative values are ringing of an interpolation. */
const RINGING = 0.02;
const NEGATIVE_SHARE = 0.1;

/** Why values cannot be MR intensities, in words; null if they can. What is below 0 would be clipped. */
function tooNegative(
  distribution: Distribution,
  { min, max }: Pick<Statistics, 'min' | 'max'>,
  keepsSigns: boolean,
): string | null {
  if (min >= 0) return null;
  const d = distribution;
  const threshold = RINGING * Math.max(Math.abs(d.percentile(0.99)), Math.abs(d.percentile(0.01)));
  const negative = d.below(-threshold);
  const positive = 1 - d.upTo(threshold);
  const share = negative / (negative + positive || 1);
  if (share <= NEGATIVE_SHARE) return null;
  const hasAir = d.upTo(-900) - d.below(-1100) > 0.02 && max > 100;
  if (keepsSigns && !hasAir) return null;
  const guess = hasAir ? 'air at -1000: CT in Hounsfield units?' : 'normalised (z-scores), a phase or a difference image?';
  const found = `values from ${short(min)} to ${short(max)}, ${Math.round(100 * share)} % of the values not near 0 are negative`;
  return `${found}${keepsSigns ? '' : ' and would be clipped at 0 (not with `intensity` signed)'}: ${guess}`;
}

/** What DICOM's modalities are called where they are counted; of those that can become a cohort. */
const MODALITY_NAMES = { ct: 'CT', mr: 'MR' } as const;

/** Modalities that leave it open what the image is: other, secondary capture. */
const OPEN_MODALITIES = ['', 'OT', 'SC'];

/** An image that says that it is of another modality; null if it says nothing else. */
export function otherModality(stated: string | undefined, wanted: 'ct' | 'mr', by = 'the file says'): Misfit | null {
  const name = stated?.trim().toUpperCase() ?? '';
  if (OPEN_MODALITIES.includes(name) || name === MODALITY_NAMES[wanted]) return null;
  return { reason: 'other-modalities', what: name, message: `${by} it is ${name}, not ${MODALITY_NAMES[wanted]}` };
}

/** Almost nothing but 0: marked points. */
const POINTS_ZERO_SHARE = 0.99;
const MAX_POINTS_CODES = 100;

/** Whether values are those of a label map: few whole numbers, none of them far below 0, in connected regions or at single points. */
export function looksLikeLabelMap(
  { volume: { data, geometry } }: Pick<LoadedImage, 'volume'>,
  { min, counts = null }: Pick<Statistics, 'min'> & Partial<Pick<Statistics, 'counts'>>,
): readonly number[] | null {
  if (min < -1) return null;
  const codes = labelCodes(data, geometry.size, counts);
  if (codes) return codes;
  if (counts) {
    const zeros = counts.of(0);
    if (counts.distinct - (zeros > 0 ? 1 : 0) > MAX_POINTS_CODES || zeros < POINTS_ZERO_SHARE * data.length) return null;
    return counts.values();
  }
  const points = new Set<number>();
  let zeros = 0;
  for (let i = 0; i < data.length; i++) {
    const value = data[i];
    if (value === 0) zeros++;
    else if (!Number.isInteger(value) || points.add(value).size > MAX_POINTS_CODES) return null;
  }
  return zeros >= POINTS_ZERO_SHARE * data.length ? [0, ...[...points].sort((a, b) => a - b)] : null;
}

/**
 * Why an image may not be of a modality: every reason, a sentence each, the plainest first; none for one that belongs there.
 * @param intensity how MR is scaled: negative values are no reason where they are kept
 */
export function misfits(
  loaded: LoadedImage,
  statistics: Statistics,
  modality: 'ct' | 'mr',
  intensity: MrScale = 'minmax',
): Misfit[] {
  const codes = looksLikeLabelMap(loaded, statistics);
  const found = [
    otherModality(loaded.modality, modality),
    codes && {
      reason: 'label-maps' as const,
      what: 'label map',
      message: `looks like a label map: ${codes.length} whole ${codes.length === 1 ? 'value' : 'values'} in connected regions`,
    },
    unlikelyValues(loaded, statistics, modality, intensity),
  ];
  return found.filter((misfit) => misfit !== null);
}

/** Rescale types of CT (PS3.3 C.11.1.1.2): Hounsfield units, those of a virtual energy too; and what else spectral CT computes. */
const HOUNSFIELD = /^(HU|HU_MOD|HOUNSFIELD.*)$/i;
const OTHER_UNITS = /\b(OD|MGML|Z_EFF|ED|EDW|PCT)\b/i;

/** What an image's values say against its modality. */
function unlikelyValues(loaded: LoadedImage, statistics: Statistics, modality: 'ct' | 'mr', intensity: MrScale): Misfit | null {
  const distribution = distributionOf(loaded.volume.data);
  const units = loaded.rescaleType ?? '';
  if (modality === 'ct' && loaded.modality === MODALITY_NAMES.ct && OTHER_UNITS.test(units))
    return {
      reason: 'not-hounsfield',
      what: 'not in Hounsfield units',
      message: `its DICOM header says that its values are not Hounsfield units (rescale type ${units}): a map computed from a scan`,
    };
  if (modality === 'mr') {
    const why = tooNegative(distribution, statistics, intensity === 'signed');
    return why === null
      ? null
      : { reason: 'negative-values', what: 'with negative values', message: `does not look like MR: ${why}` };
  }
  const isStated = loaded.modality === MODALITY_NAMES.ct && (units === '' || HOUNSFIELD.test(units));
  const why = notHounsfield(distribution, statistics, loaded.storedType, isStated);
  return why === null
    ? null
    : {
        reason: 'not-hounsfield',
        what: 'not in Hounsfield units',
        message: `does not look like CT in Hounsfield units: ${why}`,
      };
}

/** The first reason that is not allowed; null if the image is taken. */
export const firstRefusal = (found: readonly Misfit[], allowed: readonly Reason[]): Misfit | null =>
  found.find(({ reason }) => !allowed.includes(reason)) ?? null;
