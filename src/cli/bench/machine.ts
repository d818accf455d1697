/** What a measurement was taken on: nothing can be compared without it. */
import { availableParallelism, cpus, release, totalmem, type } from 'node:os';
import { version } from '../../common/version.ts';
import { type CpuBuild, describeBuilds } from '../../platform/node/cpu-host.ts';

/** Versions and hardware, whatever is measured. */
export interface System {
  readonly gvsl: string;
  readonly node: string;
  readonly v8: string;
  readonly system: string;
  readonly cpu: string;
  readonly cores: number;
  readonly memoryBytes: number;
}

export interface Machine extends System {
  /** Which build of the kernels was measured. */
  readonly build: CpuBuild;
  /** What that build uses here, in words. */
  readonly buildWhy?: string;
  readonly threads: number;
  /** The GPU, where it was measured instead of the processor. */
  readonly gpu?: string;
  readonly date: string;
}

export const describeSystem = (): System => ({
  gvsl: version,
  node: process.version,
  v8: process.versions.v8,
  system: `${type()} ${release()} ${process.arch}`,
  cpu: cpus()[0]?.model.trim() ?? 'unknown processor',
  cores: availableParallelism(),
  memoryBytes: totalmem(),
});

export function describeMachine(build: CpuBuild, threads: number, gpu?: string): Machine {
  return {
    ...describeSystem(),
    build,
    buildWhy: describeBuilds().find((each) => each.build === build)!.why,
    threads,
    ...(gpu !== undefined && { gpu }),
    date: new Date().toISOString().slice(0, 10),
  };
}

/** One line for people. */
export function machineText({ cpu, cores, node, v8, build, buildWhy, threads, gpu, gvsl, date }: Machine): string {
  if (gpu !== undefined) return `gvsl ${gvsl}, ${date}: ${gpu}; Node ${node}`;
  return `gvsl ${gvsl}, ${date}: ${cpu}, ${cores} core${cores === 1 ? '' : 's'}; Node ${node} (V8 ${v8}); ${build} build${buildWhy ? ` (${buildWhy})` : ''}, ${threads} thread${threads === 1 ? '' : 's'}`;
}

/** The middle of the values, the mean of the middle two if they are even in number; NaN of none. */
export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const half = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[half] : (sorted[half - 1] + sorted[half]) / 2;
}
