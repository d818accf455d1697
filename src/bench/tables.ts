/** Results as tables: plain for a terminal, Markdown for docs/benchmarks.md. */
import { formatBytes } from '../training/estimate.ts';
import { machineText } from './machine.ts';
import type { Peaks } from './peaks.ts';
import type { KernelShare } from './profile.ts';
import type { Change, SuiteResult, SuiteRow } from './suite.ts';

/** Headings and rows of cells; every column but the first is numbers. */
export interface Table {
  readonly headings: readonly string[];
  readonly rows: readonly (readonly string[])[];
}

export const seconds = (value: number): string => `${value.toPrecision(3)} s`;

export function stepTable(rows: readonly SuiteRow[]): Table {
  const name = rows.find(({ peer }) => peer)?.peer?.name;
  return {
    headings: ['', 'gvsl', 'peak memory', ...(name ? [name, 'its memory', 'time ratio', 'memory ratio'] : [])],
    rows: rows.map(({ kind, size, width, gvsl, peer }) => [
      `${kind} ${size}^3, width ${width}`,
      seconds(gvsl.medianS),
      formatBytes(gvsl.peakBytes),
      ...(name
        ? peer
          ? [
              seconds(peer.medianS),
              formatBytes(peer.peakBytes),
              (gvsl.medianS / peer.medianS).toFixed(2),
              (gvsl.peakBytes / peer.peakBytes).toFixed(2),
            ]
          : ['-', '-', '-', '-']
        : []),
    ]),
  };
}

/** Kernels with their share, speed and fraction of the bound: Winograd does 27/8 times fewer multiplications than it is credited with, so it may exceed 1. */
export function profileTable(
  profile: readonly KernelShare[],
  { gflopsPerThread, copyGbPerS }: Peaks,
  threads: number,
  rows = 40,
): Table {
  return {
    headings: ['kernel', 'calls', 'ms', 'share', 'speed', 'of peak'],
    rows: profile
      .slice(0, rows)
      .map(({ what, calls, seconds: time, share, gflops, gbPerS }) => [
        what,
        String(calls),
        (time * 1000).toFixed(1),
        `${(100 * share).toFixed(1)} %`,
        gflops === undefined ? `${gbPerS!.toFixed(1)} GB/s` : `${gflops.toFixed(0)} GFLOPS`,
        gflops === undefined ? (gbPerS! / copyGbPerS).toFixed(2) : (gflops / (gflopsPerThread * threads)).toFixed(2),
      ]),
  };
}

export function markdown({ headings, rows }: Table): string {
  const line = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`;
  return [line(headings), line(headings.map((_, i) => (i === 0 ? '---' : '---:'))), ...rows.map(line)].join('\n');
}

export const peaksText = ({ gflopsPerThread, copyGbPerS }: Peaks): string =>
  `measured peaks: ${gflopsPerThread.toFixed(0)} GFLOPS a thread from registers, ${copyGbPerS.toFixed(1)} GB/s read and written by all threads`;

/** Multiplications that F(2x2x2, 3x3x3) saves: 27 x 8 in 64. */
const WINOGRAD_FACTOR = 27 / 8;

/** What the convolutions of a profiled step would take at least, were there nothing but Winograd's matrix products at the peak. */
export function boundText(profile: readonly KernelShare[], { gflopsPerThread }: Peaks, threads: number): string {
  const gflop = profile.reduce((sum, { gflops = 0, seconds: time }) => sum + gflops * time, 0);
  const least = gflop / WINOGRAD_FACTOR / (gflopsPerThread * threads);
  const spent = profile.reduce((sum, { gflops, seconds: time }) => sum + (gflops === undefined ? 0 : time), 0);
  const all = profile.reduce((sum, { seconds: time }) => sum + time, 0);
  return `convolutions: ${gflop.toFixed(0)} GFLOP as direct sums in ${seconds(spent)} of ${seconds(all)}; at ${WINOGRAD_FACTOR} times the measured peak they would take ${seconds(least)}`;
}

export function dataText(data: SuiteResult['data']): string {
  if (!data) return '';
  const { prepareVoxelsPerS, subjects, examplesPerS, patch, waitShare, trainingSteps, trainingPatch } = data;
  return [
    `prepare: ${(prepareVoxelsPerS / 1e6).toFixed(1)} million source voxels a second (${subjects} scans)`,
    `examples of ${patch}^3, damaged and transformed: ${examplesPerS.toFixed(1)} a second and thread`,
    `${trainingSteps} training steps at ${trainingPatch}^3, quarter width, batch 2: ${(100 * waitShare).toFixed(2)} % of the time waiting for examples`,
  ].join('\n');
}

export function changesText(changes: readonly Change[] | string): string {
  if (typeof changes === 'string') return `earlier results: ${changes}`;
  const lines = changes.map(
    ({ what, ratio, slower }) => `  ${what}: ${ratio.toFixed(2)} of the earlier time${slower ? '  SLOWER' : ''}`,
  );
  return ['against the earlier results:', ...lines].join('\n');
}

/** Everything, with tables drawn by `draw`. */
export function suiteText(result: SuiteResult, draw: (table: Table) => string): string {
  const { machine, peaks, rows, profile, profileSize, data } = result;
  return [
    machineText(machine),
    '',
    draw(stepTable(rows)),
    '',
    `One step at ${profileSize}^3, full width, kernel by kernel (${peaksText(peaks)}):`,
    '',
    draw(profileTable(profile, peaks, machine.threads)),
    '',
    boundText(profile, peaks, machine.threads),
    '',
    dataText(data),
  ].join('\n');
}
