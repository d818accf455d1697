/**
 * Any folder with images and DICOM series.
 *
 * A file named like an image plus something (`heart.nii.gz`, `heart_labels.nii.gz`) may be its label map; whether it is, is seen when it is
 * read. What is named as a label map (names.ts) is never an image; it is that of the images beside it that its name fits, or by BIDS' rules of
 * an image elsewhere.
 */
import { dirname, join } from 'node:path';
import type { ImageSource } from '../../../images/find-images.ts';
import { findImages } from '../../../images/node/find.ts';
import type { CohortProblem } from '../../cohort.ts';
import { type Misfit, otherModality } from '../../fitness.ts';
import { commonName, withoutLabelWords } from '../../label-words.ts';
import {
  bidsName,
  contrastOf,
  describes,
  isDerivative,
  isInLabelFolder,
  isLabelName,
  modalityOfName,
  placesOfImage,
  placesOfLabel,
} from '../names.ts';
import type { Selection } from '../selection.ts';
import {
  type Draft,
  type FoundSubjects,
  imageStemOf,
  landmarksOf,
  named,
  problemOfMisfit,
  relativePath,
  type Search,
} from '../subject-task.ts';
import { unitsOf } from './channel-files.ts';
import { patientsOfImages } from './patients.ts';

/** The images of a folder's own, by their stems. */
type Folder = Map<string, ImageSource[]>;

/** The image that a file is named after, with a separator and something more; the shortest such name. */
function namedAfter(folder: Folder, stem: string, longest = false): ImageSource | undefined {
  let found: ImageSource | undefined;
  for (let end = 1; end < stem.length - 1; end++) {
    if (!/[._-]/.test(stem[end])) continue;
    const [image] = folder.get(stem.slice(0, end)) ?? [];
    if (image && !longest) return image;
    found = image ?? found;
  }
  return found;
}

/** So many images at most share a label map whose name says nothing of them, such as mask.nii.gz. */
const MAX_SHARING = 16;

