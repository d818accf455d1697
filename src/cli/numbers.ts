/** Numbers from the command line: what is no number is the user's error, told with the option's name. */
import { UsageError } from '../common/errors.ts';

/** A whole number of at least `least`. */
export function positiveInteger(option: string, text: string, least = 1): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value < least)
    throw new UsageError(`${option}: expected a whole number of at least ${least}, got '${text}'`);
  return value;
}
