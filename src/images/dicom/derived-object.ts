/** What DICOM objects that are made from a label map share: what they take over from the series, and which slices they refer to. */
import { RunError } from '../../common/errors.ts';
import type { Xyz } from '../../geometry/volume.ts';
import { readDataSet } from './data-set.ts';
import { textOf } from './elements.ts';
import type { DicomFrame } from './frames.ts';
import type { RandomAccess } from './random-access.ts';
import { type Element, newUid } from './write.ts';

/** A structure of the label map. */
export interface Segment {
  /** Its value in the label map. */
  readonly code: number;
  readonly name: string;
  /** 0 to 255 each. */
  readonly colour: readonly [number, number, number];
}

/** What patient and study elements are copied from the series, with the VR and what must be there. */
const COPIED: readonly (readonly [string, string])[] = [
  ['00080020', 'DA'],
  ['00080030', 'TM'],
  ['00080050', 'SH'],
  ['00080090', 'PN'],
  ['00081030', 'LO'],
  ['00100010', 'PN'],
  ['00100020', 'LO'],
  ['00100030', 'DA'],
  ['00100040', 'CS'],
  ['0020000d', 'UI'],
  ['00200010', 'SH'],
  ['00200052', 'UI'],
  ['00201040', 'LO'],
];
/** Of these an absent one is left out; all others may be empty but must be there. */
const OPTIONAL = new Set(['00081030']);

/** LO holds 64 characters, and the backslash parts values. */
export const short = (text: string): string => text.replaceAll('\\', '/').slice(0, 64);

/** What every slice must say of itself for another object to refer to it. */
const IDENTITY = [
  ['studyUid', 'Study Instance UID'],
  ['seriesUid', 'Series Instance UID'],
  ['sopClassUid', 'SOP Class UID'],
  ['sopInstanceUid', 'SOP Instance UID'],
] as const;

/**
 * Patient and study of a series, as elements; a frame of reference is made up where it has none.
 * @param frames its slices
 * @param source the file of one of them
 * @param what needs them, for messages
 * @throws RunError if the standard asks for what it lacks
 */
export async function copiedElements(frames: readonly DicomFrame[], source: RandomAccess, what: string): Promise<Element[]> {
  for (const [key, name] of IDENTITY)
    if (frames.some(({ file }) => file[key] === '')) throw new RunError(`its series has no ${name}, which ${what} needs`);
  const { data: header } = await readDataSet(source);
  return COPIED.flatMap(([tag, vr]): Element[] => {
    const value = textOf(header, `x${tag}`);
    if (tag === '00200052' && value === '') return [[tag, vr, newUid()]];
    return value === '' && OPTIONAL.has(tag) ? [] : [[tag, vr, value]];
  });
}

/** Now, as DA and TM. */
export function dateAndTime(): readonly [date: string, time: string] {
  const now = new Date().toISOString();
  return [now.slice(0, 10).replaceAll('-', ''), now.slice(11, 19).replaceAll(':', '')];
}

/** The slice at a position, if one lies there: between interpolated planes there is none. */
export function frameAt(position: Xyz, frames: readonly DicomFrame[], spacing: number): DicomFrame | undefined {
  let [nearest, least] = [undefined as DicomFrame | undefined, 0.25 * spacing];
  for (const frame of frames) {
    const p = frame.positionMm;
    const distance = p ? Math.hypot(p[0] - position[0], p[1] - position[1], p[2] - position[2]) : Number.POSITIVE_INFINITY;
    if (distance <= least) [nearest, least] = [frame, distance];
  }
  return nearest ?? (frames.length === 1 ? frames[0] : undefined);
}

/** What an object made here is: the elements that say so, in a series of its own. Elements are sorted when they are written. */
export function madeHere(made: {
  /** SOP class. */
  readonly storage: string;
  /** Its SOP instance. */
  readonly instance: string;
  readonly modality: string;
  readonly description: string;
  readonly seriesNumber: number;
  /** Name and version of what made it. */
  readonly software: string;
}): Element[] {
  return [
    ['00080005', 'CS', 'ISO_IR 192'],
    ['00080016', 'UI', made.storage],
    ['00080018', 'UI', made.instance],
    ['00080060', 'CS', made.modality],
    ['00080070', 'LO', 'gvsl'],
    ['0008103e', 'LO', made.description],
    ['00081090', 'LO', 'gvsl'],
    ['00181020', 'LO', short(made.software)],
    ['0020000e', 'UI', newUid()],
    ['00200011', 'IS', String(made.seriesNumber)],
    ['00200013', 'IS', '1'],
  ];
}
