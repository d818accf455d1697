/**
 * How alike two images are at sample points, as a number that grows with likeness, and how it changes with each moving value: correlation for
 * images whose intensities are linearly related, mutual information for others (CT and MR, two sequences of MR).
 *
 * Correlation: the product of both sets of values, each minus its mean and divided by its norm, squared, so that an inverted contrast counts
 * as well: c^2 with c = <F, M> / (|F| |M|);  d c^2 / d m_i = 2 c (F_i / (|F| |M|) - c M_i / |M|^2).
 *
 * Mutual information (Mattes et al., IEEE TMI 2003): I = sum over bins of p(a, b) log(p(a, b) / (p(a) p(b))), from a joint histogram in which a
 * moving value is spread over the nearest bins by a cubic B-spline, so that it is differentiable; the fixed value falls in one bin. Normalised by
 * the entropies, 2 I / (H(a) + H(b)) in [0, 1] (Studholme et al., Pattern Recognition 1999): I alone grows where a map moves dark borders out of
 * sight, and would draw an image away from itself.
 */

export interface SimilarityValue {
  readonly value: number;
  /** How curved the measure is at its maximum: its second derivative along a change of values is about this times their squared change. */
  readonly curvature: number;
}

/**
 * Compares the values at `count` samples.
 * @param slopes takes the derivative by each moving value; null: they are not wanted
 */
export type Compare = (fixed: Float32Array, moving: Float32Array, count: number, slopes: Float32Array | null) => SimilarityValue;

const mean = (values: Float32Array, count: number): number => {
  let sum = 0;
  for (let i = 0; i < count; i++) sum += values[i];
  return sum / count;
};

/** Squared correlation: see above. Images without contrast have none. */
export const correlation: Compare = (fixed, moving, count, slopes) => {
  const [meanF, meanM] = [mean(fixed, count), mean(moving, count)];
  let [ff, mm, fm] = [0, 0, 0];
  for (let i = 0; i < count; i++) {
    const f = fixed[i] - meanF;
    const m = moving[i] - meanM;
    ff += f * f;
    mm += m * m;
    fm += f * m;
  }
  if (!(ff > 0 && mm > 0)) {
    slopes?.fill(0, 0, count);
    return { value: 0, curvature: 0 };
  }
  const c = fm / Math.sqrt(ff * mm);
  const [ofF, ofM] = [(2 * c) / Math.sqrt(ff * mm), (2 * c * c) / mm];
  if (slopes) for (let i = 0; i < count; i++) slopes[i] = ofF * (fixed[i] - meanF) - ofM * (moving[i] - meanM);
  return { value: c * c, curvature: (2 * c * c) / mm };
};

/** Bins of either image, and those at the ends that only the spline reaches. */
const BINS = 32;
const PADDING = 2;
const MOVING_BINS = BINS + 2 * PADDING;

/** Normalised mutual information of values in [0, 1]. */
export function mutualInformation(): Compare {
  const joint = new Float64Array(BINS * MOVING_BINS);
  const logs = new Float64Array(BINS * MOVING_BINS);
  const ofFixed = new Float64Array(BINS);
  const ofMoving = new Float64Array(MOVING_BINS);
  return (fixed, moving, count, slopes) => {
    joint.fill(0);
    const [place, bin] = [(m: number): number => m * (BINS - 1) + PADDING, (f: number): number => Math.round(f * (BINS - 1))];
    for (let i = 0; i < count; i++) {
      const at = place(moving[i]);
      const first = Math.floor(at) - 1;
      const row = bin(fixed[i]) * MOVING_BINS + first;
      const t = at - first - 1;
      const u = 1 - t;
      joint[row] += (u * u * u) / 6;
      joint[row + 1] += (4 - 6 * t * t + 3 * t * t * t) / 6;
      joint[row + 2] += (4 - 6 * u * u + 3 * u * u * u) / 6;
      joint[row + 3] += (t * t * t) / 6;
    }
    ofFixed.fill(0);
    ofMoving.fill(0);
    for (let a = 0; a < BINS; a++)
      for (let b = 0; b < MOVING_BINS; b++) {
        const p = joint[a * MOVING_BINS + b] / count;
        joint[a * MOVING_BINS + b] = p;
        ofFixed[a] += p;
        ofMoving[b] += p;
      }
    const ofBin = ofMoving.map((p) => (p > 0 ? Math.log(p) : 0));
    const entropies =
      -ofFixed.reduce((sum, p) => sum + (p > 0 ? p * Math.log(p) : 0), 0) - ofMoving.reduce((sum, p, b) => sum + p * ofBin[b], 0);
    let information = 0;
    for (let a = 0; a < BINS; a++)
      for (let b = 0; b < MOVING_BINS; b++) {
        const p = joint[a * MOVING_BINS + b];
        logs[a * MOVING_BINS + b] = p > 0 ? Math.log(p) - ofBin[b] : 0;
        if (p > 0) information += p * Math.log(p / (ofFixed[a] * ofMoving[b]));
      }
    if (!(entropies > 0)) {
      slopes?.fill(0, 0, count);
      return { value: 0, curvature: 0 };
    }
    const value = (2 * information) / entropies;
    if (slopes) {
      // d value = (2 d I - value d H(b)) / (H(a) + H(b)), with d I = sum d p(a, b) log(p(a, b) / p(b)) and d H(b) = - sum d p(b) log p(b)
      for (let a = 0; a < BINS; a++)
        for (let b = 0; b < MOVING_BINS; b++)
          logs[a * MOVING_BINS + b] = (2 * logs[a * MOVING_BINS + b] + value * ofBin[b]) / entropies;
      const perSample = (BINS - 1) / count;
      for (let i = 0; i < count; i++) {
        const at = place(moving[i]);
        const first = Math.floor(at) - 1;
        const row = bin(fixed[i]) * MOVING_BINS + first;
        const t = at - first - 1;
        const u = 1 - t;
        slopes[i] =
          perSample *
          (-u * u * 0.5 * logs[row] +
            (1.5 * t * t - 2 * t) * logs[row + 1] +
            (2 * u - 1.5 * u * u) * logs[row + 2] +
            t * t * 0.5 * logs[row + 3]);
      }
    }
    // I as of two normal variables, whose squared correlation is 1 - exp(-2 I)
    const meanM = mean(moving, count);
    let mm = 0;
    for (let i = 0; i < count; i++) mm += (moving[i] - meanM) ** 2;
    return { value, curvature: mm > 0 ? (2 * Math.expm1(2 * information)) / (entropies * mm) : 0 };
  };
}
