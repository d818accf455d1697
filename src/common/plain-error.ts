/** Errors between threads: what is posted to another keeps its class, and with it what a user is told. */
import { DivergedError, MachineError, RunError, UsageError } from './errors.ts';

/** An error as plain data. */
export interface PlainError {
  readonly name: string;
  readonly message: string;
  readonly stack: string | undefined;
  /** Of the system's own errors. */
  readonly code?: string;
  readonly syscall?: string;
  readonly path?: string;
}

const CLASSES = { RunError, DivergedError, MachineError, UsageError };

export function plainError(error: unknown): PlainError {
  if (!(error instanceof Error)) return { name: 'Error', message: String(error), stack: undefined };
  const { name, message, stack, code, syscall, path } = error as NodeJS.ErrnoException;
  return {
    name,
    message,
    stack,
    ...(code === undefined ? {} : { code }),
    ...(syscall === undefined ? {} : { syscall }),
    ...(path === undefined ? {} : { path }),
  };
}

/** The error that was plain data, in its own class where it is one that a user can meet. */
export function errorFrom({ name, message, stack, ...system }: PlainError): Error {
  const Class = CLASSES[name as keyof typeof CLASSES] as (new (message: string) => Error) | undefined;
  const error = Object.assign(Class ? new Class(message) : new Error(message), system);
  if (stack !== undefined) error.stack = stack;
  return error;
}

/** The same error, of its own class, with a sentence more. */
export function withSentence(error: Error, sentence: string): Error {
  return errorFrom({ ...plainError(error), message: `${error.message}${sentence}` });
}
