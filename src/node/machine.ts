/** Trouble of the machine told apart from bad input, and put into words. */
import { MachineError } from '../errors/errors.ts';

/** What Node's codes mean to a user, and what to do about it (errno(3)). */
const TROUBLES: Readonly<Record<string, string>> = {
  ENOSPC: 'no space left on the disk; free some, or choose another place',
  EDQUOT: 'the disk quota is used up; free some space, or choose another place',
  EACCES: 'no permission; change the permissions, or choose another place',
  EPERM: 'not permitted by the system; change the permissions, or choose another place',
  EROFS: 'the file system is read-only; choose another place',
  EMFILE: 'too many open files; raise the limit (ulimit -n)',
  ENFILE: 'too many open files on this machine; close some programs',
  EIO: 'the disk or network drive reported an input/output error',
  ESTALE: 'the network drive lost the file (stale file handle); mount it again',
  ENOMEM: 'the system has no memory left; close some programs',
  EFBIG: 'the file would be larger than the file system allows',
  ENAMETOOLONG: 'the name is longer than the file system allows',
  ETXTBSY: 'the file is in use by another program',
  EBUSY: 'the file is in use by another program',
};

/** Whether an error is the machine's trouble: not the input's, not ours. */
export const isMachineTrouble = (error: unknown): boolean =>
  error instanceof MachineError || (error instanceof Error && 'code' in error && String(error.code) in TROUBLES);

/** The trouble in words, with the path that it happened at. An error that already is a {@link MachineError} stays as it is. */
export function machineError(path: string, error: unknown): MachineError {
  if (error instanceof MachineError) return error;
  const code = String((error as NodeJS.ErrnoException).code);
  return new MachineError(`${path}: ${TROUBLES[code] ?? (error as Error).message} (${code})`);
}

/** Runs `work`; the machine's trouble in it becomes a {@link MachineError} that names `path`, everything else passes through. */
export async function withMachineTrouble<T>(path: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw isMachineTrouble(error) ? machineError(path, error) : error;
  }
}
