/**
 * Max-pooling by 2 and its gradient. A voxel of a window replaces the greatest so far only if it is greater, in (z, y, x) order: so the
 * first of equal voxels wins, and what a NaN does is what the reference does. Blocked: four channels at once; plain: one by one.
 */
import { blockedRow, plainRow, planePitch, rowPitch, shareStart, Tensor, VOXEL, zeroHalo } from "../../backends/cpu/common.as";

@unmanaged
class MaxPoolArguments {
  x: Tensor;
  y: Tensor;
}
/** Both blocked or both plain. */
export function maxPool(args: MaxPoolArguments, share: i32, shares: i32): void {
  const x = args.x;
  const y = args.y;
  const groups = y.blocks ? y.blocks : y.c;
  const units = y.n * groups * y.d;
  const last = shareStart(units, share + 1, shares);
  for (let unit = shareStart(units, share, shares); unit < last; unit++) {
    const group = unit % groups;
    const z = (unit / groups) % y.d;
    const n = unit / (y.d * groups);
    for (let h = 0; h < y.h; h++) {
      if (y.blocks) poolBlockedRow(blockedRow(x, n, group, 2 * z, 2 * h), rowPitch(x), planePitch(x), blockedRow(y, n, group, z, h), y.w);
      else poolPlainRow(plainRow(x, n, group, 2 * z, 2 * h), <usize>x.w << 2, <usize>(x.h * x.w) << 2, plainRow(y, n, group, z, h), y.w);
    }
    if (y.blocks) zeroHalo(y, n, group, z);
  }
}

function poolBlockedRow(from: usize, row: usize, plane: usize, to: usize, width: i32): void {
  for (let i = 0; i < width; i++) {
    for (let half: usize = 0; half < 32; half += 16) {
      const at = from + half;
      let greatest = v128.load(at);
      greatest = f32x4.pmax(greatest, v128.load(at, 32));
      greatest = f32x4.pmax(greatest, v128.load(at + row));
      greatest = f32x4.pmax(greatest, v128.load(at + row, 32));
      greatest = f32x4.pmax(greatest, v128.load(at + plane));
      greatest = f32x4.pmax(greatest, v128.load(at + plane, 32));
      greatest = f32x4.pmax(greatest, v128.load(at + plane + row));
      greatest = f32x4.pmax(greatest, v128.load(at + plane + row, 32));
      v128.store(to + half, greatest);
    }
    from += 2 * VOXEL;
    to += VOXEL;
  }
}

/** Address of the first greatest voxel of the plain window that starts at `from`. */
@inline
function greatestAt(from: usize, row: usize, plane: usize): usize {
  let greatest = from;
  for (let k = 1; k < 8; k++) {
    const at = from + <usize>(k >> 2) * plane + <usize>((k >> 1) & 1) * row + (<usize>(k & 1) << 2);
    if (load<f32>(at) > load<f32>(greatest)) greatest = at;
  }
  return greatest;
}

function poolPlainRow(from: usize, row: usize, plane: usize, to: usize, width: i32): void {
  for (let i = 0; i < width; i++) {
    store<f32>(to + (<usize>i << 2), load<f32>(greatestAt(from + (<usize>i << 3), row, plane)));
  }
}

@unmanaged
class MaxPoolGradientArguments {
  x: Tensor;
  dy: Tensor;
  dx: Tensor;
}
/** All blocked or all plain. A unit is two planes of dx, or a last odd one, which is zeros. */
export function maxPoolGradient(args: MaxPoolGradientArguments, share: i32, shares: i32): void {
  const x = args.x;
  const dy = args.dy;
  const dx = args.dx;
  const groups = dx.blocks ? dx.blocks : dx.c;
  const pairs = (dx.d + 1) >> 1;
  const units = dx.n * groups * pairs;
  const last = shareStart(units, share + 1, shares);
  for (let unit = shareStart(units, share, shares); unit < last; unit++) {
    const z = unit % pairs;
    const group = (unit / pairs) % groups;
    const n = unit / (pairs * groups);
    clearPlane(dx, n, group, 2 * z);
    if (z == dy.d) continue;
    clearPlane(dx, n, group, 2 * z + 1);
    for (let h = 0; h < dy.h; h++) {
      if (dx.blocks) {
        const from = blockedRow(x, n, group, 2 * z, 2 * h);
        const to = blockedRow(dx, n, group, 2 * z, 2 * h);
        spreadBlockedRow(from, to, rowPitch(x), planePitch(x), blockedRow(dy, n, group, z, h), dy.w);
      } else {
        const from = plainRow(x, n, group, 2 * z, 2 * h);
        const to = plainRow(dx, n, group, 2 * z, 2 * h);
        spreadPlainRow(from, to, <usize>x.w << 2, <usize>(x.h * x.w) << 2, plainRow(dy, n, group, z, h), dy.w);
      }
    }
  }
}

/** Zeros where no window writes: the halo, and the whole plane if a row or a column of it, or it itself, is a last odd one. */
function clearPlane(t: Tensor, n: i32, group: i32, z: i32): void {
  const covered = ((t.h | t.w) & 1) == 0 && (z | 1) < t.d;
  if (t.blocks && covered) {
    zeroHalo(t, n, group, z);
    return;
  }
  if (!t.blocks) {
    memory.fill(plainRow(t, n, group, z, 0), 0, <usize>(t.h * t.w) << 2);
    return;
  }
  const plane = planePitch(t);
  memory.fill(blockedRow(t, n, group, z, -1) - VOXEL, 0, plane);
  if (z == 0) memory.fill(blockedRow(t, n, group, -1, -1) - VOXEL, 0, plane);
  if (z == t.d - 1) memory.fill(blockedRow(t, n, group, t.d, -1) - VOXEL, 0, plane);
}

/** One voxel of a window: keeps the greatest value and its number where `at` holds a greater one. */
@inline
function numberOfGreater(value: v128, greatest: v128, numbers: v128, k: i32): v128 {
  return v128.bitselect(i32x4.splat(k), numbers, f32x4.gt(value, greatest));
}

function spreadBlockedRow(from: usize, to: usize, row: usize, plane: usize, gradient: usize, width: i32): void {
  for (let i = 0; i < width; i++) {
    for (let half: usize = 0; half < 32; half += 16) {
      const at = from + half;
      let greatest = v128.load(at);
      let numbers = i32x4.splat(0);
      for (let k = 1; k < 8; k++) {
        const value = v128.load(at + <usize>(k >> 2) * plane + <usize>((k >> 1) & 1) * row + <usize>(k & 1) * VOXEL);
        numbers = numberOfGreater(value, greatest, numbers, k);
        greatest = f32x4.pmax(greatest, value);
      }
      const dy = v128.load(gradient + half);
      for (let k = 0; k < 8; k++) {
        const out = to + half + <usize>(k >> 2) * plane + <usize>((k >> 1) & 1) * row + <usize>(k & 1) * VOXEL;
        v128.store(out, v128.and(dy, i32x4.eq(numbers, i32x4.splat(k))));
      }
    }
    from += 2 * VOXEL;
    to += 2 * VOXEL;
    gradient += VOXEL;
  }
}

function spreadPlainRow(from: usize, to: usize, row: usize, plane: usize, gradient: usize, width: i32): void {
  for (let i = 0; i < width; i++) {
    const greatest = greatestAt(from + (<usize>i << 3), row, plane);
    store<f32>(to + (greatest - from), load<f32>(gradient + (<usize>i << 2)));
  }
}