export async function fromPlain(folder: string, { modality, selection, patterns }: Search): Promise<FoundSubjects> {
  const { images: everything, refused, passedOver } = await findImages(folder);
  const place = new Map(everything.map((image, k) => [image, k]));
  const problems = [
    ...refused.map(({ path, reason }): CohortProblem => ({ source: path, kind: 'refused', message: reason })),
    ...passedOver.map(
      ({ path, reason }): CohortProblem => ({
        source: path,
        kind: 'left-out',
        what: reason.replace(/ \(.*/, ''),
        message: `skipped: ${reason}`,
      }),
    ),
  ].filter(({ source }) => !patterns.isExcluded(relativePath(folder, source)));
  const nameOf = (image: ImageSource): string => relativePath(folder, image.path);
  const present = everything.filter((image) => !patterns.isExcluded(nameOf(image)));
  const isLabel = ({ kind, path }: ImageSource): boolean =>
    kind === 'file' && (isLabelName(path) || isInLabelFolder(folder, path));
  const images = present.filter((image) => !isLabel(image));
  const labelMaps = present.filter(isLabel);
  const folders = new Map<string, Folder>();
  const subjects = new Map<string, ImageSource[]>();
  const places = new Map<string, ImageSource[]>();
  const byCommonName = new Map<string, ImageSource[]>();
  const append = <K>(map: Map<K, ImageSource[]>, key: K, image: ImageSource): void => {
    const list = map.get(key);
    if (list) list.push(image);
    else map.set(key, [image]);
  };
  for (const image of images) {
    if (image.kind !== 'file') continue;
    const own = folders.get(dirname(image.path)) ?? new Map<string, ImageSource[]>();
    folders.set(dirname(image.path), own);
    append(own, imageStemOf(image), image);
    append(byCommonName, join(dirname(image.path), commonName(imageStemOf(image))), image);
    const subject = bidsName(image.path)?.entities.get('sub');
    if (subject !== undefined) append(subjects, subject, image);
    for (const shared of placesOfImage(folder, image.path)) append(places, shared, image);
  }

  /** Label maps, certain by their names or not, of each image. */
  const labelsOf = new Map<ImageSource, ImageSource[]>();
  const owned = new Set<ImageSource>();
  for (const image of images) {
    if (image.kind !== 'file') continue;
    const owner = namedAfter(folders.get(dirname(image.path))!, imageStemOf(image));
    // a pattern that fits it says that it is an image
    if (!owner || (selection.match.length > 0 && patterns.isMatched(nameOf(image)))) continue;
    owned.add(image);
    append(labelsOf, owner, image);
  }
  const imagesOfLabel = (label: ImageSource): readonly ImageSource[] => {
    const own: Folder = folders.get(dirname(label.path)) ?? new Map();
    const stem = imageStemOf(label);
    const exact = namedAfter(own, stem, true);
    if (exact) return [exact];
    const core = withoutLabelWords(stem);
    const beside = [...own].flatMap(([other, sources]) =>
      core === '' || other === core || (other.startsWith(core) && /[._-]/.test(other[core.length])) ? sources : [],
    );
    if (beside.length > 0 && (core !== '' || beside.length <= MAX_SHARING)) return beside;
    const common = commonName(stem);
    const alike = common === '' ? [] : (byCommonName.get(join(dirname(label.path), common)) ?? []);
    if (alike.length === 1) return alike;
    // images/a.nii.gz and labels/a.nii.gz, where only one can be meant
    for (const shared of placesOfLabel(folder, label.path)) {
      const found = places.get(shared) ?? [];
      if (found.length === 1) return found;
    }
    const bids = bidsName(label.path);
    if (!bids) return [];
    return (subjects.get(bids.entities.get('sub')!) ?? []).filter(
      ({ path }) => !isDerivative(folder, path) && describes(bids, bidsName(path)!),
    );
  };
  const asImages: ImageSource[] = [];
  for (const label of labelMaps) {
    const own = imagesOfLabel(label).filter((image) => !owned.has(image));
    for (const image of own) append(labelsOf, image, label);
    if (own.length > 0) continue;
    const message = isLabelName(label.path)
      ? 'named like a label map, but no image here has that name'
      : 'is in a folder for label maps';
    if (selection.allow.includes('label-maps')) asImages.push(label);
    else problems.push(problemOfMisfit(label.path, { reason: 'label-maps', what: 'label map', message }));
  }

  const candidates = [...images.filter((image) => !owned.has(image)), ...asImages].sort((a, b) => place.get(a)! - place.get(b)!);
  const patients = patientsOfImages(folder, candidates);
  const draft: Draft[] = [];
  const matched = candidates.filter((image) => patterns.isMatched(nameOf(image)));
  const unmatched = candidates.length - matched.length;
  const { units, channels, problems: ofChannels } = await unitsOf(matched, selection);
  problems.push(...ofChannels);
  const stems = new Map<ImageSource, string>();
  for (const { image, channel, others, members, stem } of units) {
    if (stem !== undefined) stems.set(image, stem);
    const misfit = misfitOfSource(folder, image, modality, selection);
    const doubt =
      image.kind === 'file' && modality ? otherModality(modalityOfName(folder, image.path), modality, 'its name says') : null;
    if (misfit) {
      problems.push(problemOfMisfit(image.path, misfit));
      continue;
    }
    if (image.kind === 'dicom' && image.stack.frames.length === 1) {
      const message = 'skipped: a single picture, not a volume';
      problems.push({ source: image.path, kind: 'left-out', what: 'single picture', message });
      continue;
    }
    draft.push({
      image,
      labels: [...new Set(members.flatMap((member) => labelsOf.get(member) ?? []))].map(({ path }) => path),
      labelsAreCertain: false,
      landmarksPath: await landmarksOf(dirname(image.path), stem ?? imageStemOf(image)),
      split: 'train',
      patient: patients.get(image)!,
      contrast: image.kind === 'file' && channels === undefined ? contrastOf(image.path) : null,
      ...(channel !== undefined && { channel }),
      ...(others && { others }),
      ...(doubt && { doubt }),
    });
  }
  const stemOf = (image: ImageSource): string => stems.get(image) ?? imageStemOf(image);
  return { layout: 'plain', tasks: named(folder, draft, stemOf), problems, unmatched, channels };
}

type Dicom = Extract<ImageSource, { kind: 'dicom' }>;

const SECONDARY_CAPTURE = '1.2.840.10008.5.1.4.1.1.7';

/** What a DICOM stack is if it is no scan but made from one, or planned one. */
function derivedKind({ files, stack }: Dicom): { what: string; message: string } | null {
  const { imageType } = stack.frames[0];
  if (/LOCALI[SZ]ER|SCOUT|TOPOGRAM/i.test(imageType))
    return { what: 'localizer', message: `a localizer (image type ${imageType})` };
  if (files[0].sopClassUid.startsWith(SECONDARY_CAPTURE) || /SCREEN SAVE/i.test(imageType))
    return { what: 'secondary capture', message: 'a secondary capture: a screenshot or converted picture' };
  if (/(^|\\)(M(AX|IN)?_?IP|MAXIMUM|MINIMUM|PROJECTION IMAGE|VOLUME_RENDER\w*)($|\\| )/i.test(imageType))
    return { what: 'projection', message: `a projection of a volume (image type ${imageType})` };
  return null;
}

/** Why an image is left out before it is read: where it lies, what its DICOM header says. */
function misfitOfSource(folder: string, image: ImageSource, modality: 'ct' | 'mr' | null, { allow }: Selection): Misfit | null {
  const isAllowed = allow.includes('derived');
  if (!isAllowed && isDerivative(folder, image.path))
    return { reason: 'derived', what: 'derivative', message: 'is in BIDS derivatives: computed from other images' };
  if (image.kind === 'file') return null;
  const other =
    modality === null || allow.includes('other-modalities')
      ? null
      : otherModality(image.modality, modality, 'its DICOM header says');
  const derived = isAllowed ? null : derivedKind(image);
  return other ?? (derived && { reason: 'derived', ...derived });
}
