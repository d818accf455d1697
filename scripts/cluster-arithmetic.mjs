/**
 * What a training on many machines would take, by arithmetic from measured figures:
 *
 *   node scripts/cluster-arithmetic.mjs [--pair 6.11] [--cores 2] [--network 1.1] [--overlap 0.5]
 *
 * `--pair`: seconds a pair of 96^3 at full width takes on `--cores` cores (docs/benchmarks/node24.json, the default). `--network`: GB a second out of
 * a rank (10 GbE gives 1.1, 100 Gb/s 11). `--overlap`: share of the exchange that the backward pass hides. Each rank has 16 cores, on which a pair
 * takes the seconds of `--cores` times their ratio over 0.85.
 */
import { readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';

const { rows } = JSON.parse(readFileSync(new URL('../docs/benchmarks/node24.json', import.meta.url), 'utf8'));
const measured = rows.find(({ kind, size, width }) => kind === 'step' && size === 96 && width === 1).gvsl.medianS;
const { values } = parseArgs({
  options: {
    pair: { type: 'string', default: String(measured) },
    cores: { type: 'string', default: '2' },
    network: { type: 'string', default: '1.1' },
    overlap: { type: 'string', default: '0.5' },
  },
});
const [pair, cores, network, overlap] = [values.pair, values.cores, values.network, values.overlap].map(Number);
const PARAMETERS = 32.44e6;
const PAIRS = 200_000 * 2;
const RANK_CORES = 16;
const EFFICIENCY = 0.85;
const compute = (pair * cores) / RANK_CORES / EFFICIENCY;

console.log(`the paper's 200,000 steps of 2 pairs: ${((PAIRS * pair * cores) / 3600).toFixed(0)} core hours`);
console.log(`a pair on a rank of ${RANK_CORES} cores: ${compute.toFixed(2)} s`);
console.log('| ranks | pairs a step | exchange, f32 | step | efficiency | days for the same 400,000 pairs |');
console.log('| ---: | ---: | ---: | ---: | ---: | ---: |');
for (const [ranks, each] of [
  [1, 2],
  [2, 1],
  [8, 1],
  [8, 4],
  [64, 1],
  [64, 4],
]) {
  const bytes = ranks === 1 ? 0 : ((2 * (ranks - 1)) / ranks) * 4 * PARAMETERS;
  const exchange = bytes / (network * 1e9);
  const step = compute * each + exchange * (1 - overlap);
  const efficiency = (compute * each) / step;
  const days = (PAIRS / (ranks * each)) * step;
  console.log(
    `| ${ranks} | ${ranks * each} | ${exchange.toFixed(2)} s | ${step.toFixed(2)} s | ${(100 * efficiency).toFixed(0)} % | ${(days / 86400).toFixed(1)} |`,
  );
}
