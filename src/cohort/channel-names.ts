/** Which contrast or channel an image is of, by its name without folder and ending: BIDS (`sub-01_ses-1_T1w`), BraTS (`BraTS20_001_t1ce`), nnU-Net (`P1_0001`). */

/** The words of a name. */
export const tokensOf = (stem: string): string[] => stem.toLowerCase().split(/[_.\- ]+/);

/** A name as BIDS has it. */
export interface BidsName {
  /** 'sub' to '01', 'ses' to '1', ... */
  readonly entities: ReadonlyMap<string, string>;
  /** What stands after the entities: 'T1w'; of a derivative perhaps 'T1w_dseg'. */
  readonly suffix: string;
}

export function bidsOfStem(stem: string): BidsName | null {
  const parts = stem.split('_');
  if (!/^sub-[A-Za-z0-9]+$/.test(parts[0])) return null;
  const entities = new Map<string, string>();
  let k = 0;
  for (; k < parts.length; k++) {
    const [, key, value] = /^([a-z]+)-([A-Za-z0-9+]+)$/.exec(parts[k]) ?? [];
    if (key === undefined) break;
    entities.set(key, value);
  }
  const suffix = parts.slice(k).join('_');
  return suffix === '' ? null : { entities, suffix };
}

export const CONTRASTS = new Set('t1 t1n t1w t1c t1ce t1gd t1km t2 t2w t2f flair adc dwi pd pdw swi'.split(' '));

/** Which contrast or sequence an image is of, where its name says so: BIDS' suffix, BraTS' last word; else null. */
export function contrastOfStem(stem: string): string | null {
  const bids = bidsOfStem(stem);
  if (bids) return bids.suffix;
  const last = tokensOf(stem).at(-1)!;
  return CONTRASTS.has(last) ? last : null;
}

/**
 * Which channel of its subject a file is, and what the names of the subject's files have in common: `P1_t1ce` is 't1ce' of 'P1', `t1ce` that of '',
 * `P1_0001` is '1' of 'P1', and by BIDS `sub-1_run-2_T1w` is 'T1w' of 'sub-1'. Null for a name that says nothing of it.
 */
export function channelOfStem(stem: string): { readonly channel: string; readonly subject: string } | null {
  const bids = bidsOfStem(stem);
  if (bids) {
    const entities = ['sub', 'ses'].flatMap((key) => (bids.entities.has(key) ? [`${key}-${bids.entities.get(key)}`] : []));
    return { channel: bids.suffix, subject: entities.join('_') };
  }
  const [suffix, number] = /_(\d{4})$/.exec(stem) ?? [];
  if (suffix !== undefined) return { channel: String(Number(number)), subject: stem.slice(0, -suffix.length) };
  const channel = contrastOfStem(stem);
  if (channel === null) return null;
  return { channel, subject: stem.slice(0, -channel.length).replace(/[_.\- ]+$/, '') };
}
