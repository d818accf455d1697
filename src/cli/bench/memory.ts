/** The memory plan of a training step for people: which tensor, how long, how much, and what is alive at the peak. */

import { formatBytes } from '../../common/format-bytes.ts';
import { compileProgram } from '../../engine/backends/cpu/compile.ts';
import { compileProgram as compileForGpu } from '../../engine/backends/webgpu/compile.ts';
import type { Graph, Node, Program } from '../../engine/graph.ts';
import type { Allocation, MemoryPlan } from '../../engine/plan.ts';
import type { ParameterTable } from '../../model/parameters.ts';
import { type BenchBackend, type Kind, programOf } from './step.ts';

export interface PlannedTensor {
  /** Operation and shape, and of which layer where a parameter says so. */
  readonly what: string;
  readonly shape: readonly number[];
  readonly layer: string | null;
  /** First and last node that uses it. */
  readonly from: number;
  readonly to: number;
  readonly offset: number;
  readonly sizeBytes: number;
}

export interface MemoryReport {
  readonly kind: Kind;
  readonly size: number;
  readonly width: number;
  readonly totalBytes: number;
  /** Parameters, gradients and moments. */
  readonly stateBytes: number;
  readonly arenaBytes: number;
  /** The most that is alive at one time: no placing can be smaller. */
  readonly aliveBytes: number;
  readonly peak: { readonly node: number; readonly what: string; readonly alive: readonly PlannedTensor[] };
  readonly tensors: readonly PlannedTensor[];
}

/** The parameter that a node works with, by the offset of its view: 'unet.inc.double_conv.0'. */
function layerOf(node: Node, table: ParameterTable): string | null {
  for (const { op, attributes } of node.inputs) {
    if (op.name !== 'view') continue;
    const { offset } = attributes as { offset: number };
    const parameter = table.parameters.find((each) => each.offset === offset);
    if (parameter) return parameter.name.replace(/\.(weight|bias)$/, '');
  }
  return null;
}

/** The peak of a plan: the node at which most is alive, and how much that is. */
export function peakOf(graph: Graph, plan: MemoryPlan): { node: number; aliveBytes: number } {
  const changes = new Float64Array(graph.nodes.length + 2);
  for (const { from, to, sizeBytes } of [...plan.tensors.values(), ...plan.scratch.values()]) {
    changes[from] += sizeBytes;
    changes[to + 1] -= sizeBytes;
  }
  let [alive, node, aliveBytes] = [0, 0, 0];
  graph.nodes.forEach((_, i) => {
    alive += changes[i];
    if (alive > aliveBytes) [node, aliveBytes] = [i, alive];
  });
  return { node, aliveBytes };
}

/** The largest binding that GPUs commonly allow. */
export const PAGE_BYTES = 2 ** 31 - 4096;

/** What the two backends say of their memory, in the same words. */
function compiledFor(program: Program, threads: number, backend: BenchBackend) {
  if (backend !== 'cpu') {
    const { graphs, stateBytes, totalBytes } = compileForGpu(program, { pageBytes: PAGE_BYTES, half: backend === 'webgpu-f16' });
    return { graphs, states: [...stateBytes.values()], totalBytes };
  }
  const { graphs, states, totalBytes } = compileProgram(program, threads);
  return { graphs, states: [...states.values()].map(({ elements }) => 4 * elements), totalBytes };
}

/** The plan of a backend; the CPU's depends on its threads. */
export function planReport(
  kind: Kind,
  size: number,
  width: number,
  threads: number,
  backend: BenchBackend = 'cpu',
): MemoryReport {
  const { program, table } = programOf(kind, size, width, backend === 'webgpu-f16');
  const compiled = compiledFor(program, threads, backend);
  const { graph, plan } = compiled.graphs.get(kind === 'forward' ? 'forward' : 'gradient')!;
  const describe =
    (suffix: string) =>
    ([id, allocation]: readonly [number, Allocation]): PlannedTensor => {
      const node = graph.nodes[id];
      const { from, to, offset, sizeBytes } = allocation;
      return { what: node.op.name + suffix, shape: node.shape, layer: layerOf(node, table), from, to, offset, sizeBytes };
    };
  const tensors = [...[...plan.tensors].map(describe('')), ...[...plan.scratch].map(describe(' scratch'))].sort(
    (a, b) => b.sizeBytes - a.sizeBytes || a.from - b.from,
  );
  const { node, aliveBytes } = peakOf(graph, plan);
  return {
    kind,
    size,
    width,
    totalBytes: compiled.totalBytes,
    stateBytes: compiled.states.reduce((sum, bytes) => sum + bytes, 0),
    arenaBytes: plan.arenaBytes,
    aliveBytes,
    peak: { node, what: graph.nodes[node].op.name, alive: tensors.filter(({ from, to }) => from <= node && node <= to) },
    tensors,
  };
}

const ROWS = 25;

export function memoryText({
  kind,
  size,
  width,
  totalBytes,
  stateBytes,
  arenaBytes,
  aliveBytes,
  peak,
  tensors,
}: MemoryReport): string {
  const line = ({ what, shape, layer, from, to, sizeBytes }: PlannedTensor): string =>
    `  ${formatBytes(sizeBytes).padStart(8)}  ${`${from} .. ${to}`.padEnd(12)} ${what} ${shape.join('x')}${layer ? `  (${layer})` : ''}`;
  const rest = tensors.slice(ROWS);
  return [
    `${kind} at ${size}^3, width ${width}: ${formatBytes(totalBytes)}, ${formatBytes(stateBytes)} of states and ${formatBytes(arenaBytes)} of arena`,
    `peak of live tensors: ${formatBytes(aliveBytes)}, at node ${peak.node} (${peak.what}):`,
    ...peak.alive.filter(({ sizeBytes }) => sizeBytes > 0.005 * aliveBytes).map(line),
    `largest of ${tensors.length} tensors (bytes, first and last node that uses them):`,
    ...tensors.slice(0, ROWS).map(line),
    ...(rest.length > 0
      ? [
          `  and ${rest.length} more, ${formatBytes(rest.reduce((sum, each) => sum + each.sizeBytes, 0))} in total; --json lists all`,
        ]
      : []),
  ].join('\n');
}
