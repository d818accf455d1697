/** The volume of a stack: every frame's stored values times its own slope plus its own intercept, on the stack's grid. */
import { counted } from '../../common/counted.ts';
import { RunError } from '../../common/errors.ts';
import { applyAlong, interpolationOperator } from '../../geometry/axis-operator.ts';
import { type VoxelArray, voxelCount } from '../../geometry/volume.ts';
import { checkedVolume, type LoadedImage, MAX_VOLUME_BYTES, tooLarge } from '../loaded-image.ts';
import type { DicomFile, DicomFrame } from './frames.ts';
import { type StoredValues, type StrayBits, storedFrames } from './pixels.ts';
import type { RandomAccess } from './random-access.ts';
import { type DicomStack, gridOf } from './stacks.ts';

/** @throws RunError if the frames form no volume or cannot be decoded, without the image's name */
export async function readStack(
  stack: DicomStack,
  path: string,
  open: (path: string) => Promise<RandomAccess>,
): Promise<LoadedImage> {
  const { frames, mappingWarnings } = withRealWorldValues(stack.frames);
  const first = frames[0].file;
  const other = frames.map(({ file }) => noIntensities(file)).find((reason) => reason !== null);
  if (other) throw new RunError(`it holds ${other}`);
  const { geometry, planes, warnings } = gridOf(stack);
  const size = [first.columns, first.rows, frames.length] as const;
  const bytes = 4 * Math.max(voxelCount(size), voxelCount(geometry.size));
  if (bytes > MAX_VOLUME_BYTES) throw tooLarge(geometry.size, bytes);
  const { data, pixelWarnings } = await valuesOf(frames, open);
  refuseInverted(first, data, frames.length);
  const rescaleType = [...new Set(frames.map((frame) => frame.rescaleType))].join(', ');
  const regular = planes
    ? applyAlong(interpolationOperator(frames.length, planes, 0), 2, Float32Array.from(data), [...size])
    : data;
  return {
    path,
    format: first.frames.length > 1 ? 'DICOM multi-frame' : 'DICOM series',
    storedType: storedTypeOf(frames),
    ...(first.modality ? { modality: first.modality } : {}),
    ...(rescaleType ? { rescaleType } : {}),
    volumesInFile: 1,
    volume: checkedVolume(geometry, regular),
    warnings: [...stack.warnings, ...warnings, ...pixelWarnings, ...mappingWarnings],
  };
}

/**
 * Real world value mappings (PS3.3 C.7.6.16.2.11) count where nothing else makes the frames comparable: values are else those that the
 * modality's rescaling gives, as other readers have them.
 */
function withRealWorldValues(frames: readonly DicomFrame[]): { frames: readonly DicomFrame[]; mappingWarnings: string[] } {
  const mapping = frames[0].realWorld;
  if (!mapping || frames.some((frame) => frame.isRescaled || !frame.realWorld)) return { frames, mappingWarnings: [] };
  if (frames.every(({ realWorld }) => realWorld![0] === mapping[0] && realWorld![1] === mapping[1])) {
    const isPlain = mapping[0] === 1 && mapping[1] === 0;
    return {
      frames,
      mappingWarnings: isPlain
        ? []
        : [`a real world value mapping (x ${mapping[0]} + ${mapping[1]}) is present and was not applied`],
    };
  }
  return {
    frames: frames.map((frame) => ({ ...frame, slope: frame.realWorld![0], intercept: frame.realWorld![1] })),
    mappingWarnings: ['its slices have different real world value mappings and no rescaling: these mappings were applied'],
  };
}

/** Why a file's pixels are no slice of intensities; null if they are. */
export function noIntensities({ samplesPerPixel, photometric, frames: [{ imageType }] }: DicomFile): string | null {
  if (/(^|\\)MOSAIC(\\|$)/.test(imageType))
    return 'a Siemens mosaic (all slices of a volume as tiles of one picture), which is not supported; convert it with dcm2niix';
  if (samplesPerPixel === 1 && /^MONOCHROME[12]$/.test(photometric)) return null;
  return `colours (${photometric}, ${counted(samplesPerPixel, 'value')} per pixel), not intensities: a screenshot, photograph or colour map`;
}

