/** Trouble of the machine told apart from bad input and from defects of ours, and put into words. */
import { MachineError, RunError } from '../../common/errors.ts';

/** What Node's codes mean to a user, and what to do about it (errno(3)). */
const TROUBLES: Readonly<Record<string, string>> = {
  ENOSPC: 'no space left on the disk; free some space, or choose another location',
  EDQUOT: 'the disk quota is used up; free some space, or choose another location',
  EACCES: 'no permission; change the permissions, or choose another location',
  EPERM: 'not permitted by the system; change the permissions, or choose another location',
  EROFS: 'the file system is read-only; choose another location',
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

/** Codes that the path is to blame for. */
const WRONG_PATHS: Readonly<Record<string, string>> = {
  ENOENT: 'no such file or folder',
  ENOTDIR: 'part of this path is a file; expected a folder',
  EISDIR: 'a folder; expected a file',
  ELOOP: 'circular symbolic links',
  EEXIST: 'exists already',
  ENOTEMPTY: 'a folder that is not empty',
  EINVAL: 'not supported by the file system (name or kind of access)',
  EADDRINUSE: 'the address is in use by another program',
};

/** A defect of ours in words; with GVSL_DEBUG set, with the place where it showed. */
export function defectText(error: unknown): string {
  const text = error instanceof Error ? (process.env.GVSL_DEBUG ? error.stack : error.message) : String(error);
  return `internal error: ${text} (a bug in gvsl; set GVSL_DEBUG=1 for a stack trace)`;
}

/** Whether an error is the machine's trouble: not the input's, not ours. */
export const isMachineTrouble = (error: unknown): boolean =>
  error instanceof MachineError || (error instanceof Error && 'code' in error && String(error.code) in TROUBLES);

/** The trouble in words, with the path that it happened at. An error that already is a {@link MachineError} stays as it is. */
export function machineError(path: string, error: unknown): MachineError {
  if (error instanceof MachineError) return error;
  const code = String((error as NodeJS.ErrnoException).code);
  return new MachineError(`${path}: ${TROUBLES[code] ?? (error as Error).message} (${code})`, code);
}

/** A system's own error in words, with the path that it names, or else `path`; undefined for any other error. */
export function systemError(error: unknown, path?: string): RunError | undefined {
  if (!(error instanceof Error && 'code' in error && 'syscall' in error) || error instanceof RunError) return undefined;
  const { code, path: own } = error as NodeJS.ErrnoException;
  const where = path ?? own;
  if (where === undefined) return isMachineTrouble(error) ? machineError('the machine', error) : new RunError(error.message);
  if (isMachineTrouble(error)) return machineError(where, error);
  const words = WRONG_PATHS[String(code)];
  return new RunError(words ? `${where}: ${words}` : `${where}: ${error.message}`);
}

/**
 * Whether an error that came while ONE input of several was read ends the whole batch: the machine's trouble does; a file that this user may
 * not read is that file's alone.
 */
export const endsBatch = (error: unknown): boolean =>
  isMachineTrouble(error) && !['EACCES', 'EPERM', 'ENAMETOOLONG'].includes(String((error as NodeJS.ErrnoException).code));

const inWords = (path: string, error: unknown): unknown =>
  isMachineTrouble(error) ? machineError(path, error) : (systemError(error, path) ?? error);

/** Runs `work`; a system's error in it becomes one that names `path` in words (a {@link MachineError} for the machine's trouble); others pass. */
export async function withMachineTrouble<T>(path: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw inWords(path, error);
  }
}

/** Does work on a file; an error of the system names it, which not every one does by itself: EISDIR of a read has no path. */
export async function namingFile<T>(path: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw systemError(error, path) ?? error;
  }
}

/** {@link withMachineTrouble} for blocking calls. */
export function withMachineTroubleSync<T>(path: string, work: () => T): T {
  try {
    return work();
  } catch (error) {
    throw inWords(path, error);
  }
}
