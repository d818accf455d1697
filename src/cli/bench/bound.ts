/**
 * How long a step must take on a GPU at least, from its design alone: of each dispatch the multiply-adds over the peak or the bytes of its
 * operands over the bandwidth, whichever is longer. No kernel reaches its peak; what a real one takes stands above this by the kernels'
 * utilisation, which `gvsl bench --backend webgpu --profile` measures.
 */

import { formatBytes } from '../../common/format-bytes.ts';
import { compileProgram } from '../../engine/backends/webgpu/compile.ts';
import { bytesMoved } from '../../engine/backends/webgpu/kernel.ts';
import { PAGE_BYTES } from './memory.ts';
import { directFlops, isConvolution } from './profile.ts';
import { type BenchBackend, programOf } from './step.ts';
import { seconds as secondsText, type Table } from './tables.ts';

/** A GPU by its data sheet, or as measured. */
export interface GpuPeaks {
  readonly gflops: number;
  readonly gbPerS: number;
}

export interface BoundRow {
  readonly kernel: string;
  readonly calls: number;
  readonly gflop: number;
  readonly gb: number;
  readonly seconds: number;
}

export interface Bound {
  readonly size: number;
  readonly width: number;
  readonly backend: BenchBackend;
  readonly peaks: GpuPeaks;
  /** Of all convolutions: as direct sums, and as the kernels do them. */
  readonly directGflop: number;
  readonly gflop: number;
  readonly gb: number;
  readonly dispatches: number;
  readonly memoryBytes: number;
  readonly seconds: number;
  /** By kernel, the longest first. */
  readonly rows: readonly BoundRow[];
}

/** The graphs of a step. */
const STEP = new Set(['gradient', 'norms', 'update']);

export function boundOf(size: number, width: number, backend: BenchBackend, peaks: GpuPeaks): Bound {
  const half = backend === 'webgpu-f16';
  const { program } = programOf('step', size, width, half);
  const compiled = compileProgram(program, { pageBytes: PAGE_BYTES, half });
  const graphs = [...compiled.graphs].filter(([name]) => STEP.has(name)).map(([, graph]) => graph);
  const calls = graphs.flatMap((each) => each.calls.map(({ dispatch }) => dispatch));
  const rows = new Map<string, BoundRow>();
  for (const dispatch of calls) {
    const [gflop, gb] = [(dispatch.flops ?? 0) / 1e9, bytesMoved(dispatch) / 1e9];
    const row = rows.get(dispatch.name) ?? { kernel: dispatch.name, calls: 0, gflop: 0, gb: 0, seconds: 0 };
    rows.set(dispatch.name, {
      kernel: dispatch.name,
      calls: row.calls + 1,
      gflop: row.gflop + gflop,
      gb: row.gb + gb,
      seconds: row.seconds + Math.max(gflop / peaks.gflops, gb / peaks.gbPerS),
    });
  }
  const all = [...rows.values()].sort((a, b) => b.seconds - a.seconds);
  const sum = (of: (row: BoundRow) => number): number => all.reduce((total, row) => total + of(row), 0);
  const convolutions = graphs.flatMap(({ graph }) => graph.nodes.filter(isConvolution));
  return {
    size,
    width,
    backend,
    peaks,
    directGflop: convolutions.reduce((total, node) => total + directFlops(node) / 1e9, 0),
    gflop: sum(({ gflop }) => gflop),
    gb: sum(({ gb }) => gb),
    dispatches: calls.length,
    memoryBytes: compiled.totalBytes,
    seconds: sum(({ seconds }) => seconds),
    rows: all,
  };
}

export const boundTable = ({ rows, seconds: total }: Bound): Table => ({
  headings: ['kernel', 'calls', 'GFLOP', 'GB', 'ms lower bound', 'share'],
  rows: rows.map(({ kernel, calls, gflop, gb, seconds }) => [
    kernel,
    String(calls),
    gflop === 0 ? '' : gflop.toFixed(0),
    gb.toFixed(2),
    (1000 * seconds).toFixed(2),
    `${((100 * seconds) / total).toFixed(1)} %`,
  ]),
});

export function boundText(bound: Bound, draw: (table: Table) => string): string {
  const { size, width, backend, peaks, directGflop, gflop, gb, dispatches, memoryBytes, seconds } = bound;
  return [
    `step ${size}^3, width ${width}, ${backend}, on ${peaks.gflops} GFLOPS and ${peaks.gbPerS} GB/s: at least ${secondsText(seconds)}`,
    `${directGflop.toFixed(0)} GFLOP of convolution as direct sums, ${gflop.toFixed(0)} as computed; ${gb.toFixed(0)} GB moved; ${dispatches} dispatches; ${formatBytes(memoryBytes)}`,
    '',
    draw(boundTable(bound)),
  ].join('\n');
}
