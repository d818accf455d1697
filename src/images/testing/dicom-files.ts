/** DICOM files for tests, made from a few facts. */
import { deflateSync } from 'fflate';
import { joinBytes } from '../bytes.ts';
import { type Element, type ElementValue, EXPLICIT_LITTLE_ENDIAN, encodeElements, encodeMeta } from '../dicom/write.ts';

export const CT_STORAGE = '1.2.840.10008.5.1.4.1.1.2';
export const ENHANCED_CT_STORAGE = '1.2.840.10008.5.1.4.1.1.2.1';

/** Changes of single elements by tag; null takes one away. */
export type Changes = Readonly<Record<string, readonly [vr: string, value: ElementValue] | null>>;

export interface SliceFacts {
  readonly columns: number;
  readonly rows: number;
  readonly stored: ArrayLike<number>;
  readonly positionMm?: readonly number[];
  readonly series?: string;
  /** Numbers the SOP instance; the same number is the same UID. */
  readonly instance?: number;
  readonly slope?: number;
  readonly intercept?: number;
  readonly signed?: boolean;
  readonly changes?: Changes;
}

export const UID_ROOT = '1.2.826.0.1.3680043.10.1';

const withChanges = (elements: readonly Element[], changes: Changes): Element[] => [
  ...elements.filter(([tag]) => !(tag in changes)),
  ...Object.entries(changes).flatMap(([tag, change]): Element[] => (change ? [[tag, ...change]] : [])),
];

/** 16-bit pixels as bytes. */
export const words = (values: ArrayLike<number>): Uint8Array => new Uint8Array(Int16Array.from(values).buffer);

/** The elements of one slice of a CT. */
export function sliceElements(facts: SliceFacts): Element[] {
  const {
    columns,
    rows,
    stored,
    positionMm = [0, 0, 0],
    series = '1',
    instance = 1,
    slope = 1,
    intercept = 0,
    signed = true,
  } = facts;
  return withChanges(
    [
      ['00080008', 'CS', 'ORIGINAL\\PRIMARY\\AXIAL'],
      ['00080016', 'UI', CT_STORAGE],
      ['00080018', 'UI', `${UID_ROOT}.2.${instance}`],
      ['00080020', 'DA', '20200101'],
      ['00080030', 'TM', '120000'],
      ['00080050', 'SH', ''],
      ['00080060', 'CS', 'CT'],
      ['00080090', 'PN', ''],
      ['00100010', 'PN', 'Test^Case'],
      ['00100020', 'LO', 'T1'],
      ['00100030', 'DA', ''],
      ['00100040', 'CS', 'O'],
      ['00180050', 'DS', '2'],
      ['0020000d', 'UI', `${UID_ROOT}.3`],
      ['0020000e', 'UI', `${UID_ROOT}.4.${series}`],
      ['00200010', 'SH', '1'],
      ['00200011', 'IS', '1'],
      ['00200012', 'IS', '1'],
      ['00200013', 'IS', String(instance)],
      ['00200032', 'DS', positionMm],
      ['00200037', 'DS', [1, 0, 0, 0, 1, 0]],
      ['00200052', 'UI', `${UID_ROOT}.5`],
      ['00201040', 'LO', ''],
      ['00280002', 'US', 1],
      ['00280004', 'CS', 'MONOCHROME2'],
      ['00280010', 'US', rows],
      ['00280011', 'US', columns],
      ['00280030', 'DS', [1, 1]],
      ['00280100', 'US', 16],
      ['00280101', 'US', 16],
      ['00280102', 'US', 15],
      ['00280103', 'US', signed ? 1 : 0],
      ['00281052', 'DS', intercept],
      ['00281053', 'DS', slope],
      ['7fe00010', 'OW', words(stored)],
    ],
    facts.changes ?? {},
  );
}

/** A file of elements. */
export const dicomFile = (elements: readonly Element[], transferSyntax = EXPLICIT_LITTLE_ENDIAN): Uint8Array => {
  const uid = (tag: string): string => String(elements.find(([other]) => other === tag)?.[2] ?? '');
  return joinBytes([...encodeMeta(uid('00080016'), uid('00080018'), transferSyntax), ...encodeElements(elements)]);
};

/** One slice of a CT as a file, explicit little-endian. */
export const slice = (facts: SliceFacts): Uint8Array => dicomFile(sliceElements(facts));

/** Without preamble and meta header. */
export const bareSlice = (facts: SliceFacts): Uint8Array => joinBytes(encodeElements(sliceElements(facts)));

