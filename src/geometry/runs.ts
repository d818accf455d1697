/** Runs of equal voxels in label maps. */
import type { VoxelArray } from './volume.ts';

/**
 * Where the run of voxels that are equal to the one at `at` ends, at `end` at the latest. Whole words are compared where several voxels fill one:
 * most voxels lie in long runs.
 */
export function runEnds(data: VoxelArray): (at: number, end: number) => number {
  const each = 4 / data.BYTES_PER_ELEMENT;
  if (each < 2 || data.byteOffset % 4 !== 0) return (at, end) => runEnd(data, at, end);
  const words = new Int32Array(data.buffer, data.byteOffset, Math.floor(data.length / each));
  const pattern = each === 2 ? 0x10001 : 0x1010101;
  const mask = each === 2 ? 0xffff : 0xff;
  return (at, end) => {
    const code = data[at];
    const edge = Math.min(end, Math.ceil((at + 1) / each) * each);
    let to = at + 1;
    while (to < edge && data[to] === code) to++;
    if (to < edge) return to;
    const word = Math.imul(code & mask, pattern);
    let w = to / each;
    for (const last = Math.floor(end / each); w < last && words[w] === word; ) w++;
    to = Math.max(to, w * each);
    while (to < end && data[to] === code) to++;
    return to;
  };
}

function runEnd(data: VoxelArray, at: number, end: number): number {
  const code = data[at];
  let to = at + 1;
  while (to < end && data[to] === code) to++;
  return to;
}
