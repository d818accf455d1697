/**
 * The errors that a user can meet. Everything else is a defect of ours and may show its stack.
 *
 * A message names the file or option, what was expected, what was found, and what to do about it.
 */

/** The work could not be done with this input (exit code 1): an unreadable file, too little memory, a diverged run. */
export class WorkError extends Error {
  override readonly name: string = 'WorkError';
}

/**
 * The machine would not let the work be done (exit code 1): disk full, no permission, a read-only file system, too many open files.
 * Never the fault of one image, so a batch that meets it while it writes stops instead of counting the image as bad.
 */
export class MachineError extends WorkError {
  override readonly name: string = 'MachineError';

  /** The system's, such as ENOSPC (errno(3)). */
  readonly code: string | undefined;

  constructor(message: string, code?: string) {
    super(message);
    this.code = code;
  }
}

/** The command, its options or its configuration are wrong (exit code 2). */
export class UsageError extends Error {
  override readonly name: string = 'UsageError';
}
