/** Where a header says that the voxels lie. */
export interface DataPlace {
  /** As the header names them, seen from its folder, in order; null: in its own file. */
  readonly files: readonly string[] | null;
  /** Byte of each file at which data begin; 'end': they are its last bytes. */
  readonly start: number | 'end';
  /** Lines to pass over from there. */
  readonly lines: number;
  /** Bytes to pass over from there, of what decompressing gives. */
  readonly bytes: number;
  readonly encoding: 'raw' | 'deflate' | 'ascii' | 'hex';
  /** Length of the compressed stream that the header states. */
  readonly compressedBytes: number | null;
}

/** "name%03d.raw 1 20 1" as names: NRRD and MetaImage count slices so. Null if that is no such pattern. */
export function numberedFiles(text: string): string[] | null {
  const match = /^(.*%0?\d*[diu].*?)\s+(-?\d+)\s+(-?\d+)\s+(-?\d+)(?:\s+\d+)?$/.exec(text);
  if (!match) return null;
  const [first, last, step] = match.slice(2, 5).map(Number);
  if (step === 0 || (last - first) / step > 100_000) return null;
  const names: string[] = [];
  for (let n = first; step > 0 ? n <= last : n >= last; n += step)
    names.push(
      match[1].replace(/%(0?)(\d*)[diu]/, (_, zero: string, width: string) =>
        String(n).padStart(Number(width || 0), zero ? '0' : ' '),
      ),
    );
  return names;
}

/** The header's text, up to and with what `end` matches; null if that is not in it. */
export function headerText(bytes: Uint8Array, end: RegExp): { readonly text: string; readonly bytes: number } | null {
  const text = latin1(bytes);
  const match = end.exec(text);
  return match && { text: text.slice(0, match.index + match[0].length), bytes: match.index + match[0].length };
}

/** One character a byte, so that positions in the text are positions in the file. */
export function latin1(bytes: Uint8Array): string {
  let text = '';
  for (let at = 0; at < bytes.length; at += 8192) text += String.fromCharCode(...bytes.subarray(at, at + 8192));
  return text;
}

/** A file's name out of such text: headers are written in UTF-8. */
export function utf8(text: string): string {
  const bytes = Uint8Array.from(text, (character) => character.charCodeAt(0));
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    return text;
  }
}
