/**
 * Runs a program: kernel calls in waves (schedule.ts), each cut into shares that any thread takes.
 *
 * Each thread has a range of a call's shares: the first thread the first of them, and so on. It takes those first, and then what is left of the
 * others'. So it mostly reads what it wrote itself a call before: that lies in the caches of its own processor, and two processors need not share
 * any. When all shares of a wave are done the next wave opens. Who is not running, since another process has its processor, holds up nobody unless
 * it is in the middle of a share. A thread that waits for a wave spins first, for that takes a quarter of a microsecond where waking up takes fifty,
 * and sleeps when spinning has not helped: the less it helps, the sooner.
 *
 * Waiting and waking go through the host's `Atomics`, not through WebAssembly's own instructions: in Node 20 (V8 11.3) a thread that waits
 * in baseline code is not woken by one that notifies in optimised code.
 */
import { setThread, shareStart, threadIndex } from "./common.as";
import { JOB, RANGE_BYTES, RANGES, TIMED, WAITED, WAVE } from "./constants";

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
 * finds no share to take and no wave to wait for. The host knows some of them too (constants.ts): WAVE counts waves that are over; JOB is twice the jobs
 * that were given, and odd while one is being written; if TIMED is not 0, every thread adds its waits, in milliseconds, to its double from WAITED on.
 */
/** Shares of all jobs so far; the word of a thread's range (RANGES) holds which of them is the next to be taken there. */
const GIVEN: usize = 0;
/** The job: its calls, their number, its threads, and what GIVEN and WAVE were before it. */
const PROGRAM: usize = 192;
const COUNT: usize = 196;
const FIRST_SHARE: usize = 200;
const FIRST_WAVE: usize = 204;
const THREADS: usize = 208;
/** Shares that are done. */
const DONE: usize = 256;
/** How many threads wait in the system: who changes a word wakes them only if there are any. */
const SLEEPERS: usize = 320;

/** A call of a kernel, as compile.ts writes it (`STRUCTURES.Call`). Shares are counted over its graph. */
@unmanaged
class Call {
  /** Index in the table. */
  kernel: u32;
  args: usize;
  firstShare: i32;
  shares: i32;
  wave: i32;
  /** Where its wave's shares end. */
  waveEnd: i32;
}
const CALL_BYTES: usize = offsetof<Call>();
@inline
function callAt(program: usize, index: i32): Call {
  return changetype<Call>(program + <usize>index * CALL_BYTES);
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
function work(control: usize, program: usize, count: i32, threads: i32, firstGiven: i32, firstWaveOver: i32): void {
  const opening = callAt(program, 0);
  const last = callAt(program, count - 1);
  const jobEnd = last.firstShare + last.shares;
  // a job may be some of a graph's calls
  const shareBase = firstGiven - opening.firstShare;
  const waveBase = firstWaveOver - opening.wave;
  for (let i = 0; i < count; i++) {
    const call = callAt(program, i);
    const wave = waveBase + call.wave;
    const shares = call.shares;
    const first = shareBase + call.firstShare;
    awaitWave(control, wave);
    let done = 0;
    for (let k = 0; k < threads; k++) {
      const own = threadIndex + k;
      const range = own < threads ? own : own - threads;
      const begin = first + shareStart(shares, range, threads);
      const end = first + shareStart(shares, range + 1, threads);
      const next = RANGES + <usize>range * RANGE_BYTES;
      for (;;) {
        const seen = atomic.load<i32>(control + next);
        // the first to come leads the word here from the call before, all of whose shares in this range are taken
        const share = seen - begin < 0 ? begin : seen;
        if (share - end >= 0) break;
        if (atomic.cmpxchg<i32>(control + next, seen, share + 1) != seen) continue;
        call_indirect<void>(call.kernel, call.args, share - first, shares);
        done++;
      }
    }
    if (done > 0 && atomic.add<i32>(control, done, DONE) + done == shareBase + min(call.waveEnd, jobEnd)) {
      atomic.store<i32>(control, wave + 1, WAVE);
      wake(control, WAVE);
    }
  }
}

/** Thread 0: runs `count` calls at `program` with all threads; returns when all are done. */
export function run(control: usize, scratch: usize, program: usize, count: i32, threads: i32): void {
  setThread(0, scratch);
  if (threads == 1) {
    for (let i = 0; i < count; i++) {
      const call = callAt(program, i);
      call_indirect<void>(call.kernel, call.args, 0, 1);
    }
    return;
  }
  const given = load<i32>(control, GIVEN);
  const over = atomic.load<i32>(control, WAVE);
  atomic.add<i32>(control, 1, JOB);
  atomic.store<u32>(control, <u32>program, PROGRAM);
  atomic.store<i32>(control, count, COUNT);
  atomic.store<i32>(control, threads, THREADS);
  atomic.store<i32>(control, given, FIRST_SHARE);
  atomic.store<i32>(control, over, FIRST_WAVE);
  if (count > 0) {
    const last = callAt(program, count - 1);
    store<i32>(control, given + last.firstShare + last.shares - callAt(program, 0).firstShare, GIVEN);
    // no range is more than a job behind, however seldom it has shares: the words wrap around
    for (let range = 0; range < threads; range++) atomic.store<i32>(control + RANGES + <usize>range * RANGE_BYTES, given);
  }
  atomic.add<i32>(control, 1, JOB);
  wake(control, JOB);
  if (count == 0) return;
  work(control, program, count, threads, given, over);
  awaitWave(control, over + callAt(program, count - 1).wave - callAt(program, 0).wave + 1);
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
    const threads = atomic.load<i32>(control, THREADS);
    const given = atomic.load<i32>(control, FIRST_SHARE);
    const over = atomic.load<i32>(control, FIRST_WAVE);
    // what was read while the next job was being written is none
    if ((job & 1) != 0 || atomic.load<i32>(control, JOB) != job) continue;
    seen = job;
    if (count == 0) return;
    work(control, program, count, threads, given, over);
  }
}
