/** Every method that a study can name, in the order of its tables. */
import { gvsl } from './gvsl/method.ts';
import { matchingOnly } from './matching-only/method.ts';
import type { PretrainingMethod } from './method.ts';
import { restorationOnly } from './restoration-only/method.ts';
import { scratch } from './scratch/method.ts';
import { withoutAffine } from './without-affine/method.ts';

export const METHODS: readonly PretrainingMethod[] = [scratch, restorationOnly, matchingOnly, withoutAffine, gvsl];
