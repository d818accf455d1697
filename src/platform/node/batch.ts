/** Batches: what one input failed of is listed, and the others are done. */
import { RunError, UsageError } from '../../common/errors.ts';
import { defectText, endsBatch, systemError } from './machine.ts';

/** An input without a result. */
export interface Failure {
  readonly path: string;
  readonly reason: string;
}

/**
 * What one input failed of, for the list at the end of the batch.
 * @throws what is not that input's fault: wrong usage, the machine's trouble
 */
export function failureOf(error: unknown, path: string): Failure {
  const known = systemError(error, path) ?? error;
  if (endsBatch(known) || known instanceof UsageError || !(known instanceof Error)) throw known;
  // a defect of ours that one odd file brings out need not cost the others their results
  return { path, reason: known instanceof RunError ? known.message.replace(`${path}: `, '') : defectText(known) };
}
