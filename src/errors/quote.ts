/** What stands in a file, in a message: files of strangers may hold a name of a megabyte. */

const LONGEST = 200;

/** A text, cut where it is long. */
export const quoted = (text: string): string => (text.length <= LONGEST ? text : `${text.slice(0, LONGEST)}...`);
