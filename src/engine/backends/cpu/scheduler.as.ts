/**
 * Runs a program: a list of (kernel's table index, arguments), every thread its share of each, a barrier between two.
 *
 * Threads other than 0 sit in `serve`. A barrier spins first (a quarter of a microsecond between two cores) and waits in the system
 * only when the others are long in coming.
 */
import { setThreadScratch } from "./common.as";

/** Control words, each on a cache line of its own. */
const ARRIVED: usize = 0;
const GENERATION: usize = 64;
const JOB: usize = 128;
const PROGRAM: usize = 192;
const COUNT: usize = 196;

const SPINS = 20000;

function awaitChange(at: usize, from: i32): void {
  for (let i = 0; i < SPINS; i++) {
    if (atomic.load<i32>(at) != from) return;
  }
  while (atomic.load<i32>(at) == from) atomic.wait<i32>(at, from, -1);
}

function barrier(control: usize, threads: i32): void {
  const generation = atomic.load<i32>(control, GENERATION);
  if (atomic.add<i32>(control, 1, ARRIVED) == threads - 1) {
    atomic.store<i32>(control, 0, ARRIVED);
    atomic.add<i32>(control, 1, GENERATION);
    atomic.notify(control + GENERATION, -1);
  } else {
    awaitChange(control + GENERATION, generation);
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
  if (threads > 1) {
    atomic.add<i32>(control, 1, JOB);
    atomic.notify(control + JOB, -1);
  }
  execute(control, 0, threads);
}

/** Another thread: runs its share of every job, until a job without instructions. `seen` is the job count when it was made. */
export function serve(control: usize, scratch: usize, thread: i32, threads: i32): void {
  setThreadScratch(scratch);
  let seen = 0;
  for (;;) {
    awaitChange(control + JOB, seen);
    seen++;
    if (load<i32>(control, COUNT) == 0) return;
    execute(control, thread, threads);
  }
}
