/**
 * Trilinear up-sampling by 2 (align_corners) and its adjoint, a row of the result at a time: first the rows that it reads are added,
 * weighted in z and y, into one line that stays in the first-level cache; then the line is interpolated (or gathered) in x.
 *
 * Along an axis of n voxels result j lies at j (n - 1) / (2n - 1): kept as whole numbers, so that weights have one rounding.
 */
import { blockedRow, fma, plainRow, shareStart, Tensor, threadScratch, VOXEL, zeroHalo } from "../../backends/cpu/common.as";
import { TABLE_BYTES } from "./constants";

@inline
function rowOf(t: Tensor, n: i32, group: i32, z: i32, y: i32): usize {
  return t.blocks ? blockedRow(t, n, group, z, y) : plainRow(t, n, group, z, y);
}

/** line = sum of weight x row over the table's rows, for a number of floats. */
function addRows(table: usize, rows: i32, floats: i32, line: usize): void {
  const end = table + (<usize>rows << 3);
  const bytes = <usize>floats << 2;
  let at: usize = 0;
  for (; at + 32 <= bytes; at += 32) {
    let low = f32x4.splat(0);
    let high = f32x4.splat(0);
    for (let entry = table; entry < end; entry += 8) {
      const row = <usize>load<u32>(entry) + at;
      const weight = v128.load32_splat(entry, 4);
      low = fma(v128.load(row), weight, low);
      high = fma(v128.load(row, 16), weight, high);
    }
    v128.store(line + at, low);
    v128.store(line + at, high, 16);
  }
  for (; at < bytes; at += 4) {
    let sum: f32 = 0;
    for (let entry = table; entry < end; entry += 8) sum += load<f32>(<usize>load<u32>(entry) + at) * load<f32>(entry, 4);
    store<f32>(line + at, sum);
  }
}

/** The same of four rows. */
function addFourRows(table: usize, floats: i32, line: usize): void {
  const a = <usize>load<u32>(table);
  const b = <usize>load<u32>(table, 8);
  const c = <usize>load<u32>(table, 16);
  const d = <usize>load<u32>(table, 24);
  const weightA = v128.load32_splat(table, 4);
  const weightB = v128.load32_splat(table, 12);
  const weightC = v128.load32_splat(table, 20);
  const weightD = v128.load32_splat(table, 28);
  const bytes = <usize>floats << 2;
  let at: usize = 0;
  for (; at + 16 <= bytes; at += 16) {
    const upper = fma(v128.load(b + at), weightB, f32x4.mul(v128.load(a + at), weightA));
    v128.store(line + at, fma(v128.load(d + at), weightD, fma(v128.load(c + at), weightC, upper)));
  }
  for (; at < bytes; at += 4) {
    let sum: f32 = 0;
    for (let entry = table; entry < table + 32; entry += 8) sum += load<f32>(<usize>load<u32>(entry) + at) * load<f32>(entry, 4);
    store<f32>(line + at, sum);
  }
}

/** How far result j is past the voxel below it, along an axis of n voxels. */
@inline
function fraction(j: i32, n: i32): f32 {
  const divider = 2 * n - 1;
  return <f32>((j * (n - 1)) % divider) / <f32>divider;
}
@inline
function below(j: i32, n: i32): i32 {
  return (j * (n - 1)) / (2 * n - 1);
}

@unmanaged
class UpsampleArguments {
  x: Tensor;
  y: Tensor;
}
/** Both blocked or both plain. */
export function upsample(args: UpsampleArguments, share: i32, shares: i32): void {
  const x = args.x;
  const y = args.y;
  const groups = y.blocks ? y.blocks : y.c;
  const table = threadScratch;
  const line = threadScratch + TABLE_BYTES;
  const floats = y.blocks ? x.w * 8 : x.w;
  const units = y.n * groups * y.d;
  const last = shareStart(units, share + 1, shares);
  for (let unit = shareStart(units, share, shares); unit < last; unit++) {
    const group = unit % groups;
    const z = (unit / groups) % y.d;
    const n = unit / (y.d * groups);
    const lowZ = below(z, x.d);
    const onZ = fraction(z, x.d);
    for (let h = 0; h < y.h; h++) {
      const lowY = below(h, x.h);
      const onY = fraction(h, x.h);
      let entry = table;
      for (let k = 0; k < 4; k++) {
        const i = k >> 1;
        const j = k & 1;
        const weight = (i ? onZ : <f32>1 - onZ) * (j ? onY : <f32>1 - onY);
        store<u32>(entry, <u32>rowOf(x, n, group, min(lowZ + i, x.d - 1), min(lowY + j, x.h - 1)));
        store<f32>(entry, weight, 4);
        entry += 8;
      }
      addFourRows(table, floats, line);
      if (y.blocks) interpolateBlocked(line, blockedRow(y, n, group, z, h), x.w);
      else interpolatePlain(line, plainRow(y, n, group, z, h), x.w);
    }
    if (y.blocks) zeroHalo(y, n, group, z);
  }
}

