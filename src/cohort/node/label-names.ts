/** The names of a cohort's label codes. A convenience: without them codes go without names. */
import { dirname } from 'node:path';
import type { Cohort } from '../cohort.ts';
import { labelNamesOf, readDataset } from './layouts/dataset.ts';

/** Code to name. Empty if nothing is known. */
export async function readLabelNames({ labelNames, subjects }: Cohort): Promise<ReadonlyMap<number, string>> {
  const known = labelNames ?? (await besideSources(subjects));
  return new Map(Object.entries(known ?? {}).map(([code, name]) => [Number(code), name]));
}

/** Of cohorts of older versions, which do not keep names: from the dataset.json beside the label maps, if these are where they were. */
async function besideSources(subjects: Cohort['subjects']): Promise<Cohort['labelNames']> {
  const labelled = subjects.find(({ labelSource }) => labelSource !== null)?.labelSource;
  if (!labelled) return undefined;
  return labelNamesOf(await readDataset(dirname(dirname(labelled))).catch(() => null));
}
