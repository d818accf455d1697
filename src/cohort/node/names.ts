/**
 * What names of files and folders say, by the conventions that people use: BIDS (`sub-01_ses-1_T1w.nii.gz`), BraTS (`BraTS20_001_t1ce.nii.gz`
 * and `_seg`), nnU-Net, 3D Slicer, TotalSegmentator (`ct.nii.gz` and `segmentations/liver.nii.gz`), autoPET (`CTres`, `SUV`, `SEG`).
 */
import { basename, dirname, join, relative, sep } from 'node:path';
import { imageStem } from '../../images/node/find.ts';
import { type BidsName, bidsOfStem, CONTRASTS, channelOfStem, contrastOfStem, tokensOf } from '../channel-names.ts';
import { commonName, isLabelWord, withoutLabelWords } from '../label-words.ts';

/** Folders of label maps. */
const LABEL_FOLDER = /^(segmentations?|segs?|labels?|labelmaps?|masks?|labels(tr|ts)|annotations?|gt|rois?)$/i;

/** True if the file is named as a label map is. */
export const isLabelName = (path: string): boolean => tokensOf(imageStem(path)).some(isLabelWord);

/** True if a file lies in a folder for label maps below `root`. */
export const isInLabelFolder = (root: string, path: string): boolean =>
  relative(root, dirname(path))
    .split(sep)
    .some((folder) => LABEL_FOLDER.test(folder));

/** What two files share that lie in folders side by side, such as `images/p1/a.nii.gz` and `labels/p1/a.nii.gz`: the folder above, and the way down. */
const sharedPlace = (above: readonly string[], below: readonly string[], stem: string): string =>
  JSON.stringify([above, below, stem]);

/** Told apart from whole names. */
const asCommon = (stem: string): string => `~${commonName(stem)}`;

const foldersBelow = (root: string, path: string): string[] =>
  relative(root, dirname(path))
    .split(sep)
    .filter((part) => part !== '');

/** The places of an image that a label map in a folder beside one of its folders may share. */
export function placesOfImage(root: string, path: string): string[] {
  const folders = foldersBelow(root, path);
  const stem = imageStem(path);
  return folders.flatMap((_, k) =>
    [stem, asCommon(stem)].map((one) => sharedPlace(folders.slice(0, k), folders.slice(k + 1), one)),
  );
}

/** The places that images of a label map in a folder for label maps may have, the likelier first; none for one that lies elsewhere. */
export function placesOfLabel(root: string, path: string): string[] {
  const folders = foldersBelow(root, path);
  const k = folders.findLastIndex((folder) => LABEL_FOLDER.test(folder));
  if (k < 0) return [];
  const stem = imageStem(path);
  const common = commonName(stem) === '' ? [] : [asCommon(stem)];
  return [...new Set([stem, withoutLabelWords(stem)]), ...common].map((one) =>
    sharedPlace(folders.slice(0, k), folders.slice(k + 1), one),
  );
}

export function bidsName(path: string): BidsName | null {
  return bidsOfStem(imageStem(path));
}

/** Whether a BIDS name of a label map may be that of an image: what both say must agree. */
export function describes(label: BidsName, image: BidsName): boolean {
  for (const [key, value] of image.entities) if (label.entities.has(key) && label.entities.get(key) !== value) return false;
  if (label.entities.get('sub') !== image.entities.get('sub')) return false;
  // an image of a session, or run, needs a label map of it
  if (['ses', 'run', 'acq'].some((key) => image.entities.has(key) !== label.entities.has(key))) return false;
  const stated = withoutLabelWords(label.suffix);
  return stated === '' || stated === image.suffix;
}

/** BIDS derivatives: what was made from the images. */
export const isDerivative = (root: string, path: string): boolean =>
  relative(root, path).split(sep).slice(0, -1).includes('derivatives');

