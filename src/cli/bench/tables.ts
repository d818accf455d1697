/** Results as tables: plain for a terminal, Markdown for docs/benchmarks.md. */
import { formatBytes } from '../../common/format-bytes.ts';
import type { Comparison } from './compare.ts';
import type { Peer } from './in-turn.ts';
import { summarizeLoop } from './loop.ts';
import { machineText } from './machine.ts';
import type { Peaks } from './peaks.ts';
import type { KernelShare } from './profile.ts';
import type { Ratio } from './ratios.ts';
import type { StepResult } from './step.ts';
import type { Profile, SuiteResult, SuiteRow } from './suite.ts';
import { shapeText, type TrainingResult, type TrainingRow } from './training.ts';

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

/**
 * Operations or kernels with their share, speed and fraction of the measured peaks. Operations that Winograd computes are credited with the
 * direct sum's multiplications, and what stays in a cache moves faster than a copy: both may exceed 1.
 */
export function profileTable(
  profile: readonly KernelShare[],
  { gflopsPerThread, copyGbPerS }: Peaks,
  threads: number,
  what = 'operation',
): Table {
  const rates = profile.some(({ gflops, gbPerS }) => gflops !== undefined || gbPerS !== undefined);
  return {
    headings: [what, 'calls', 'ms', 'share', ...(rates ? ['GFLOPS', 'of peak', 'GB/s', 'of copy'] : [])],
    rows: profile.map(({ what: name, calls, seconds: time, share, gflops, gbPerS }) => [
      name,
      String(calls),
      (time * 1000).toFixed(1),
      `${(100 * share).toFixed(1)} %`,
      ...(rates
        ? [
            ...(gflops === undefined ? ['', ''] : [gflops.toFixed(0), (gflops / (gflopsPerThread * threads)).toFixed(2)]),
            ...(gbPerS === undefined ? ['', ''] : [gbPerS.toFixed(1), (gbPerS / copyGbPerS).toFixed(2)]),
          ]
        : []),
    ]),
  };
}