/**
 * Refuses a CT whose values rise towards air: MONOCHROME1 says how to show values, not what they mean, but some devices store inverted ones.
 * @throws RunError
 */
function refuseInverted({ photometric, modality, rows, columns }: DicomFile, data: VoxelArray, slices: number): void {
  if (photometric !== 'MONOCHROME1' || modality !== 'CT') return;
  const [width, height] = [Math.ceil(columns / 16), Math.ceil(rows / 16)];
  const corners: number[] = [];
  const middle: number[] = [];
  for (let z = 0; z < slices; z++)
    for (let y = 0; y < height; y++)
      for (let x = 0; x < width; x++) {
        const at = (column: number, row: number): number => data[(z * rows + row) * columns + column];
        corners.push(at(x, y), at(columns - 1 - x, y), at(x, rows - 1 - y), at(columns - 1 - x, rows - 1 - y));
        middle.push(at((columns >> 1) + x - (width >> 1), (rows >> 1) + y - (height >> 1)));
      }
  const median = (values: readonly number[]): number => Float64Array.from(values).sort()[values.length >> 1];
  const [outside, inside] = [median(corners), median(middle)];
  if (outside > 200 && outside > inside + 500)
    throw new RunError(
      `its photometric interpretation is MONOCHROME1 and its values rise towards air (${outside} in its corners, ${inside} in its middle): not Hounsfield units; invert them first`,
    );
}

function storedTypeOf(frames: readonly DicomFrame[]): string {
  const { pixels, bitsAllocated, signed } = frames[0].file;
  const type = pixels.tag === 'x7fe00010' ? `${signed ? '' : 'u'}int${bitsAllocated}` : `float${bitsAllocated}`;
  const { slope, intercept } = frames[0];
  if (frames.some((frame) => frame.slope !== slope || frame.intercept !== intercept))
    return `${type} x slope + intercept of each slice`;
  return slope === 1 && intercept === 0 ? type : `${type} x ${+slope.toPrecision(6)} + ${+intercept.toPrecision(6)}`;
}

/** Number types that hold whole numbers, the smaller first, with what they hold. */
const WHOLE = [
  [Uint8Array, 0, 255],
  [Int16Array, -32768, 32767],
  [Uint16Array, 0, 65535],
  [Int32Array, -(2 ** 31), 2 ** 31 - 1],
  [Float64Array, Number.NEGATIVE_INFINITY, Number.POSITIVE_INFINITY],
] as const;

/** Float32 holds stored values times a slope without merging neighbours while there are fewer steps than this. */
const FLOAT32_STEPS = 2 ** 23;

