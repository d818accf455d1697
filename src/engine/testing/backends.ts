/** The backends that every operation's tests run on. One more backend is one more line here. */
import { it } from 'vitest';
import { nodeCpuBackend, runnableBuilds } from '../../node/cpu-host.ts';
import type { Backend } from '../backend.ts';
import { referenceBackend } from '../backends/reference/backend.ts';

/** A backend under test. It is opened by each test that needs it. */
export interface TestBackend {
  /** As the tests' titles say it. */
  readonly name: string;
  readonly open: () => Promise<Backend>;
  /** How far it may be from the reference, times what a case allows; 1 where left out. */
  readonly toleranceFactor?: number;
}

const BACKENDS: readonly TestBackend[] = [
  { name: 'reference', open: async () => referenceBackend() },
  // the first build with two threads, the others with one
  ...runnableBuilds().map((build, i) => ({ name: `cpu, ${build}`, open: async () => nodeCpuBackend(i === 0 ? 2 : 1, build) })),
];

export const testBackends = (): readonly TestBackend[] => BACKENDS;

/** Registers one test for every backend. */
export function itOnEveryBackend(title: string, run: (backend: Backend, toleranceFactor: number) => Promise<void>): void {
  for (const { name, open, toleranceFactor = 1 } of testBackends()) {
    it(`${title} (${name})`, async () => run(await open(), toleranceFactor));
  }
}
