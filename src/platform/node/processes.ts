/** What the system tells of this machine's processes: whether those that hold locks or wrote files are still at it. */
import { readdirSync, readFileSync } from 'node:fs';

/** What Linux tells of a process. */
export interface ProcessState {
  /** Clock ticks since boot. */
  readonly startedAt: string;
  /** It runs none of its own code any more, but may still give back its memory, or finish the system call that it was killed in. */
  readonly ending: boolean;
  /** Nothing is left but its number, until its parent asks how it ended: for ever, where that is a container's first process that never does. */
  readonly gone: boolean;
}

/** PF_EXITING of the kernel's flags. */
const EXITING = 4;
/** SIGKILL among the signals that wait for a process, as it does while the process is in a system call that nothing interrupts. */
const KILLED = 1n << 8n;

/** Whether a process of this number is there, be it another user's. */
export function hasNumber(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

/** Signals that wait for a process, or its first thread (proc(5)). */
const isKilled = (pid: number): boolean =>
  [...readFileSync(`/proc/${pid}/status`, 'utf8').matchAll(/^S(?:ig|hd)Pnd:\s+([0-9a-f]+)$/gm)].some(
    ([, signals]) => (BigInt(`0x${signals}`) & KILLED) !== 0n,
  );

/** Fields 3, 9 and 22 of a process's stat line (proc(5)), whose second may contain anything but ')'; null where there is none. */
export function processState(pid: number): ProcessState | null {
  try {
    const line = readFileSync(`/proc/${pid}/stat`, 'utf8');
    const fields = line.slice(line.lastIndexOf(')') + 2).split(' ');
    const dead = 'ZXx'.includes(fields[0]);
    return {
      startedAt: fields[19],
      ending: dead || (Number(fields[6]) & EXITING) !== 0 || isKilled(pid),
      // its first thread may be dead while others are not
      gone: dead && readdirSync(`/proc/${pid}/task`).length <= 1,
    };
  } catch {
    return null;
  }
}

/** When a process of this machine began, for telling it from a later one with its number; null where the system does not tell. */
export const processStartTime = (pid: number): string | null => processState(pid)?.startedAt ?? null;
