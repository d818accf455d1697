/** From one layout to the other, copies of parts, and zeros. */
import { address, blockedRow, channelRow, plainRow, shareStart, tensor, VOXEL, voxelStep, word, zeroHalo } from "./common.as";
import { CHUNK, chunkAt, chunkBytes, chunksOf } from "./flat.as";

/** args: from plain, to blocked. Padding channels and the halo become zeros. */
export function toBlocked(args: usize, share: i32, shares: i32): void {
  const from = tensor(args, 0);
  const to = tensor(args, 1);
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

/** args: from blocked, to plain. */
export function toPlain(args: usize, share: i32, shares: i32): void {
  const from = tensor(args, 0);
  const to = tensor(args, 1);
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

/** args: tensor. Everything of it becomes zero, in either layout. */
export function zero(args: usize, share: i32, shares: i32): void {
  const t = tensor(args, 0);
  const perSample = chunksOf(t);
  const last = shareStart(t.n * perSample, share + 1, shares);
  for (let unit = shareStart(t.n * perSample, share, shares); unit < last; unit++) {
    memory.fill(chunkAt(t, unit, perSample), 0, chunkBytes(t, unit, perSample));
  }
}

/** args: blocked tensor. The halo becomes zeros; the rest stays. */
export function clearHalo(args: usize, share: i32, shares: i32): void {
  const t = tensor(args, 0);
  const units = t.n * t.blocks * t.d;
  const last = shareStart(units, share + 1, shares);
  for (let unit = shareStart(units, share, shares); unit < last; unit++) zeroHalo(t, unit / (t.d * t.blocks), (unit / t.d) % t.blocks, unit % t.d);
}

/** args: blocked tensor. The halo and the padding channels become zeros; the rest stays. */
export function clearPadding(args: usize, share: i32, shares: i32): void {
  const t = tensor(args, 0);
  const units = t.n * t.blocks * t.d;
  const last = shareStart(units, share + 1, shares);
  for (let unit = shareStart(units, share, shares); unit < last; unit++) {
    const z = unit % t.d;
    const block = (unit / t.d) % t.blocks;
    const n = unit / (t.d * t.blocks);
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

/** args: from, to, offset in bytes. Every sample of `from`, as it lies, to the same sample of `to` at an offset. One layout for both. */
export function copySamples(args: usize, share: i32, shares: i32): void {
  const from = tensor(args, 0);
  const to = tensor(args, 1);
  const start = to.data + address(args, 2);
  const perSample = chunksOf(from);
  const last = shareStart(from.n * perSample, share + 1, shares);
  for (let unit = shareStart(from.n * perSample, share, shares); unit < last; unit++) {
    const at = start + <usize>(unit / perSample) * to.batchStride + (<usize>(unit % perSample) * <usize>CHUNK << 2);
    memory.copy(at, chunkAt(from, unit, perSample), chunkBytes(from, unit, perSample));
  }
}

/**
 * args: from, to, the box's size (N, C, D, H, W), where it starts in `from`, where in `to`, whole. Copies a box in any layouts; writes nothing
 * beside it. whole: both are blocked and the box is of whole blocks, the channels beyond it being padding in both.
 */
export function copyBox(args: usize, share: i32, shares: i32): void {
  const from = tensor(args, 0);
  const to = tensor(args, 1);
  const whole = word(args, 17);
  const depth = word(args, 4);
  const height = word(args, 5);
  const width = word(args, 6);
  const channels = whole ? (word(args, 3) + 7) >> 3 : word(args, 3);
  const units = word(args, 2) * channels * depth;
  const last = shareStart(units, share + 1, shares);
  for (let unit = shareStart(units, share, shares); unit < last; unit++) {
    const z = unit % depth;
    const channel = ((unit / depth) % channels) << (whole ? 3 : 0);
    const n = unit / (depth * channels);
    for (let y = 0; y < height; y++) {
      let left = channelRow(from, n + word(args, 7), channel + word(args, 8), z + word(args, 9), y + word(args, 10)) + <usize>word(args, 11) * voxelStep(from);
      let right = channelRow(to, n + word(args, 12), channel + word(args, 13), z + word(args, 14), y + word(args, 15)) + <usize>word(args, 16) * voxelStep(to);
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
