/** Normalising rows, as the formulas in normalize.ts say. */
import type { ReferenceKernel } from '../../backends/reference/kernel.ts';
import type { NormalizeAttributes } from './normalize.ts';

const sumOf = (values: Float64Array): number => values.reduce((sum, value) => sum + value, 0);

/** What a row is divided by, what is subtracted before, and whether its length was below eps. */
function statisticsOf(row: Float64Array, { function: kind, eps }: NormalizeAttributes) {
  if (kind === 'layerNorm') {
    const mean = sumOf(row) / row.length;
    return { mean, divisor: Math.sqrt(sumOf(row.map((x) => (x - mean) ** 2)) / row.length + eps), clamped: false };
  }
  const length = Math.sqrt(sumOf(row.map((x) => x ** 2)));
  return { mean: 0, divisor: Math.max(length, eps), clamped: length < eps };
}

export const normalize: ReferenceKernel<NormalizeAttributes> = ({ inputs: [x], out, shape: [batch, channels], attributes }) => {
  for (let n = 0; n < batch; n++) {
    const row = x.subarray(n * channels, (n + 1) * channels);
    const { mean, divisor } = statisticsOf(row, attributes);
    row.forEach((value, c) => {
      out[n * channels + c] = (value - mean) / divisor;
    });
  }
};

export const normalizeGradient: ReferenceKernel<NormalizeAttributes> = ({
  inputs: [x, dOut],
  out,
  shape: [batch, channels],
  attributes,
}) => {
  for (let n = 0; n < batch; n++) {
    const [row, dRow] = [x, dOut].map((each) => each.subarray(n * channels, (n + 1) * channels));
    const { mean, divisor, clamped } = statisticsOf(row, attributes);
    const y = row.map((value) => (value - mean) / divisor);
    const inner = sumOf(y.map((value, c) => value * dRow[c]));
    const [ofMean, ofDivisor] =
      attributes.function === 'layerNorm' ? [sumOf(dRow) / channels, inner / channels] : [0, clamped ? 0 : inner];
    y.forEach((value, c) => {
      out[n * channels + c] = (dRow[c] - ofMean - value * ofDivisor) / divisor;
    });
  }
};