const MR_SUFFIX =
  /^(T1w|T2w|T2star|T2starw|PDw|PDT2|FLAIR|inplaneT1|inplaneT2|angio|T1map|T2map|R1map|R2map|MTw|MEGRE|MESE|MP2RAGE|UNIT1|VFA|dwi|bold|sbref|cbv|asl|m0scan|phase|phase1|phase2|phasediff|magnitude|magnitude1|magnitude2|fieldmap|epi)$/;
const EXACT: Readonly<Record<string, string>> = {
  ct: 'CT',
  cect: 'CT',
  ctres: 'CT',
  cta: 'CT',
  mr: 'MR',
  mri: 'MR',
  t1w: 'MR',
  t2w: 'MR',
  flair: 'MR',
  pt: 'PT',
  pet: 'PT',
  suv: 'PT',
  suvbw: 'PT',
  dose: 'RTDOSE',
  rtdose: 'RTDOSE',
};
/** Words that mean one thing wherever they stand in a name. */
const ANYWHERE: Readonly<Record<string, string>> = {
  pet: 'PT',
  suv: 'PT',
  suvbw: 'PT',
  rtdose: 'RTDOSE',
  t1w: 'MR',
  t2w: 'MR',
  flair: 'MR',
};

/**
 * The modality that a file's name states: BIDS' suffix; else a word of its name that means nothing else, or the name or its folder as a whole.
 * Undefined where it states none, or several.
 */
export function modalityOfName(root: string, path: string): string | undefined {
  const bids = bidsName(path);
  if (bids) {
    if (MR_SUFFIX.test(bids.suffix)) return 'MR';
    if (/^pet$/i.test(bids.suffix)) return 'PT';
    return /^ct$/i.test(bids.suffix) ? 'CT' : undefined;
  }
  const stem = imageStem(path).toLowerCase();
  const whole = EXACT[stem];
  if (whole) return whole;
  const stated = new Set(tokensOf(stem).flatMap((token) => ANYWHERE[token] ?? (token === 'ct' ? ['CT'] : [])));
  if (stated.size > 1) return undefined;
  const [word] = stated;
  // 'ct' alone may be anything: a group of controls
  if (word !== undefined) return word === 'CT' ? undefined : word;
  const folder = dirname(path) === root ? undefined : EXACT[basename(dirname(path)).toLowerCase()];
  return folder;
}

/** The modality that the name of a channel in a dataset.json states. */
export function modalityOfChannel(name: string | undefined): string | undefined {
  if (name === undefined) return undefined;
  const text = name.trim().toLowerCase();
  if (EXACT[text]) return EXACT[text];
  return /^(t1|t2|t1c|t1ce|t1gd|t1n|t2f|adc|dwi|swi|dce|mp-?rage|lge)$|(^|[^a-z])(mri?|t1w|t2w|flair)([^a-z]|$)/.test(text)
    ? 'MR'
    : undefined;
}

/** The order of contrasts where all of them are taken: T1 before T2 before the others; what is none comes last. */
export const contrastRank = (name: string): number => {
  const place = [...CONTRASTS].indexOf(name.toLowerCase());
  return place < 0 ? CONTRASTS.size : place;
};

/** Which contrast or sequence an image is of, where its name says so: BIDS' suffix, BraTS' last word; else null. */
export const contrastOf = (path: string): string | null => contrastOfStem(imageStem(path));

/** As `channelOfStem`, the subject with its folder: `P1/P1_t1ce.nii.gz` is 't1ce' of 'P1/P1', `P1/t1ce.nii.gz` that of 'P1'. */
export function channelOfName(path: string): { readonly channel: string; readonly subject: string } | null {
  const found = channelOfStem(imageStem(path));
  return found && { ...found, subject: join(dirname(path), found.subject) };
}

/** Names that number patients rather than what is seen of one. */
const NUMBERS_PATIENTS = /^\d+$|\d{2,}$/;
/** Folders that part a data set, not a patient's scans. */
const PARTS_DATA = /^(train(ing)?|test(ing)?|val(idation)?|images?(tr|ts)?|data|raw|nifti|dicom|scans?|site.*|cent(er|re).*)$/i;
/** More scans, or sessions, are hardly one patient's. */
const MAX_PER_PATIENT = 16;

