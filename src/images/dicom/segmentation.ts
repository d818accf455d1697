/**
 * A label map as a DICOM Segmentation object (PS3.3 A.51): one binary frame for every segment and every slice in which it occurs,
 * each with its own position, so that tilted and irregular grids stay exact.
 */
import { RunError } from '../../common/errors.ts';
import { applyAffine, determinant3, voxelToPhysical } from '../../geometry/affine.ts';
import type { Volume, Xyz } from '../../geometry/volume.ts';
import { copiedElements, dateAndTime, frameAt, madeHere, type Segment, short } from './derived-object.ts';
import type { DicomFrame } from './frames.ts';
import type { RandomAccess } from './random-access.ts';
import { type Element, encodeElements, encodeMeta, newUid } from './write.ts';

const SEGMENTATION_STORAGE = '1.2.840.10008.5.1.4.1.1.66.4';
/** Segment numbers have 16 bits. */
const MAX_SEGMENTS = 65535;

const code = (value: string, scheme: string, meaning: string): Element[] => [
  ['00080100', 'SH', value],
  ['00080102', 'SH', scheme],
  ['00080104', 'LO', meaning],
];
/** Names that a user gave have no code of a terminology: the category is SNOMED CT's, the type a private one. */
const ANATOMY = code('123037004', 'SCT', 'Anatomical Structure');

/** sRGB (0 to 255) as CIELab in 16 bits, D65 (PS3.3 C.10.7.1.1). */
function cieLab(colour: readonly [number, number, number]): number[] {
  const [r, g, b] = colour.map((c) => (c / 255 > 0.04045 ? ((c / 255 + 0.055) / 1.055) ** 2.4 : c / 255 / 12.92));
  const f = (t: number): number => (t > (6 / 29) ** 3 ? Math.cbrt(t) : t / (3 * (6 / 29) ** 2) + 4 / 29);
  const x = f((0.4124 * r + 0.3576 * g + 0.1805 * b) / 0.9505);
  const y = f(0.2126 * r + 0.7152 * g + 0.0722 * b);
  const z = f((0.0193 * r + 0.1192 * g + 0.9505 * b) / 1.089);
  const word = (value: number): number => Math.max(0, Math.min(65535, Math.round(value)));
  return [
    word(((116 * y - 16) / 100) * 65535),
    word(((500 * (x - y) + 128) / 255) * 65535),
    word(((200 * (y - z) + 128) / 255) * 65535),
  ];
}

interface SegFrame {
  /** From 1. */
  readonly segment: number;
  readonly plane: number;
}

/**
 * The file's bytes, in pieces. Segments without a voxel are left out; the others are numbered from 1 in their order.
 * @param labels on the series' grid
 * @param frames the slices that `labels` belongs to
 * @param source the file of one of them
 * @throws RunError if no segment has a voxel
 */
