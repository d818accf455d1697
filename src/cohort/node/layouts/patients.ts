/** Whose scans the images of a source are, whatever its layout: scans of one patient stay on one side of every split. */
import { createHash } from 'node:crypto';
import type { ImageSource } from '../../../images/find-images.ts';
import { patientsOf } from '../names.ts';
import type { Draft } from '../subject-task.ts';

/** Patient IDs that anonymisation leaves for everybody. */
const NOBODY = /^(anon.*|unknown|none|n\/?a|patient|subject|test|[0x*.\-_ ]*)$/i;

/** A name for the patient of a DICOM image, which does not tell the ID; null if the header states none. */
function patientOfHeader({ files }: Extract<ImageSource, { kind: 'dicom' }>): string | null {
  const id = files[0].patientId.trim();
  return NOBODY.test(id) ? null : `dicom-${createHash('sha256').update(id).digest('hex').slice(0, 12)}`;
}

/** By its DICOM header, or by the names of a file and its folders (`patientsOf`); null where neither says it. */
export function patientsOfImages(root: string, images: readonly ImageSource[]): Map<ImageSource, string | null> {
  const byName = patientsOf(
    root,
    images.map(({ path }) => path),
  );
  return new Map(images.map((image, k) => [image, image.kind === 'dicom' ? patientOfHeader(image) : byName[k]]));
}

/** Drafts with the patients of their images. */
export function withPatients(root: string, drafts: readonly Omit<Draft, 'patient'>[]): Draft[] {
  const patients = patientsOfImages(
    root,
    drafts.map(({ image }) => image),
  );
  return drafts.map((draft) => ({ ...draft, patient: patients.get(draft.image)! }));
}
