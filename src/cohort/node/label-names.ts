/**
 * The names of a cohort's label codes, from the dataset.json beside its label maps (nnU-Net, Decathlon). A convenience: any trouble,
 * such as source files that have moved away, and the codes go without names.
 */
import { readFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { Cohort } from '../cohort.ts';

/** Code to name. Empty if nothing is found. */
export async function readLabelNames({ subjects }: Cohort): Promise<ReadonlyMap<number, string>> {
  const names = new Map<number, string>();
  const labelled = subjects.find(({ labelSource }) => labelSource !== null)?.labelSource;
  if (!labelled) return names;
  try {
    const { labels } = JSON.parse(await readFile(join(dirname(dirname(labelled)), 'dataset.json'), 'utf8')) as {
      labels?: Record<string, unknown>;
    };
    for (const [key, value] of Object.entries(labels ?? {})) {
      // Version 2 of nnU-Net writes {"name": code}, version 1 and the Decathlon {"code": "name"}.
      if (typeof value === 'number') names.set(value, key);
      else if (typeof value === 'string' && Number.isInteger(Number(key))) names.set(Number(key), value);
    }
  } catch {
    names.clear();
  }
  return names;
}