export async function encodeSegmentation(
  labels: Volume,
  segments: readonly Segment[],
  frames: readonly DicomFrame[],
  source: RandomAccess,
  software: string,
): Promise<Uint8Array[]> {
  const { geometry, data } = labels;
  const [nx, ny, nz] = geometry.size;
  const planeCodes = Array.from({ length: nz }, (_, z) => new Set(data.subarray(z * nx * ny, (z + 1) * nx * ny)));
  const kept = segments.filter((segment) => planeCodes.some((codes) => codes.has(segment.code)));
  if (kept.length === 0) throw new RunError('nothing to write as DICOM SEG: every voxel is background');
  if (kept.length > MAX_SEGMENTS) throw new RunError(`DICOM SEG takes ${MAX_SEGMENTS} segments, not ${kept.length}`);
  const segFrames: SegFrame[] = kept.flatMap((segment, k) =>
    planeCodes.flatMap((codes, plane) => (codes.has(segment.code) ? [{ segment: k + 1, plane }] : [])),
  );

  const copied = await copiedElements(frames, source, 'DICOM SEG');

  const toPhysical = voxelToPhysical(geometry);
  const positions = Array.from({ length: nz }, (_, z) => applyAffine(toPhysical, [0, 0, z]));
  const sources = positions.map((position) => frameAt(position, frames, Math.min(...geometry.spacingMm)));
  const d = geometry.direction;
  const [row, column]: [Xyz, Xyz] = [
    [d[0], d[3], d[6]],
    [d[1], d[4], d[7]],
  ];
  // between planes, along their normal
  const apart = Math.abs(determinant3(d)) * geometry.spacingMm[2];
  const [date, time] = dateAndTime();
  const [instance, organisation] = [newUid(), newUid()];
  const used = [...new Set(segFrames.flatMap(({ plane }) => sources[plane] ?? []))];

  const elements: Element[] = [
    ...copied,
    ...madeHere({
      storage: SEGMENTATION_STORAGE,
      instance,
      modality: 'SEG',
      description: 'Segmentation',
      seriesNumber: 300,
      software,
    }),
    ['00080008', 'CS', 'DERIVED\\PRIMARY'],
    ['00080021', 'DA', date],
    ['00080023', 'DA', date],
    ['00080031', 'TM', time],
    ['00080033', 'TM', time],
    ['00181000', 'LO', '1'],
    ['00209221', 'SQ', [[['00209164', 'UI', organisation]]]],
    [
      '00209222',
      'SQ',
      [
        dimension(organisation, '0062000b', '0062000a', 'ReferencedSegmentNumber'),
        dimension(organisation, '00200032', '00209113', 'ImagePositionPatient'),
      ],
    ],
    ['00280002', 'US', 1],
    ['00280004', 'CS', 'MONOCHROME2'],
    ['00280008', 'IS', String(segFrames.length)],
    ['00280010', 'US', ny],
    ['00280011', 'US', nx],
    ['00280100', 'US', 1],
    ['00280101', 'US', 1],
    ['00280102', 'US', 0],
    ['00280103', 'US', 0],
    ['00282110', 'CS', '00'],
    ['00620001', 'CS', 'BINARY'],
    ['00620002', 'SQ', kept.map((segment, k) => segmentItem(segment, k + 1))],
    ['00700080', 'CS', 'SEGMENTATION'],
    ['00700081', 'LO', 'Automatic segmentation'],
    ['00700084', 'PN', ''],
    [
      '52009229',
      'SQ',
      [
        [
          ['00209116', 'SQ', [[['00200037', 'DS', [...row, ...column]]]]],
          [
            '00289110',
            'SQ',
            [
              [
                ['00180050', 'DS', frames[0].thicknessMm ?? apart],
                ['00180088', 'DS', apart],
                ['00280030', 'DS', [geometry.spacingMm[1], geometry.spacingMm[0]]],
              ],
            ],
          ],
        ],
      ],
    ],
    [
      '52009230',
      'SQ',
      segFrames.map(({ segment, plane }): Element[] => [
        ['00089124', 'SQ', sources[plane] ? [derivation(sources[plane])] : []],
        ['00209111', 'SQ', [[['00209157', 'UL', [segment, plane + 1]]]]],
        ['00209113', 'SQ', [[['00200032', 'DS', positions[plane]]]]],
        ['0062000a', 'SQ', [[['0062000b', 'US', segment]]]],
      ]),
    ],
    ['7fe00010', 'OB', pixelBits(labels, kept, segFrames)],
  ];
  if (used.length > 0) {
    const { seriesUid } = used[0].file;
    const files = [...new Set(used.map(({ file }) => file))];
    elements.push([
      '00081115',
      'SQ',
      [
        [
          [
            '0008114a',
            'SQ',
            files.map(({ sopClassUid, sopInstanceUid }): Element[] => [
              ['00081150', 'UI', sopClassUid],
              ['00081155', 'UI', sopInstanceUid],
            ]),
          ],
          ['0020000e', 'UI', seriesUid],
        ],
      ],
    ]);
  }
  return [...encodeMeta(SEGMENTATION_STORAGE, instance), ...encodeElements(elements)];
}

const dimension = (organisation: string, pointer: string, group: string, name: string): Element[] => [
  ['00209164', 'UI', organisation],
  ['00209165', 'AT', pointer],
  ['00209167', 'AT', group],
  ['00209421', 'LO', name],
];

const segmentItem = (segment: Segment, number: number): Element[] => [
  ['00620003', 'SQ', [ANATOMY]],
  ['00620004', 'US', number],
  ['00620005', 'LO', short(segment.name)],
  ['00620006', 'ST', `label ${segment.code}`],
  ['00620008', 'CS', 'AUTOMATIC'],
  ['00620009', 'LO', 'gvsl'],
  ['0062000d', 'US', cieLab(segment.colour)],
  ['0062000f', 'SQ', [code(String(segment.code), '99GVSL', short(segment.name))]],
];

/** How a frame came from a slice. */
const derivation = ({ file, index }: DicomFrame): Element[] => [
  [
    '00082112',
    'SQ',
    [
      [
        ['00081150', 'UI', file.sopClassUid],
        ['00081155', 'UI', file.sopInstanceUid],
        ...(file.frames.length > 1 ? ([['00081160', 'IS', String(index + 1)]] as Element[]) : []),
        ['0028135a', 'CS', 'YES'],
        ['0040a170', 'SQ', [code('121322', 'DCM', 'Source image for image processing operation')]],
      ],
    ],
  ],
  ['00089215', 'SQ', [code('113076', 'DCM', 'Segmentation')]],
];

/** One bit a voxel, frame behind frame without gaps, the first voxel in the lowest bit (PS3.5 8.1.1). */
function pixelBits({ geometry, data }: Volume, kept: readonly Segment[], segFrames: readonly SegFrame[]): Uint8Array {
  const pixels = geometry.size[0] * geometry.size[1];
  const bits = new Uint8Array(Math.ceil((segFrames.length * pixels) / 8));
  segFrames.forEach(({ segment, plane }, k) => {
    const wanted = kept[segment - 1].code;
    const from = plane * pixels;
    for (let i = 0; i < pixels; i++) {
      if (data[from + i] !== wanted) continue;
      // thousands of frames have more than 2^31 bits, where shifts wrap
      const bit = k * pixels + i;
      bits[Math.floor(bit / 8)] |= 1 << (bit % 8);
    }
  });
  return bits;
}
