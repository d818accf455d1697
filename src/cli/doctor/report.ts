/** What `gvsl doctor --json` prints: everything that somebody who helps from afar would ask for. */
import { type BuildReport, type CpuBuild, describeBuilds } from '../../platform/node/cpu-host.ts';
import { type AvailableMemory, type AvailableThreads, availableBytes, availableThreads } from '../../platform/node/limits.ts';
import { installedVersion, OPTIONAL_PACKAGES, type OptionalPackage } from '../../platform/node/optional-packages.ts';
import type { AdapterSummary } from '../../platform/node/webgpu-host.ts';
import { describeSystem, type System } from '../bench/machine.ts';
import type { Check } from './check.ts';

/** Versions, hardware and limits. Nothing in it names the user or a file. */
export interface Environment extends System {
  readonly platform: NodeJS.Platform;
  readonly arch: NodeJS.Architecture;
  /** Threads that are of use, and what limits them: a container's quota for instance. */
  readonly usableThreads: AvailableThreads;
  /** Memory that can be had, and what limits it. */
  readonly availableMemory: AvailableMemory;
  /** Builds of the kernels, fastest first. */
  readonly builds: readonly BuildReport[];
  /** Versions of the optional packages; null of one that is not installed. */
  readonly packages: Readonly<Record<OptionalPackage, string | null>>;
  readonly webgpu: {
    readonly adapters: readonly AdapterSummary[];
    /** What the check of the GPU found, or what keeps WebGPU from being used. */
    readonly state: string;
  };
}

export interface DoctorReport {
  /** Whether gvsl works here: no check failed. */
  readonly ok: boolean;
  readonly environment: Environment;
  readonly checks: readonly Check[];
  /** The build of the kernels that is used. */
  readonly build: CpuBuild;
  /** The highest speed measured; null if that failed. */
  readonly gflops: number | null;
}

const packageVersions = (): Environment['packages'] =>
  Object.fromEntries(OPTIONAL_PACKAGES.map((name) => [name, installedVersion(name)])) as Environment['packages'];

function describeEnvironment(gpu: Check | undefined): Environment {
  return {
    ...describeSystem(),
    platform: process.platform,
    arch: process.arch,
    usableThreads: availableThreads(),
    availableMemory: availableBytes(),
    builds: describeBuilds(),
    packages: packageVersions(),
    webgpu: {
      adapters: gpu?.adapters ?? [],
      state: gpu === undefined ? 'not checked' : [gpu.found, gpu.advice].filter((text) => text !== null).join(': '),
    },
  };
}

export function reportOf(checks: readonly Check[], build: CpuBuild): DoctorReport {
  const speeds = checks.flatMap(({ gflops }) => gflops ?? []);
  return {
    ok: checks.every(({ status }) => status !== 'fail'),
    environment: describeEnvironment(checks.find(({ name }) => name === 'GPU')),
    checks,
    build,
    gflops: speeds.length > 0 ? Math.max(...speeds) : null,
  };
}
