/** A thread of the CPU backend: binds the kernels to the shared memory, serves, and says so if it cannot go on. */

/** What a thread needs to serve: see scheduler.as.ts. */
export interface ThreadOptions {
  readonly module: WebAssembly.Module;
  readonly memory: WebAssembly.Memory;
  readonly kernelNames: readonly string[];
  readonly tableBase: number;
  readonly controlAddress: number;
  /** Where a thread that fails says so: see `FaultReport`. */
  readonly faultAddress: number;
  /** The words that threads wait for. */
  readonly awaitedAddresses: readonly number[];
  readonly scratchAddress: number;
  readonly thread: number;
}

/** A thread that runs. */
export interface KernelThread {
  /** Why it no longer serves; undefined while it does. */
  failure(): string | undefined;
  stop(): Promise<void>;
}

/**
 * Serves until there is a job without instructions. A kernel that traps would leave the others waiting for ever for its wave to end, so that
 * is written down in memory and everybody is woken; `wait` of every thread looks there.
 *
 * Refers to nothing outside itself: hosts whose threads have no file of their own start it from its text.
 * @param ready called before it serves, which ends with the thread
 * @throws what went wrong, after it was written down
 */
export function serveKernels(options: ThreadOptions, ready: () => void): void {
  const { module, memory, kernelNames, tableBase, controlAddress, faultAddress, awaitedAddresses, scratchAddress, thread } =
    options;
  const words = new Int32Array(memory.buffer);
  // thread + 1 of the first that failed, bytes of its message, the message; before them: somebody is writing that
  const [claim, failed, length] = [faultAddress >> 2, (faultAddress >> 2) + 1, (faultAddress >> 2) + 2] as const;
  const wait = (at: number, value: number): void => {
    Atomics.wait(words, at >> 2, value);
    if (Atomics.load(words, failed) !== 0) throw new Error('another thread failed');
  };
  const notify = (at: number): void => void Atomics.notify(words, at >> 2);
  const now = (): number => performance.now();
  try {
    const table = new WebAssembly.Table({ initial: tableBase + kernelNames.length, element: 'anyfunc' });
    const { exports } = new WebAssembly.Instance(module, { env: { memory, table, wait, notify, now } });
    kernelNames.forEach((name, i) => {
      table.set(tableBase + i, exports[name]);
    });
    ready();
    (exports.serve as (...numbers: number[]) => void)(controlAddress, scratchAddress, thread);
  } catch (error) {
    if (Atomics.compareExchange(words, claim, 0, 1) === 0) {
      const message = new TextEncoder().encode(String((error as Error).message)).slice(0, 500);
      new Uint8Array(memory.buffer).set(message, faultAddress + 12);
      Atomics.store(words, length, message.length);
      Atomics.store(words, failed, thread + 1);
    }
    awaitedAddresses.forEach(notify);
    throw error;
  }
}

/** The calling thread's side of what `serveKernels` writes down. */
export interface FaultReport {
  /** @throws Error that says which thread failed, and how */
  check(): void;
  /** Tells the others that this thread, the first, failed. */
  raise(): void;
}

export function faultReport(memory: WebAssembly.Memory, faultAddress: number, awaitedAddresses: readonly number[]): FaultReport {
  const words = new Int32Array(memory.buffer);
  const at = faultAddress >> 2;
  return {
    check: () => {
      const thread = Atomics.load(words, at + 1);
      if (thread === 0) return;
      const message = new Uint8Array(memory.buffer).slice(faultAddress + 12, faultAddress + 12 + Atomics.load(words, at + 2));
      throw new Error(`thread ${thread} failed: ${new TextDecoder().decode(message)}`);
    },
    raise: () => {
      if (Atomics.compareExchange(words, at, 0, 1) === 0) Atomics.store(words, at + 1, 1);
      for (const address of awaitedAddresses) Atomics.notify(words, address >> 2);
    },
  };
}