/** The voxels, in the smallest number type in which none of them wraps and none that differ become equal. */
async function valuesOf(
  frames: readonly DicomFrame[],
  open: (path: string) => Promise<RandomAccess>,
): Promise<{ data: VoxelArray; pixelWarnings: string[] }> {
  const { rows, columns } = frames[0].file;
  const pixels = rows * columns;
  const whole = frames.every(
    (f) => f.file.pixels.tag === 'x7fe00010' && Number.isInteger(f.slope) && Number.isInteger(f.intercept),
  );
  const steps = Math.max(...frames.map((f) => 2 ** f.file.bitsStored + Math.abs(f.intercept / f.slope)));
  const double = steps > FLOAT32_STEPS && frames.some((f) => f.file.pixels.tag !== 'x7fe00008' || f.isRescaled);
  // whole numbers begin in the type that most scans need and move to a wider one when a frame holds more
  let type = whole && frames.every(({ file }) => file.bitsStored <= 8) ? 0 : 1;
  let [least, most] = [0, 0];
  let data: VoxelArray | undefined;

  const slots = new Map<DicomFile, number[]>();
  frames.forEach((frame, slot) => {
    const own = slots.get(frame.file);
    if (own) own.push(slot);
    else slots.set(frame.file, [slot]);
  });
  const found: StrayBits = { strayBits: 0 };
  let padded = 0;
  for (const [file, own] of slots) {
    try {
      const storedOf = await storedFrames(file, await open(file.path), found);
      for (const slot of own) {
        const { index, slope, intercept } = frames[slot];
        const stored = await storedOf(index);
        padded += countPadding(file, stored);
        const values = modalityValues(file, stored);
        // no memory is taken before a frame has shown that the header tells the truth
        data ??= new (whole ? WHOLE[type][0] : double ? Float64Array : Float32Array)(pixels * frames.length);
        if (whole) {
          const [low, high] = rangeOf(values);
          least = Math.min(least, slope * low + intercept, slope * high + intercept);
          most = Math.max(most, slope * low + intercept, slope * high + intercept);
          if (least < WHOLE[type][1] || most > WHOLE[type][2]) {
            type = WHOLE.findIndex(([, low, high]) => least >= low && most <= high);
            data = new WHOLE[type][0](data);
          }
        }
        const out = data.subarray(slot * pixels, (slot + 1) * pixels);
        for (let i = 0; i < pixels; i++) out[i] = values[i] * slope + intercept;
      }
    } catch (error) {
      if (error instanceof RunError)
        throw new RunError(error.message.includes(file.path) ? error.message : `${file.path}: ${error.message}`);
      throw error;
    }
  }
  return { data: data!, pixelWarnings: warningsOfPixels(frames, padded, found, pixels * frames.length) };
}

function rangeOf(values: StoredValues): [number, number] {
  let [low, high] = [values[0], values[0]];
  for (const value of values) {
    if (value < low) low = value;
    if (value > high) high = value;
  }
  return [low, high];
}

function modalityValues(file: DicomFile, stored: StoredValues): StoredValues {
  if (!file.modalityTable) return stored;
  const { first, values } = file.modalityTable;
  return Int32Array.from(stored, (value) => values[Math.max(0, Math.min(values.length - 1, value - first))]);
}

function countPadding({ padding }: DicomFile, stored: StoredValues): number {
  if (!padding) return 0;
  let count = 0;
  for (const value of stored) if (value >= padding[0] && value <= padding[1]) count++;
  return count;
}

function warningsOfPixels(frames: readonly DicomFrame[], padded: number, found: StrayBits, voxels: number): string[] {
  const warnings: string[] = [];
  const first = frames[0];
  const percent = (count: number): string => `${count < voxels / 100 ? '<1' : Math.round((100 * count) / voxels)} %`;
  if (frames.some(({ file }) => file.photometric === 'MONOCHROME1'))
    warnings.push(
      'photometric interpretation MONOCHROME1: shown inverted by viewers; values are stored x slope + intercept as the header says, not inverted. Check that air is dark in them',
    );
  if (padded > 0) {
    const { padding } = first.file;
    const value = padding![0] * first.slope + first.intercept;
    warnings.push(
      `${percent(padded)} of its voxels hold the pixel padding value (${padding![0] === padding![1] ? padding![0] : `${padding![0]} to ${padding![1]}`} stored, ${value} rescaled): outside the field of view, not measured`,
    );
  }
  if (found.strayBits > 0)
    warnings.push(
      `${percent(found.strayBits)} of its pixels have bits set outside the ${first.file.bitsStored} bits stored (an overlay, or a wrong header): these bits are ignored`,
    );
  const longer = frames.find(({ file }) => file.surplusBytes > 1)?.file;
  if (longer)
    warnings.push(
      `${longer.path} has ${longer.surplusBytes} more bytes of pixels than the ${longer.columns} x ${longer.rows} x ${longer.frames.length} that its header states: ignored`,
    );
  if (frames.some(({ file }) => file.modalityTable)) warnings.push('its modality LUT (0028,3000) was applied');
  return warnings;
}
