/** The backends that every operation's tests run on. One more backend is one more line here. */
import { existsSync } from 'node:fs';
import { it } from 'vitest';
import { nodeCpuBackend, runnableBuilds } from '../../platform/node/cpu-host.ts';
import { nodeWebGpuHost } from '../../platform/node/webgpu-host.ts';
import type { Backend } from '../backend.ts';
import { referenceBackend } from '../backends/reference/backend.ts';
import { webGpuBackend } from '../backends/webgpu/backend.ts';

/** A backend under test. It is opened by each test that needs it. */
export interface TestBackend {
  /** As the tests' titles say it. */
  readonly name: string;
  readonly open: () => Promise<Backend>;
  /** How far it may be from the reference, times what a case allows; 1 where left out. */
  readonly toleranceFactor?: number;
  /** Why it is left out on this machine. */
  readonly skipped?: string;
}

/** Debian's chromium brings a Vulkan driver in software: where there is no GPU, it checks the shaders. */
const SOFTWARE_DRIVER = '/usr/lib/chromium/vk_swiftshader_icd.json';
if (!process.env.VK_DRIVER_FILES && existsSync(SOFTWARE_DRIVER)) process.env.VK_DRIVER_FILES = SOFTWARE_DRIVER;

/** Why WebGPU cannot be tested here; undefined where it can. */
export const noWebGpu: string | undefined = await nodeWebGpuHost().then(
  () => undefined,
  (error: Error) => error.message,
);

const BACKENDS: readonly TestBackend[] = [
  { name: 'reference', open: async () => referenceBackend() },
  // the first build with two threads, the others with one
  ...runnableBuilds().map((build, i) => ({ name: `cpu, ${build}`, open: async () => nodeCpuBackend(i === 0 ? 2 : 1, build) })),
  {
    name: 'webgpu',
    open: async () => webGpuBackend(await nodeWebGpuHost()),
    ...(noWebGpu === undefined ? {} : { skipped: noWebGpu }),
  },
];

export const testBackends = (): readonly TestBackend[] => BACKENDS;

/** Registers one test for every backend. */
export function itOnEveryBackend(title: string, run: (backend: Backend, toleranceFactor: number) => Promise<void>): void {
  for (const { name, open, toleranceFactor = 1, skipped } of testBackends()) {
    it.skipIf(skipped !== undefined)(`${title} (${name}${skipped === undefined ? '' : `: ${skipped}`})`, async () =>
      run(await open(), toleranceFactor),
    );
  }
}
