/**
 * Runs a program: a list of (kernel's table index, arguments), every thread its share of each, a barrier between two.
 *
 * Threads other than 0 sit in `serve`. A barrier spins first (a quarter of a microsecond between two cores) and waits in the system
 * only when the others are long in coming. Waiting and waking go through the host's `Atomics`, not through WebAssembly's own
 * instructions: in Node 20 (V8 11.3) a thread that waits in baseline code is not woken by one that notifies in optimised code.
 */
import { setThreadScratch } from "./common.as";

/** Atomics.wait on the 32-bit word at an address, while it has the value. */
@external("env", "wait")
declare function wait(at: usize, value: i32): void;
/** Atomics.notify for every thread that waits on the word. */
@external("env", "notify")
declare function notify(at: usize): void;

/** Control words, each on a cache line of its own. */
const ARRIVED: usize = 0;
const GENERATION: usize = 64;
const JOB: usize = 128;
const PROGRAM: usize = 192;
const COUNT: usize = 196;
/** How many threads wait in the system: who changes a word wakes them only if there are any. */
const SLEEPERS: usize = 256;

const SPINS = 5000;

function awaitChange(control: usize, offset: usize, from: i32): void {
  const at = control + offset;
  for (let i = 0; i < SPINS; i++) {
    if (atomic.load<i32>(at) != from) return;
  }
  atomic.add<i32>(control, 1, SLEEPERS);
  while (atomic.load<i32>(at) == from) wait(at, from);
  atomic.sub<i32>(control, 1, SLEEPERS);
}

function change(control: usize, offset: usize): void {
  const at = control + offset;
  atomic.add<i32>(at, 1);
  if (atomic.load<i32>(control, SLEEPERS) > 0) notify(at);
}

function barrier(control: usize, threads: i32): void {
  const generation = atomic.load<i32>(control, GENERATION);
  if (atomic.add<i32>(control, 1, ARRIVED) == threads - 1) {
    atomic.store<i32>(control, 0, ARRIVED);
    change(control, GENERATION);
  } else {
    awaitChange(control, GENERATION, generation);
  }
}

function execute(control: usize, thread: i32, threads: i32): void {
  const program = <usize>load<u32>(control, PROGRAM);
  const count = load<i32>(control, COUNT);
  for (let i = 0; i < count; i++) {
    const at = program + (<usize>i << 3);
    call_indirect<void>(load<u32>(at), <usize>load<u32>(at, 4), thread, threads);
    if (threads > 1) barrier(control, threads);
  }
}

/** Thread 0: runs `count` instructions at `program` with all threads; returns when every thread is done. */
export function run(control: usize, scratch: usize, program: usize, count: i32, threads: i32): void {
  setThreadScratch(scratch);
  store<u32>(control, <u32>program, PROGRAM);
  store<i32>(control, count, COUNT);
  if (threads > 1) change(control, JOB);
  execute(control, 0, threads);
}

/** Another thread: runs its share of every job, until a job without instructions. `seen` is the job count when it was made. */
export function serve(control: usize, scratch: usize, thread: i32, threads: i32): void {
  setThreadScratch(scratch);
  let seen = 0;
  for (;;) {
    awaitChange(control, JOB, seen);
    seen++;
    if (load<i32>(control, COUNT) == 0) return;
    execute(control, thread, threads);
  }
}
