/** Numbers from the command line: what is no number is the user's error, told with the option's name. */
import { UsageError } from '../common/errors.ts';

/** An empty text is no number, though Number('') is 0. */
export const numberOf = (text: string): number => (text.trim() === '' ? Number.NaN : Number(text));

/** A number within bounds. @throws UsageError */
export function numberIn(option: string, text: string, min: number, max: number): number {
  const value = numberOf(text);
  if (!(value >= min && value <= max)) throw new UsageError(`${option}: expected a number from ${min} to ${max}, got '${text}'`);
  return value;
}

/** A whole number of at least `min`, and at most `max` where that is given. @throws UsageError */
export function wholeNumber(option: string, text: string, min = 1, max = Number.POSITIVE_INFINITY): number {
  const value = numberOf(text);
  if (!Number.isInteger(value) || value < min || value > max)
    throw new UsageError(
      `${option}: expected a whole number ${max < Number.POSITIVE_INFINITY ? `from ${min} to ${max}` : `of at least ${min}`}, got '${text}'`,
    );
  return value;
}