export function markdown({ headings, rows }: Table): string {
  const line = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`;
  return [line(headings), line(headings.map((_, i) => (i === 0 ? '---' : '---:'))), ...rows.map(line)].join('\n');
}

export const peaksText = ({ gflopsPerThread, copyGbPerS }: Peaks, gpu = false): string =>
  `measured peaks: ${gflopsPerThread.toFixed(0)} GFLOPS ${gpu ? '' : 'per thread '}from registers, ${copyGbPerS.toFixed(1)} GB/s read and written${gpu ? '' : ' by all threads'}`;

/** Multiplications that Winograd saves: F(4x4x4, 3x3x3) on the CPU, 1728 in 216; F(2x2, 3x3) and direct along z on a GPU, 108 in 48. */
const WINOGRAD_FACTOR = { cpu: 1728 / 216, gpu: 108 / 48 } as const;

/** What the convolutions of a profiled step would take at least, were there nothing but Winograd's matrix products at the peak. */
export function boundText(profile: readonly KernelShare[], { gflopsPerThread }: Peaks, threads: number, gpu = false): string {
  const factor = WINOGRAD_FACTOR[gpu ? 'gpu' : 'cpu'];
  const gflop = profile.reduce((sum, { gflops = 0, seconds: time }) => sum + gflops * time, 0);
  const least = gflop / factor / (gflopsPerThread * threads);
  const spent = profile.reduce((sum, { gflops, seconds: time }) => sum + (gflops === undefined ? 0 : time), 0);
  const all = profile.reduce((sum, { seconds: time }) => sum + time, 0);
  return `convolutions: ${gflop.toFixed(0)} GFLOP as direct sums in ${seconds(spent)} of ${seconds(all)}; at ${factor} times the measured peak they would take ${seconds(least)}`;
}

/** One measurement in words. */
export const resultText = ({ machine, kind, size, width, medianS, seconds: all, peakBytes, planBytes }: StepResult): string =>
  [
    machineText(machine),
    `${kind} ${size}^3, width ${width}: ${seconds(medianS)} (median of ${all.map((each) => each.toPrecision(3)).join(', ')}), peak ${formatBytes(peakBytes)} resident, ${formatBytes(planBytes)} planned`,
  ].join('\n');

export const peerText = (peer: Peer, { medianS, peakBytes }: StepResult): string =>
  `${peer.name} interleaved: ${seconds(peer.medianS)} (median of ${peer.seconds.map((each) => each.toPrecision(3)).join(', ')}), peak ${formatBytes(peer.peakBytes)}; gvsl takes ${(medianS / peer.medianS).toFixed(2)} of its time, ${(peakBytes / peer.peakBytes).toFixed(2)} of its memory`;

/** A profile: by operation and shape, the bound, by kernel. */
export function operationsText(
  {
    profile,
    kernels,
    waitShare,
    peaks,
    threads,
    gpu = false,
  }: Pick<Profile, 'profile' | 'kernels' | 'waitShare'> &
    Pick<SuiteResult, 'peaks'> & { readonly threads: number; readonly gpu?: boolean },
  draw: (table: Table) => string,
  rows = profile.length,
): string {
  const rest = profile.slice(rows).reduce((sum, { share }) => sum + share, 0);
  return [
    peaksText(peaks, gpu),
    'Every operation of one step timed alone:',
    '',
    draw(profileTable(profile.slice(0, rows), peaks, threads)),
    ...(rest > 0 ? [`and ${profile.length - rows} more, ${(100 * rest).toFixed(1)} % together`] : []),
    '',
    boundText(profile, peaks, threads, gpu),
    ...(waitShare === undefined
      ? []
      : [`of whole steps, threads wait for one another in ${(100 * waitShare).toFixed(1)} % of their time`]),
    ...(kernels.length > 0 ? ['', 'The same time by kernels:', '', draw(profileTable(kernels, peaks, threads, 'kernel'))] : []),
  ].join('\n');
}

export function dataText(data: SuiteResult['data']): string {
  if (!data) return '';
  const { prepareVoxelsPerS, subjects, examplesPerS, patch, waitShare, trainingSteps, trainingPatch } = data;
  return [
    `prepare: ${(prepareVoxelsPerS / 1e6).toFixed(1)} million source voxels per second (${subjects} scans)`,
    `training examples of ${patch}^3 with damage and spatial augmentation: ${examplesPerS.toFixed(1)} per second and thread`,
    `${trainingSteps} training steps at ${trainingPatch}^3, quarter width, batch 2: ${(100 * waitShare).toFixed(2)} % of the time waiting for examples`,
  ].join('\n');
}

export const ratiosTable = (ratios: readonly Ratio[]): Table => ({
  headings: ['ratio of interleaved timings', 'median', 'least', 'largest'],
  rows: ratios.map(({ what, value, low, high }) => [what, ...[value, low, high].map((each) => each.toFixed(3))]),
});

/** What changed since: ratios, then times, then what that means. */
export function comparisonText({ differences, ratios, times, worse }: Comparison, earlier: string): string {
  const taken =
    differences.length > 0
      ? ` (measured ${differences.join(', ')}: ratios may differ for that reason, and times are not compared)`
      : '';
  const range = ({ low, high }: Ratio): string => `${low.toFixed(3)} to ${high.toFixed(3)}`;
  const slower = times.filter((each) => each.slower).length;
  const verdict = worse
    ? `worse: ${[
        ...ratios.filter((each) => each.worse).map(({ what }) => what),
        ...times.filter(({ larger }) => larger).map(({ what }) => `memory of ${what}`),
      ].join('; ')}`
    : ratios.length === 0
      ? slower > 0
        ? `${slower} of ${times.length} rows slower, and no ratio in common: a slower machine or a slower program, this comparison cannot tell`
        : 'no regression in what these results have in common'
      : slower > 0
        ? `no ratio is worse, ${slower} of ${times.length} rows are slower: probably a slower machine today`
        : 'no regression';
  return [
    `against ${earlier}${taken}:`,
    ...ratios.map(
      ({ what, now, before, worse: bad }) =>
        `  ${what}: ${now.value.toFixed(3)} (${range(now)}), was ${before.value.toFixed(3)} (${range(before)})${bad ? '  WORSE' : ''}`,
    ),
    ...(times.length > 0 ? ['  times also depend on the state of the machine:'] : []),
    ...times.map(
      ({ what, time, memory, slower: long, larger }) =>
        `  ${what}: ${time.toFixed(2)} of the time${long ? ' (slower)' : ''}, ${memory.toFixed(2)} of the memory${larger ? '  LARGER' : ''}`,
    ),
    ...(ratios.length + times.length === 0 ? ['  nothing in common'] : []),
    verdict,
  ].join('\n');
}

const LOAD_TEXT = { idle: '', busy: ', beside a busy process' } as const;
const percent = (share: number): string => `${(100 * share).toFixed(1)} %`;

export function trainingTable(rows: readonly TrainingRow[]): Table {
  const single = (row: TrainingRow): TrainingRow | undefined =>
    rows.find((other) => other.threads === 1 && other.load === row.load && shapeText(other) === shapeText(row));
  return {
    headings: [
      '',
      'threads',
      'bare step',
      'in the loop',
      'speed kept',
      'waiting for examples',
      'computing slower',
      'logs and the rest',
      'speed of 1 thread',
    ],
    rows: rows.map((row) => {
      const { bareS, loopS, kept, waiting, slower, rest } = summarizeLoop(row.rounds);
      const one = single(row);
      return [
        `${shapeText(row)}${LOAD_TEXT[row.load]}`,
        String(row.threads),
        seconds(bareS),
        seconds(loopS),
        kept.toFixed(2),
        percent(waiting),
        percent(slower),
        percent(rest),
        one && one !== row ? `x ${(summarizeLoop(one.rounds).bareS / bareS).toFixed(2)}` : '',
      ];
    }),
  };
}

export const trainingText = ({ machine, command, rows, leftOut }: TrainingResult, draw: (table: Table) => string): string =>
  [
    machineText({ ...machine, threads: Math.max(...rows.map(({ threads }) => threads)) }),
    `command: ${command}`,
    '',
    draw(trainingTable(rows)),
    '',
    'Seconds per step, medians of interleaved measurements. bare step: on fixed images. in the loop: with data loading, logs and progress. speed kept: bare step over step in the loop.',
    'Shares of the loop: waiting for examples; computing slower than the bare step (the data loader thread needs a processor too); logs and the rest.',
    'speed of 1 thread: speed of the bare step relative to one thread under the same load.',
    ...leftOut.map((each) => `Skipped: ${each}`),
  ].join('\n');

/** What the rows are. */
const LEGEND =
  'step: three images to changed parameters for one pair (gradient, norms, update). forward: the backbone on one image, without gradients, as inference runs it on each window.\n' +
  'Ratios are gvsl over PyTorch: below 1, gvsl is faster or smaller.';

/** The JSON document has the others too. */
const SUITE_ROWS = 40;

/** Everything, with tables drawn by `draw`. */
export function suiteText(result: SuiteResult, draw: (table: Table) => string): string {
  const { machine, command, peaks, rows, leftOut = [], profiles, data } = result;
  return [
    machineText(machine),
    ...(command ? [`command: ${command}`] : []),
    '',
    draw(stepTable(rows)),
    '',
    LEGEND,
    ...leftOut.map((each) => `Skipped: ${each}`),
    '',
    ...(profiles.length > 0
      ? profiles.flatMap(({ size, width, ...shares }) => [
          `Step at ${size}^3, width ${width}.`,
          operationsText({ ...shares, peaks, threads: machine.threads }, draw, SUITE_ROWS),
          '',
        ])
      : [peaksText(peaks), '']),
    dataText(data),
  ].join('\n');
}
