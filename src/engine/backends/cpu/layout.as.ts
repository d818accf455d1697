/** From one layout to the other, and copies. */
import { blockedRow, plainRow, shareStart, tensor, VOXEL, zeroHalo } from "./common.as";

/** args: from plain, to blocked. Padding channels and the halo become zeros. */
export function toBlocked(args: usize, thread: i32, threads: i32): void {
  const from = tensor(args, 0);
  const to = tensor(args, 1);
  const units = to.n * to.blocks * to.d;
  const last = shareStart(units, thread + 1, threads);
  for (let unit = shareStart(units, thread, threads); unit < last; unit++) {
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
export function toPlain(args: usize, thread: i32, threads: i32): void {
  const from = tensor(args, 0);
  const to = tensor(args, 1);
  const units = to.n * to.c * to.d;
  const last = shareStart(units, thread + 1, threads);
  for (let unit = shareStart(units, thread, threads); unit < last; unit++) {
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
