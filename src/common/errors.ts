/**
 * The errors that a user can meet. Everything else is a defect of ours and may show its stack.
 *
 * A message names the file or option, what was expected, what was found, and what to do about it.
 */

const LONGEST_LINE = 1000;

/** Each line cut in its middle where it is very long: it quotes what stands in a file, and files of strangers may hold names of a megabyte. */
const readable = (message: string): string =>
  message
    .split('\n')
    .map((line) =>
      line.length <= LONGEST_LINE ? line : `${line.slice(0, LONGEST_LINE / 2)} ... ${line.slice(-LONGEST_LINE / 2)}`,
    )
    .join('\n');

/** The work could not be done with this input (exit code 1): an unreadable file, too little memory, a diverged run. */
export class RunError extends Error {
  override readonly name: string = 'RunError';

  constructor(message: string) {
    super(readable(message));
  }
}

/**
 * The machine would not let the work be done (exit code 1): disk full, no permission, a read-only file system, too many open files.
 * Never the fault of one image, so a batch that meets it while it writes stops instead of counting the image as bad.
 */
export class MachineError extends RunError {
  override readonly name: string = 'MachineError';

  /** The system's, such as ENOSPC (errno(3)). */
  readonly code: string | undefined;

  constructor(message: string, code?: string) {
    super(message);
    this.code = code;
  }
}

/** A training that its own settings make impossible: it collapsed, or its numbers overflowed. Others of a study go on without it. */
export class DivergedError extends RunError {
  override readonly name = 'DivergedError';
}

/** The command, its options or its configuration are wrong (exit code 2). */
export class UsageError extends Error {
  override readonly name: string = 'UsageError';

  constructor(message: string) {
    super(readable(message));
  }
}

/** One of the processes that share a training failed, and tells the user; the others end with it, and say nothing. */
export class OtherRankError extends RunError {
  override readonly name = 'OtherRankError';
}
