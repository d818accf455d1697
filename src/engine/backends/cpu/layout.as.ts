/** From one layout to the other, copies of parts, and zeros. */
import { blockedRow, channelRow, plainRow, shareStart, Tensor, VOXEL, voxelStep, zeroHalo } from "./common.as";
import { CHUNK_FLOATS } from "./constants";
import { chunkAt, chunkBytes, chunksOf } from "./flat.as";

@unmanaged
class RelayoutArguments {
  from: Tensor;
  to: Tensor;
}
/** From plain to blocked. Padding channels and the halo become zeros. */
export function toBlocked(args: RelayoutArguments, share: i32, shares: i32): void {
  const from = args.from;
  const to = args.to;
  const units = to.n * to.blocks * to.d;
  const last = shareStart(units, share + 1, shares);
  for (let unit = shareStart(units, share, shares); unit < last; unit++) {
    const z = unit % to.d;
    const block = (unit / to.d) % to.blocks;
    const n = unit / (to.d * to.blocks);
    for (let y = 0; y < to.h; y++) {
      const out = blockedRow(to, n, block, z, y);
      for (let i = 0; i < 8; i++) {
        const channel = block * 8 + i;
        const at = out + (<usize>i << 2);
        if (channel < from.c) {
          const row = plainRow(from, n, channel, z, y);
          for (let x = 0; x < to.w; x++) store<f32>(at + <usize>x * VOXEL, load<f32>(row + (<usize>x << 2)));
        } else {
          for (let x = 0; x < to.w; x++) store<f32>(at + <usize>x * VOXEL, 0);
        }
      }
    }
    zeroHalo(to, n, block, z);
  }
}

/** From blocked to plain. */
export function toPlain(args: RelayoutArguments, share: i32, shares: i32): void {
  const from = args.from;
  const to = args.to;
  const units = to.n * to.c * to.d;
  const last = shareStart(units, share + 1, shares);
  for (let unit = shareStart(units, share, shares); unit < last; unit++) {
    const z = unit % to.d;
    const channel = (unit / to.d) % to.c;
    const n = unit / (to.d * to.c);
    for (let y = 0; y < to.h; y++) {
      const row = blockedRow(from, n, channel >> 3, z, y) + (<usize>(channel & 7) << 2);
      const out = plainRow(to, n, channel, z, y);
      for (let x = 0; x < to.w; x++) store<f32>(out + (<usize>x << 2), load<f32>(row + <usize>x * VOXEL));
    }
  }
}

@unmanaged
class TensorArguments {
  tensor: Tensor;
}
/** Everything of the tensor becomes zero, in either layout. */
export function zero(args: TensorArguments, share: i32, shares: i32): void {
  const t = args.tensor;
  const perSample = chunksOf(t);
  const last = shareStart(t.n * perSample, share + 1, shares);
  for (let unit = shareStart(t.n * perSample, share, shares); unit < last; unit++) {
    memory.fill(chunkAt(t, unit, perSample), 0, chunkBytes(t, unit, perSample));
  }
}

/** The halo of a blocked tensor becomes zeros; the rest stays. */
export function clearHalo(args: TensorArguments, share: i32, shares: i32): void {
  const t = args.tensor;
  const units = t.n * t.blocks * t.d;
  const last = shareStart(units, share + 1, shares);
  for (let unit = shareStart(units, share, shares); unit < last; unit++) zeroHalo(t, unit / (t.blocks * t.d), unit % t.blocks, (unit / t.blocks) % t.d);
}

/** The halo and the padding channels of a blocked tensor become zeros; the rest stays. */
export function clearPadding(args: TensorArguments, share: i32, shares: i32): void {
  const t = args.tensor;
  const units = t.n * t.blocks * t.d;
  const last = shareStart(units, share + 1, shares);
  for (let unit = shareStart(units, share, shares); unit < last; unit++) {
    const block = unit % t.blocks;
    const z = (unit / t.blocks) % t.d;
    const n = unit / (t.blocks * t.d);
    zeroHalo(t, n, block, z);
    const used = t.c - block * 8;
    if (used >= 8) continue;
    for (let y = 0; y < t.h; y++) {
      let at = blockedRow(t, n, block, z, y);
      for (let x = 0; x < t.w; x++) {
        memory.fill(at + (<usize>used << 2), 0, VOXEL - (<usize>used << 2));
        at += VOXEL;
      }
    }
  }
}

@unmanaged
class CopySamplesArguments {
  from: Tensor;
  to: Tensor;
  /** In bytes. */
  offset: usize;
}
/** Every sample of `from`, as it lies, to the same sample of `to` at an offset. One layout for both. */
export function copySamples(args: CopySamplesArguments, share: i32, shares: i32): void {
  const from = args.from;
  const to = args.to;
  const start = to.data + args.offset;
  const perSample = chunksOf(from);
  const last = shareStart(from.n * perSample, share + 1, shares);
  for (let unit = shareStart(from.n * perSample, share, shares); unit < last; unit++) {
    const at = start + <usize>(unit / perSample) * to.batchStride + (<usize>(unit % perSample) * <usize>CHUNK_FLOATS << 2);
    memory.copy(at, chunkAt(from, unit, perSample), chunkBytes(from, unit, perSample));
  }
}

@unmanaged
class CopyBoxArguments {
  from: Tensor;
  to: Tensor;
  /** The box's size. */
  n: i32;
  c: i32;
  d: i32;
  h: i32;
  w: i32;
  /** Where it starts in `from`. */
  fromN: i32;
  fromC: i32;
  fromD: i32;
  fromH: i32;
  fromW: i32;
  /** Where it starts in `to`. */
  toN: i32;
  toC: i32;
  toD: i32;
  toH: i32;
  toW: i32;
  /** Not 0: both are blocked and the box is of whole blocks, the channels beyond it being padding in both. */
  whole: i32;
}
/** Copies a box in any layouts; writes nothing beside it. */
export function copyBox(args: CopyBoxArguments, share: i32, shares: i32): void {
  const from = args.from;
  const to = args.to;
  const whole = args.whole;
  const depth = args.d;
  const height = args.h;
  const width = args.w;
  const channels = whole ? (args.c + 7) >> 3 : args.c;
  const units = args.n * channels * depth;
  const last = shareStart(units, share + 1, shares);
  for (let unit = shareStart(units, share, shares); unit < last; unit++) {
    const z = unit % depth;
    const channel = ((unit / depth) % channels) << (whole ? 3 : 0);
    const n = unit / (depth * channels);
    for (let y = 0; y < height; y++) {
      let left = channelRow(from, n + args.fromN, channel + args.fromC, z + args.fromD, y + args.fromH) + <usize>args.fromW * voxelStep(from);
      let right = channelRow(to, n + args.toN, channel + args.toC, z + args.toD, y + args.toH) + <usize>args.toW * voxelStep(to);
      if (whole || from.blocks + to.blocks == 0) {
        memory.copy(right, left, <usize>width * voxelStep(to));
      } else {
        for (let x = 0; x < width; x++) {
          store<f32>(right, load<f32>(left));
          left += voxelStep(from);
          right += voxelStep(to);
        }
      }
    }
  }
}
