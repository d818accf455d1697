/**
 * Runs a program: kernel calls in waves (schedule.ts), each cut into shares that any thread takes.
 *
 * A thread that is free takes the next share of the current wave; when all its shares are done the next wave opens. Who is not running, since
 * another process has its processor, holds up nobody unless it is in the middle of a share. A thread that waits for a wave spins first, for
 * that takes a quarter of a microsecond where waking up takes fifty, and sleeps when spinning has not helped: the less it helps, the sooner.
 *
 * Waiting and waking go through the host's `Atomics`, not through WebAssembly's own instructions: in Node 20 (V8 11.3) a thread that waits
 * in baseline code is not woken by one that notifies in optimised code.
 */
import { setThread, threadIndex } from "./common.as";

/** Atomics.wait on the 32-bit word at an address, while it has the value. */
@external("env", "wait")
declare function wait(at: usize, value: i32): void;
/** Atomics.notify for every thread that waits on the word. */
@external("env", "notify")
declare function notify(at: usize): void;

/** The host's clock in milliseconds. */
@external("env", "now")
declare function now(): f64;

/**
 * Control words, each on a cache line of its own. The counts go on from job to job and wrap around, so that a thread that is jobs behind
 * finds no share to take and no wave to wait for.
 */
/** Shares that were taken. */
const TAKEN: usize = 0;
/** Waves that are over. */
const WAVE: usize = 64;
/** Twice the jobs that were given; odd while one is being written. */
const JOB: usize = 128;
/** The job: its calls, their number, and what TAKEN and WAVE were before it. */
const PROGRAM: usize = 192;
const COUNT: usize = 196;
const FIRST_SHARE: usize = 200;
const FIRST_WAVE: usize = 204;
/** Shares that are done. */
const DONE: usize = 256;
/** How many threads wait in the system: who changes a word wakes them only if there are any. */
const SLEEPERS: usize = 320;
/** Not 0: waits are timed, and every thread adds its own, in milliseconds, to the doubles from WAITED on. */
const TIMED: usize = 384;
const WAITED: usize = 2048;

/** Words of a call: kernel's table index, arguments, its first share, shares, its wave, end of the wave's shares; counted over its graph. */
const CALL_BYTES: usize = 24;
@inline
function kernelOf(call: usize): u32 {
  return load<u32>(call);
}
@inline
function argumentsOf(call: usize): usize {
  return <usize>load<u32>(call, 4);
}
@inline
function firstShare(call: usize): i32 {
  return load<i32>(call, 8);
}
@inline
function sharesOf(call: usize): i32 {
  return load<i32>(call, 12);
}
@inline
function waveOf(call: usize): i32 {
  return load<i32>(call, 16);
}
@inline
function waveEnd(call: usize): i32 {
  return load<i32>(call, 20);
}

/** Looks at a word before a thread sleeps: at most about as long as going to sleep and waking up take, at least what a busy word needs. */
const MAX_SPINS = 60000;
const MIN_SPINS = 300;
/** Of this thread, by what has helped lately. */
let spins = MAX_SPINS;

/** Returns when the count at the word has reached `target`. */
function awaitCount(control: usize, offset: usize, target: i32): void {
  const at = control + offset;
  for (let i = 0; i < spins; i++) {
    if (atomic.load<i32>(at) - target >= 0) {
      spins = min(MAX_SPINS, spins + (spins >> 3));
      return;
    }
  }
  spins = max(MIN_SPINS, spins >> 1);
  atomic.add<i32>(control, 1, SLEEPERS);
  for (;;) {
    const count = atomic.load<i32>(at);
    if (count - target >= 0) break;
    wait(at, count);
  }
  atomic.sub<i32>(control, 1, SLEEPERS);
}

/** Waits until so many waves are over. */
function awaitWave(control: usize, target: i32): void {
  if (atomic.load<i32>(control, WAVE) - target >= 0) return;
  if (load<i32>(control, TIMED) == 0) {
    awaitCount(control, WAVE, target);
    return;
  }
  const start = now();
  awaitCount(control, WAVE, target);
  const at = control + WAITED + (<usize>threadIndex << 3);
  store<f64>(at, load<f64>(at) + now() - start);
}

function wake(control: usize, offset: usize): void {
  if (atomic.load<i32>(control, SLEEPERS) > 0) notify(control + offset);
}

/** Does what is left of the job's shares, and returns when none is left to take; the last may still be under way elsewhere. */
function work(control: usize, program: usize, count: i32, firstTaken: i32, firstWaveOver: i32): void {
  const end = program + <usize>count * CALL_BYTES;
  const last = end - CALL_BYTES;
  const jobEnd = firstShare(last) + sharesOf(last);
  // a job may be some of a graph's calls
  const shareBase = firstTaken - firstShare(program);
  const waveBase = firstWaveOver - waveOf(program);
  for (let call = program; call < end; call += CALL_BYTES) {
    const wave = waveBase + waveOf(call);
    const shares = sharesOf(call);
    const first = shareBase + firstShare(call);
    awaitWave(control, wave);
    for (;;) {
      const taken = atomic.load<i32>(control, TAKEN);
      if (taken - first >= shares) break;
      if (atomic.cmpxchg<i32>(control, taken, taken + 1, TAKEN) != taken) continue;
      call_indirect<void>(kernelOf(call), argumentsOf(call), taken - first, shares);
      if (atomic.add<i32>(control, 1, DONE) + 1 == shareBase + min(waveEnd(call), jobEnd)) {
        atomic.store<i32>(control, wave + 1, WAVE);
        wake(control, WAVE);
      }
    }
  }
}

/** Thread 0: runs `count` calls at `program` with all threads; returns when all are done. */
export function run(control: usize, scratch: usize, program: usize, count: i32, threads: i32): void {
  setThread(0, scratch);
  if (threads == 1) {
    for (let i = 0; i < count; i++) {
      const call = program + <usize>i * CALL_BYTES;
      call_indirect<void>(kernelOf(call), argumentsOf(call), 0, 1);
    }
    return;
  }
  const taken = atomic.load<i32>(control, TAKEN);
  const over = atomic.load<i32>(control, WAVE);
  atomic.add<i32>(control, 1, JOB);
  atomic.store<u32>(control, <u32>program, PROGRAM);
  atomic.store<i32>(control, count, COUNT);
  atomic.store<i32>(control, taken, FIRST_SHARE);
  atomic.store<i32>(control, over, FIRST_WAVE);
  atomic.add<i32>(control, 1, JOB);
  wake(control, JOB);
  if (count == 0) return;
  work(control, program, count, taken, over);
  const last = program + <usize>(count - 1) * CALL_BYTES;
  awaitWave(control, over + waveOf(last) - waveOf(program) + 1);
}

/** Another thread: helps with jobs until one without calls. It may be late for a job, or miss one that is done without it. */
export function serve(control: usize, scratch: usize, thread: i32): void {
  setThread(thread, scratch);
  let seen = 0;
  for (;;) {
    awaitCount(control, JOB, seen + 2);
    const job = atomic.load<i32>(control, JOB);
    const program = <usize>atomic.load<u32>(control, PROGRAM);
    const count = atomic.load<i32>(control, COUNT);
    const taken = atomic.load<i32>(control, FIRST_SHARE);
    const over = atomic.load<i32>(control, FIRST_WAVE);
    // what was read while the next job was being written is none
    if ((job & 1) != 0 || atomic.load<i32>(control, JOB) != job) continue;
    seen = job;
    if (count == 0) return;
    work(control, program, count, taken, over);
  }
}
