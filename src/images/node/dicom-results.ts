/** Writing a label map as a DICOM object that refers to the series it was made from: a Segmentation, or an RT Structure Set. */
import { MachineError, RunError } from '../../common/errors.ts';
import { version } from '../../common/version.ts';
import type { Volume } from '../../geometry/volume.ts';
import { writeFileAtomic } from '../../platform/node/files.ts';
import type { Segment } from '../dicom/derived-object.ts';
import { encodeSegmentation } from '../dicom/segmentation.ts';
import type { DicomSource } from '../dicom/sources.ts';
import { encodeStructureSet } from '../dicom/structure-set.ts';
import { randomAccess } from './file-bytes.ts';

export type { Segment } from '../dicom/derived-object.ts';

/**
 * Writes a DICOM SEG file. Segments without a voxel are left out.
 * @param labels on the series' own grid
 * @param source the series that `labels` belongs to
 * @throws RunError if there is nothing to write, or the series lacks what the standard asks for
 */
export const writeDicomSegmentation = (
  path: string,
  labels: Volume,
  segments: readonly Segment[],
  source: DicomSource,
): Promise<void> => write(encodeSegmentation, path, labels, segments, source);

/** The same as an RT Structure Set: contours on each slice. */
export const writeStructureSet = (
  path: string,
  labels: Volume,
  segments: readonly Segment[],
  source: DicomSource,
): Promise<void> => write(encodeStructureSet, path, labels, segments, source);

async function write(
  encode: typeof encodeSegmentation,
  path: string,
  labels: Volume,
  segments: readonly Segment[],
  source: DicomSource,
): Promise<void> {
  try {
    const file = await randomAccess(source.files[0].path);
    const pieces = await encode(labels, segments, source.stack.frames, file, `gvsl ${version}`);
    await writeFileAtomic(path, ...inBlocks(pieces));
  } catch (error) {
    if (error instanceof RunError && !(error instanceof MachineError)) throw new RunError(`${path}: ${error.message}`);
    throw error;
  }
}

const BLOCK_BYTES = 2 ** 20;

/** The same bytes in few pieces: contours have hundreds of thousands of small ones. */
function inBlocks(pieces: readonly Uint8Array[]): Uint8Array[] {
  const blocks: Uint8Array[] = [];
  for (let from = 0; from < pieces.length; ) {
    let [to, bytes] = [from, 0];
    while (to < pieces.length && (to === from || bytes + pieces[to].length <= BLOCK_BYTES)) bytes += pieces[to++].length;
    const block = new Uint8Array(bytes);
    for (let at = 0; from < to; at += pieces[from++].length) block.set(pieces[from], at);
    blocks.push(block);
  }
  return blocks;
}
