/**
 * A label map as a DICOM RT Structure Set (PS3.3 A.19): closed planar contours of each structure on each slice. A voxel belongs to a structure exactly if
 * its centre lies inside a contour; holes are cut into what they lie in by a channel without width, as PS3.3 C.8.8.6.3 describes it.
 */
import { RunError } from '../../common/errors.ts';
import { applyAffine, voxelToPhysical } from '../../geometry/affine.ts';
import { contoursOf } from '../../geometry/contours.ts';
import type { Volume } from '../../geometry/volume.ts';
import { copiedElements, dateAndTime, frameAt, madeHere, type Segment, short } from './derived-object.ts';
import type { DicomFrame } from './frames.ts';
import type { RandomAccess } from './random-access.ts';
import { type Element, encodeElements, encodeMeta, IMPLICIT_LITTLE_ENDIAN, newUid } from './write.ts';

const STRUCTURE_SET_STORAGE = '1.2.840.10008.5.1.4.1.1.481.3';
const STUDY_COMPONENT = '1.2.840.10008.3.1.2.3.1';
/** Contours to the thousandth of a millimetre: more is beyond any scanner, and files grow by it. */
const toThousandth = (value: number): number => Math.round(value * 1000) / 1000;

/** A slice of the series, as contours refer to it. */
const imageReference = ({ file, index }: DicomFrame): Element[] => [
  ['00081150', 'UI', file.sopClassUid],
  ['00081155', 'UI', file.sopInstanceUid],
  ...(file.frames.length > 1 ? ([['00081160', 'IS', String(index + 1)]] as Element[]) : []),
];

/**
 * The file's bytes, in pieces. Segments without a voxel are left out; the others are numbered from 1 in their order.
 * @param labels on the series' grid
 * @param frames the slices that `labels` belongs to
 * @param source the file of one of them
 * @throws RunError if no segment has a voxel
 */
export async function encodeStructureSet(
  labels: Volume,
  segments: readonly Segment[],
  frames: readonly DicomFrame[],
  source: RandomAccess,
  software: string,
): Promise<Uint8Array[]> {
  const { geometry, data } = labels;
  const [nx, ny, nz] = geometry.size;
  const toPhysical = voxelToPhysical(geometry);
  const sources = Array.from({ length: nz }, (_, z) =>
    frameAt(applyAffine(toPhysical, [0, 0, z]), frames, Math.min(...geometry.spacingMm)),
  );
  const present = new Set<number>();
  const planeCodes = Array.from({ length: nz }, (_, z) => {
    const codes = new Set<number>(data.subarray(z * nx * ny, (z + 1) * nx * ny));
    for (const code of codes) present.add(code);
    return codes;
  });
  const kept = segments.filter(({ code }) => present.has(code));
  if (kept.length === 0) throw new RunError('nothing to write as RT Structure Set: every voxel is background');

  const contoursIn = (code: number): Element[][] =>
    planeCodes.flatMap((codes, z): Element[][] => {
      if (!codes.has(code)) return [];
      const from = z * nx * ny;
      const image = sources[z];
      return contoursOf(nx, ny, (x, y) => data[from + y * nx + x] === code).map((polygon): Element[] => {
        const points: number[] = [];
        for (let i = 0; i < polygon.length; i += 2)
          points.push(...applyAffine(toPhysical, [polygon[i], polygon[i + 1], z]).map(toThousandth));
        return [
          ...(image ? ([['30060016', 'SQ', [imageReference(image)]]] as Element[]) : []),
          ['30060042', 'CS', 'CLOSED_PLANAR'],
          ['30060046', 'IS', String(points.length / 3)],
          ['30060050', 'DS', points],
        ];
      });
    });

  const copied = await copiedElements(frames, source, 'RT Structure Set');
  const copiedText = (tag: string): string => copied.find(([one]) => one === tag)![2] as string;
  const [frameOfReference, study] = [copiedText('00200052'), copiedText('0020000d')];
  const [date, time] = dateAndTime();
  const instance = newUid();
  const used = [...new Set(sources.filter((frame) => frame !== undefined))];
  const elements: Element[] = [
    ...copied,
    ...madeHere({
      storage: STRUCTURE_SET_STORAGE,
      instance,
      modality: 'RTSTRUCT',
      description: 'Structures',
      seriesNumber: 301,
      software,
    }),
    ['00080012', 'DA', date],
    ['00080013', 'TM', time],
    ['00081070', 'PN', ''],
    ['30060002', 'SH', 'gvsl'],
    ['30060008', 'DA', date],
    ['30060009', 'TM', time],
    [
      '30060010',
      'SQ',
      [
        [
          ['00200052', 'UI', frameOfReference],
          [
            '30060012',
            'SQ',
            used.length === 0
              ? []
              : [
                  [
                    ['00081150', 'UI', STUDY_COMPONENT],
                    ['00081155', 'UI', study],
                    [
                      '30060014',
                      'SQ',
                      [
                        [
                          ['0020000e', 'UI', used[0].file.seriesUid],
                          ['30060016', 'SQ', used.map(imageReference)],
                        ],
                      ],
                    ],
                  ],
                ],
          ],
        ],
      ],
    ],
    [
      '30060020',
      'SQ',
      kept.map(({ name, code }, k): Element[] => [
        ['30060022', 'IS', String(k + 1)],
        ['30060024', 'UI', frameOfReference],
        ['30060026', 'LO', short(name)],
        ['30060028', 'ST', `label ${code}`],
        ['30060036', 'CS', 'AUTOMATIC'],
      ]),
    ],
    [
      '30060039',
      'SQ',
      kept.map(({ code, colour }, k): Element[] => [
        ['3006002a', 'IS', colour.join('\\')],
        ['30060040', 'SQ', contoursIn(code)],
        ['30060084', 'IS', String(k + 1)],
      ]),
    ],
    [
      '30060080',
      'SQ',
      kept.map((_, k): Element[] => [
        ['30060082', 'IS', String(k + 1)],
        ['30060084', 'IS', String(k + 1)],
        ['300600a4', 'CS', ''],
        ['300600a6', 'PN', ''],
      ]),
    ],
    ['300e0002', 'CS', 'UNAPPROVED'],
  ];
  // implicit: with a VR a contour could have no more than 64 KB
  return [...encodeMeta(STRUCTURE_SET_STORAGE, instance, IMPLICIT_LITTLE_ENDIAN), ...encodeElements(elements, true)];
}
