/** What results are named after, so that those of images of one name are told apart: 'image.nii.gz' may lie in a folder of each patient. */

/** An image by its path in what was chosen, and what its results would be named after if it were alone. */
export interface NamedImage {
  readonly title: string;
  readonly name: string;
}

/** The folders of a path; of channels in files of their own, those of the first. */
const foldersOf = ({ title }: NamedImage): string[] => title.split(' + ')[0].split('/').slice(0, -1);

/** Lists without what all have in common at their beginnings and at their ends. */
function differing(lists: readonly (readonly string[])[]): string[][] {
  const [first] = lists;
  const least = Math.min(...lists.map(({ length }) => length));
  let [start, end] = [0, 0];
  while (start < least && lists.every((list) => list[start] === first[start])) start++;
  while (end < least - start && lists.every((list) => list.at(-1 - end) === first.at(-1 - end))) end++;
  return lists.map((list) => list.slice(start, list.length - end));
}

/**
 * What the results of an image are named after beside the others that are open: 'a_image' of 'a/image.nii.gz' where 'b/image.nii.gz' is open too. One
 * file that is open twice has one name.
 */
export function resultName(image: NamedImage, open: readonly NamedImage[]): string {
  const alike = open.filter(({ name }) => name.toLowerCase() === image.name.toLowerCase());
  const folders = differing([foldersOf(image), ...alike.map(foldersOf)]);
  return [...folders[0], image.name].join('_');
}