/** `width` voxels of a line to twice as many. */
function interpolateBlocked(line: usize, to: usize, width: i32): void {
  const divider = 2 * width - 1;
  const step = <f32>1 / <f32>divider;
  const end = line + <usize>(width - 1) * VOXEL;
  let next = min(line + VOXEL, end);
  let from0 = v128.load(line);
  let from1 = v128.load(line, 16);
  let slope0 = f32x4.sub(v128.load(next), from0);
  let slope1 = f32x4.sub(v128.load(next, 16), from1);
  let past = 0;
  for (let j = 0; j < 2 * width; j++) {
    const share = f32x4.splat(<f32>past * step);
    v128.store(to, fma(slope0, share, from0));
    v128.store(to, fma(slope1, share, from1), 16);
    to += VOXEL;
    past += width - 1;
    if (past >= divider) {
      past -= divider;
      from0 = v128.load(next);
      from1 = v128.load(next, 16);
      next = min(next + VOXEL, end);
      slope0 = f32x4.sub(v128.load(next), from0);
      slope1 = f32x4.sub(v128.load(next, 16), from1);
    }
  }
}

function interpolatePlain(line: usize, to: usize, width: i32): void {
  for (let j = 0; j < 2 * width; j++) {
    const low = below(j, width);
    const weight = fraction(j, width);
    const next = min(low + 1, width - 1);
    const value = (<f32>1 - weight) * load<f32>(line + (<usize>low << 2)) + weight * load<f32>(line + (<usize>next << 2));
    store<f32>(to + (<usize>j << 2), value);
  }
}

/** The first result that reads voxel i of an axis of n: j (n - 1) > (i - 1) (2n - 1). */
@inline
function firstReader(i: i32, n: i32): i32 {
  return i == 0 ? 0 : ((i - 1) * (2 * n - 1)) / (n - 1) + 1;
}
/** The weight with which result j reads voxel i; not positive: it does not. */
@inline
function readWeight(j: i32, i: i32, n: i32): f32 {
  const divider = 2 * n - 1;
  return j < 2 * n ? <f32>(divider - abs(j * (n - 1) - i * divider)) / <f32>divider : 0;
}

@unmanaged
class UpsampleGradientArguments {
  dy: Tensor;
  dx: Tensor;
}
/** Both blocked or both plain. */
export function upsampleGradient(args: UpsampleGradientArguments, share: i32, shares: i32): void {
  const dy = args.dy;
  const dx = args.dx;
  const groups = dx.blocks ? dx.blocks : dx.c;
  const table = threadScratch;
  const line = threadScratch + TABLE_BYTES;
  const floats = dx.blocks ? dy.w * 8 : dy.w;
  const units = dx.n * groups * dx.d;
  const last = shareStart(units, share + 1, shares);
  for (let unit = shareStart(units, share, shares); unit < last; unit++) {
    const group = unit % groups;
    const z = (unit / groups) % dx.d;
    const n = unit / (dx.d * groups);
    const firstZ = firstReader(z, dx.d);
    for (let h = 0; h < dx.h; h++) {
      const firstY = firstReader(h, dx.h);
      let rows = 0;
      for (let i = firstZ; ; i++) {
        const onZ = readWeight(i, z, dx.d);
        if (onZ <= 0) break;
        for (let j = firstY; ; j++) {
          const onY = readWeight(j, h, dx.h);
          if (onY <= 0) break;
          const entry = table + (<usize>rows << 3);
          store<u32>(entry, <u32>rowOf(dy, n, group, i, j));
          store<f32>(entry, onZ * onY, 4);
          rows++;
        }
      }
      addRows(table, rows, floats, line);
      if (dx.blocks) gatherBlocked(line, blockedRow(dx, n, group, z, h), dx.w);
      else gatherPlain(line, plainRow(dx, n, group, z, h), dx.w);
    }
    if (dx.blocks) zeroHalo(dx, n, group, z);
  }
}

/** A line of 2 x `width` voxels to `width`: each takes what it gave. */
function gatherBlocked(line: usize, to: usize, width: i32): void {
  let first = 0;
  for (let i = 0; i < width; i++) {
    while (readWeight(first, i, width) <= 0) first++;
    let low = f32x4.splat(0);
    let high = f32x4.splat(0);
    for (let j = first; ; j++) {
      const weight = readWeight(j, i, width);
      if (weight <= 0) break;
      const from = line + <usize>j * VOXEL;
      low = fma(v128.load(from), f32x4.splat(weight), low);
      high = fma(v128.load(from, 16), f32x4.splat(weight), high);
    }
    v128.store(to, low);
    v128.store(to, high, 16);
    to += VOXEL;
  }
}

function gatherPlain(line: usize, to: usize, width: i32): void {
  for (let i = 0; i < width; i++) {
    let sum: f32 = 0;
    for (let j = firstReader(i, width); ; j++) {
      const weight = readWeight(j, i, width);
      if (weight <= 0) break;
      sum += weight * load<f32>(line + (<usize>j << 2));
    }
    store<f32>(to + (<usize>i << 2), sum);
  }
}
