/**
 * A seed drawn from a stream, by which a plan names the random numbers that it is too long to list (the noise inside a box,
 * say). 53 bits, so that it survives JSON and two plans of a run do not share one.
 */

import type { RandomStream } from './random.ts';

/** A whole number in [0, 2^53). */
export const childSeed = (stream: RandomStream): number => stream.bits() * 0x20_0000 + (stream.bits() >>> 11);
