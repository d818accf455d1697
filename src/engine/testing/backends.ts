/** The backends that every operation's tests run on. One more backend is one more line here. */
import type { Backend } from '../backend.ts';
import { referenceBackend } from '../backends/reference/backend.ts';

/** A backend by the name that the tests' titles say. It is opened by the test that needs it. */
export interface TestBackend {
  readonly name: string;
  readonly open: () => Promise<Backend>;
  /** How far it may be from the reference, times what a case allows; 1 where left out. */
  readonly toleranceFactor?: number;
}

const BACKENDS: readonly TestBackend[] = [{ name: 'reference', open: async () => referenceBackend() }];

export const testBackends = (): readonly TestBackend[] => BACKENDS;