export function deflatedSlice(facts: SliceFacts): Uint8Array {
  const elements = sliceElements(facts);
  const deflated = deflateSync(joinBytes(encodeElements(elements)));
  const padding = deflated.length % 2 ? [Uint8Array.of(0)] : [];
  return joinBytes([...encodeMeta(CT_STORAGE, `${UID_ROOT}.2`, '1.2.840.10008.1.2.1.99'), deflated, ...padding]);
}

/** Pixels in fragments, behind an offset table that may be empty. */
export function fragmented(
  elements: readonly Element[],
  transferSyntax: string,
  table: readonly number[],
  fragments: readonly Uint8Array[],
): Uint8Array {
  const item = (content: Uint8Array, tag = 0xe000): Uint8Array => {
    const bytes = new Uint8Array(8 + content.length);
    const view = new DataView(bytes.buffer);
    view.setUint16(0, 0xfffe, true);
    view.setUint16(2, tag, true);
    view.setUint32(4, content.length, true);
    bytes.set(content, 8);
    return bytes;
  };
  const start = Uint8Array.of(0xe0, 0x7f, 0x10, 0, 0x4f, 0x42, 0, 0, 0xff, 0xff, 0xff, 0xff);
  const offsets = new Uint8Array(Uint32Array.from(table).buffer);
  return joinBytes([
    dicomFile(
      elements.filter(([tag]) => tag !== '7fe00010'),
      transferSyntax,
    ),
    start,
    item(offsets),
    ...fragments.map((fragment) => item(fragment)),
    item(new Uint8Array(), 0xe0dd),
  ]);
}

/** RLE of 16-bit pixels in literal runs (PS3.5 annex G). */
export function rle(stored: ArrayLike<number>): Uint8Array {
  const planes = [8, 0].map((shift) => Uint8Array.from(stored, (value) => (value >> shift) & 255));
  const segments = planes.map((plane) => {
    const runs: Uint8Array[] = [];
    for (let at = 0; at < plane.length; at += 128) {
      const run = plane.subarray(at, at + 128);
      runs.push(Uint8Array.of(run.length - 1), run);
    }
    const length = runs.reduce((sum, run) => sum + run.length, 0);
    return joinBytes(length % 2 ? [...runs, Uint8Array.of(128)] : runs);
  });
  const header = new Uint32Array(16);
  header.set([2, 64, 64 + segments[0].length]);
  return joinBytes([new Uint8Array(header.buffer), ...segments]);
}

export interface FrameFacts {
  readonly positionMm: readonly number[];
  readonly stored: ArrayLike<number>;
  readonly slope?: number;
  readonly intercept?: number;
  readonly temporalIndex?: number;
  readonly stackId?: string;
}

/** The elements of an enhanced CT. */
export function enhancedElements(columns: number, rows: number, frames: readonly FrameFacts[], changes: Changes = {}): Element[] {
  const base = sliceElements({ columns, rows, stored: frames.flatMap(({ stored }) => Array.from(stored)) });
  const away = ['00200032', '00200037', '00280030', '00281052', '00281053', '00180050'];
  return withChanges(
    base.filter(([tag]) => !away.includes(tag)),
    {
      '00080016': ['UI', ENHANCED_CT_STORAGE],
      '00280008': ['IS', String(frames.length)],
      '52009229': [
        'SQ',
        [
          [
            ['00209116', 'SQ', [[['00200037', 'DS', [1, 0, 0, 0, 1, 0]]]]],
            [
              '00289110',
              'SQ',
              [
                [
                  ['00180050', 'DS', 2],
                  ['00280030', 'DS', [1, 1]],
                ],
              ],
            ],
          ],
        ],
      ],
      '52009230': [
        'SQ',
        frames.map(({ positionMm, slope = 1, intercept = 0, temporalIndex, stackId = '1' }): Element[] => [
          ['00209111', 'SQ', [temporalIndex === undefined ? [['00209056', 'SH', stackId]] : [['00209128', 'UL', temporalIndex]]]],
          ['00209113', 'SQ', [[['00200032', 'DS', positionMm]]]],
          [
            '00289145',
            'SQ',
            [
              [
                ['00281052', 'DS', intercept],
                ['00281053', 'DS', slope],
                ['00281054', 'LO', 'HU'],
              ],
            ],
          ],
        ]),
      ],
      ...changes,
    },
  );
}
