/** How label maps are named, and after which image. */

const LABEL_WORDS = new Set(
  'seg dseg probseg segs segmentation segmentations mask masks gt groundtruth annotation annotations roi rois aseg wmparc contour contours'.split(
    ' ',
  ),
);
/** Whether a word of a name, in lower case, says that the file is a label map. */
export const isLabelWord = (token: string): boolean =>
  LABEL_WORDS.has(token) || /^label(s|map|maps|led)?\d*$/.test(token) || /^aparc\b|\+aseg$/.test(token);

const IMAGE_WORDS = new Set('volume vol image images img scan case ct mr mri'.split(' '));

/**
 * What an image and its label map share where each name has a word of its own: `volume-7` and `segmentation-7`, `img0002` and `label0002`,
 * `x1_img` and `x1_label`. Empty where nothing is left.
 */
export const commonName = (stem: string): string =>
  stem
    .toLowerCase()
    .split(/[_.\- ]+|(?<=\p{L})(?=\d)/u)
    .filter((word) => !isLabelWord(word) && !IMAGE_WORDS.has(word))
    .join('_');

/** What is left of a label map's stem without the words at its end that say so: 'BraTS20_001_seg' gives 'BraTS20_001', 'seg' gives ''. */
export function withoutLabelWords(stem: string): string {
  let left = stem;
  for (
    let cut = /^(?:(.*)[_.\- ]+)?([^_.\- ]*)$/.exec(left);
    cut && left !== '';
    cut = /^(?:(.*)[_.\- ]+)?([^_.\- ]*)$/.exec(left)
  ) {
    if (!isLabelWord(cut[2].toLowerCase())) break;
    left = cut[1] ?? '';
  }
  return left;
}

/**
 * Which image a label map is of, by their names: the image's own, with words that say label map behind it, or with a word of each its own.
 * @param stem of the label map, without its ending
 * @param images names without endings
 * @returns the place of the image; undefined if none is named so, or several are
 */
export function imageOfLabel(stem: string, images: readonly string[]): number | undefined {
  const same = (name: string) => name.toLowerCase();
  const wanted: readonly (readonly [string, (name: string) => string])[] = [
    [same(stem), same],
    [same(withoutLabelWords(stem)), same],
    [commonName(stem), commonName],
  ];
  for (const [key, keyOf] of wanted) {
    if (key === '') continue;
    const found = [...images.keys()].filter((k) => keyOf(images[k]) === key);
    if (found.length > 0) return found.length === 1 ? found[0] : undefined;
  }
  return undefined;
}