/**
 * Whose image each file of a folder is, by its BIDS subject or its patient's folder; null where that cannot be known. A folder is a
 * patient's if most of its few files are named after it (`BraTS20_001/BraTS20_001_t1.nii.gz`), or as files of other folders too
 * (`p1/t1.nii.gz`, `p2/t1.nii.gz`); of `p1/session1/t1.nii.gz`, where other folders have a `session1` too, it is the one above.
 */
export function patientsOf(root: string, paths: readonly string[]): (string | null)[] {
  const relativeTo = (path: string): string => relative(root, dirname(path)).split(sep).join('/');
  const inFolder = new Map<string, string[]>();
  const foldersOfStem = new Map<string, Set<string>>();
  const parentsOfName = new Map<string, Set<string>>();
  const childrenOf = new Map<string, Set<string>>();
  const note = (map: Map<string, Set<string>>, key: string, value: string): void => {
    const values = map.get(key);
    if (values) values.add(value);
    else map.set(key, new Set([value]));
  };
  for (const path of paths) {
    const folder = relativeTo(path);
    const others = inFolder.get(folder);
    if (others) others.push(imageStem(path));
    else inFolder.set(folder, [imageStem(path)]);
    note(foldersOfStem, imageStem(path), folder);
    const parts = folder.split('/').filter((part) => part !== '');
    for (const [depth, name] of parts.entries()) {
      note(parentsOfName, name, parts.slice(0, depth).join('/'));
      note(childrenOf, parts.slice(0, depth).join('/'), name);
    }
  }
  const isOfPatient = (folder: string): boolean => {
    const stems = inFolder.get(folder)!;
    const name = basename(folder).toLowerCase();
    if (folder === '' || PARTS_DATA.test(name) || stems.length > MAX_PER_PATIENT) return false;
    // spleen/spleen_01, spleen/spleen_02 and no other folder: a data set, whose patients are numbered
    const isNumbered = (stem: string): boolean => inFolder.size === 1 && NUMBERS_PATIENTS.test(stem.slice(name.length));
    const signs = stems.filter(
      (stem) =>
        (stem.toLowerCase().startsWith(name) && !isNumbered(stem)) ||
        (!NUMBERS_PATIENTS.test(stem) && foldersOfStem.get(stem)!.size > 1),
    );
    return 2 * signs.length >= stems.length;
  };
  const isSession = (name: string): boolean => !NUMBERS_PATIENTS.test(name) && parentsOfName.get(name)!.size > 1;
  const patientOf = new Map<string, string | null>();
  for (const folder of inFolder.keys()) {
    if (!isOfPatient(folder)) {
      patientOf.set(folder, null);
      continue;
    }
    let parts = folder.split('/');
    while (parts.length > 1) {
      const above = parts.slice(0, -1);
      const siblings = [...childrenOf.get(above.join('/'))!];
      if (PARTS_DATA.test(above.at(-1)!) || siblings.length > MAX_PER_PATIENT || !siblings.some(isSession)) break;
      parts = above;
    }
    patientOf.set(folder, parts.join('/'));
  }
  // P01_t1 and P01_t2 side by side
  const bases = paths.map((path) =>
    contrastOf(path) === null ? null : join(relativeTo(path), imageStem(path).replace(/[_.\- ]+[^_.\- ]*$/, '')),
  );
  const times = new Map<string, number>();
  for (const base of bases) if (base !== null) times.set(base, (times.get(base) ?? 0) + 1);
  return paths.map((path, k) => {
    // also where a case is named after it without a suffix: sub-01, sub-01_ses-1_0000
    const [subject] = /^sub-[^_]+/.exec(imageStem(path)) ?? [];
    if (subject !== undefined) return subject;
    const base = bases[k];
    return patientOf.get(relativeTo(path)) ?? (base !== null && times.get(base)! > 1 ? base.split(sep).join('/') : null);
  });
}
