/** Scans and a cohort to measure on, drawn for it. */
import { join } from 'node:path';
import { prepareCohort } from '../../cohort/node/prepare.ts';
import { RunError } from '../../common/errors.ts';
import type { Progress } from '../../common/progress.ts';
import { SILENT } from '../../common/progress.ts';
import { writeImage } from '../../images/node/write.ts';
import { renderSubject } from '../../phantom/subject.ts';

export interface Phantoms {
  readonly subjects: number;
  readonly spacingMm: number;
}

/** Writes the scans into `folder`; resolves to their voxels. */
export async function drawScans(
  folder: string,
  { subjects, spacingMm }: Phantoms,
  progress: Progress,
  signal: AbortSignal,
): Promise<number> {
  progress.say(`drawing ${subjects} scans`);
  let voxels = 0;
  for (let subject = 0; subject < subjects; subject++) {
    if (signal.aborted) throw new RunError('stopped');
    const { image } = renderSubject({ kind: 'heart-ct', seed: 1, subject, spacingMm });
    voxels += image.data.length;
    await writeImage(join(folder, `scan_${subject}.nii.gz`), image);
  }
  return voxels;
}

/** Makes them a cohort at their own spacing. */
export async function prepareScans(source: string, out: string, { spacingMm }: Phantoms, signal: AbortSignal): Promise<void> {
  const spacing = [spacingMm, spacingMm, spacingMm] as const;
  const options = { modality: 'ct', spacingMm: spacing, size: null, crop: 'none', intensity: 'minmax' } as const;
  await prepareCohort({ source, out, options, progress: SILENT, signal });
}
