/**
 * What every kernel shares: the tensor descriptor, addresses in the two layouts, the split of work, fused multiply-add.
 *
 * Layouts. Plain: dense (N, C, D, H, W). Blocked: channels in blocks of 8, channels last inside a block, one voxel of stored zeros
 * around every block's volume: (N, blocks, D + 2, H + 2, W + 2, 8). So a 3x3x3 kernel needs no border cases and three neighbouring
 * voxels' eight channels are 24 floats in a row. Who writes a blocked tensor writes its halo (`zeroHalo`) and zeros in padding channels.
 *
 * A kernel is `export function name(args: NameArguments, share: i32, shares: i32): void`. Its arguments are an unmanaged class of 32-bit fields
 * (Tensor, Address, usize, i32, f32), which the lowering fills by their names: scripts/kernel-interface.mjs reads the classes and writes
 * kernel-interface.ts. `share` of `shares` says which of its parts is asked for. Work is split by units whose number depends on shapes alone,
 * and every sum is taken in an order that does too: the same bits whatever the shares and whoever computes them.
 * Where a unit is a plane of a block, units go by sample, then plane, then block: a thread's range is the same part of a volume in one kernel as in the
 * next, and lies in its caches. (Not where what a block needs weighs more than its planes: the direct convolution.) Kernels hold no static data,
 * since the memory belongs to the session; its first page is the module's, for the tables of Math.exp and the like, which are the same in every thread.
 */

import { VOXEL_BYTES } from "./constants";

/** Where a piece of the session's memory begins, as an argument of a kernel: a `Place` of the lowering. */
export type Address = usize;
/** The same, or 0: there is none. */
export type OptionalAddress = usize;

/** A tensor of up to five axes, as compile.ts writes it (`STRUCTURES.Tensor`). Missing axes are 1. */
@unmanaged
export class Tensor {
  data: usize;
  n: i32;
  c: i32;
  d: i32;
  h: i32;
  w: i32;
  /** Bytes from one sample to the next (a slice keeps its root's). */
  batchStride: usize;
  /** Channel blocks, or 0 for the plain layout. */
  blocks: i32;
}

/** Bytes of one voxel of a block, as a distance between addresses. */
export const VOXEL: usize = VOXEL_BYTES;

@inline
export function rowPitch(t: Tensor): usize {
  return (<usize>t.w + 2) * VOXEL;
}
@inline
export function planePitch(t: Tensor): usize {
  return (<usize>t.h + 2) * rowPitch(t);
}
@inline
export function blockPitch(t: Tensor): usize {
  return (<usize>t.d + 2) * planePitch(t);
}
/** Address of voxel (z, y, 0) of a block of a sample, blocked layout; coordinates may be -1. */
@inline
export function blockedRow(t: Tensor, n: i32, block: i32, z: i32, y: i32): usize {
  return t.data + <usize>n * t.batchStride + <usize>block * blockPitch(t) + <usize>(z + 1) * planePitch(t) + <usize>(y + 1) * rowPitch(t) + VOXEL;
}
/** Address of voxel (z, y, 0) of a channel of a sample, plain layout. */
@inline
export function plainRow(t: Tensor, n: i32, channel: i32, z: i32, y: i32): usize {
  return t.data + <usize>n * t.batchStride + (((<usize>channel * <usize>t.d + <usize>z) * <usize>t.h + <usize>y) * <usize>t.w << 2);
}

/** Address of voxel (z, y, 0) of a channel in either layout; the next voxel of the row is `voxelStep` bytes on. */
@inline
export function channelRow(t: Tensor, n: i32, channel: i32, z: i32, y: i32): usize {
  return t.blocks ? blockedRow(t, n, channel >> 3, z, y) + (<usize>(channel & 7) << 2) : plainRow(t, n, channel, z, y);
}
@inline
export function voxelStep(t: Tensor): usize {
  return t.blocks ? VOXEL : 4;
}

/** Writes the addresses of row (z, y) of every channel to `table`, for work that goes through the channels at each voxel. */
export function channelRows(t: Tensor, n: i32, z: i32, y: i32, table: usize): void {
  for (let c = 0; c < t.c; c++) store<u32>(table + (<usize>c << 2), <u32>channelRow(t, n, c, z, y));
}
/** Address of the voxel `offset` bytes into a channel's row. */
@inline
export function inRow(table: usize, channel: i32, offset: usize): usize {
  return <usize>load<u32>(table + (<usize>channel << 2)) + offset;
}

/** Writes the zeros around plane z of a block: its own border, and for the first and last plane the plane outside. */
export function zeroHalo(t: Tensor, n: i32, block: i32, z: i32): void {
  const row = rowPitch(t);
  const plane = planePitch(t);
  const start = blockedRow(t, n, block, z, -1) - VOXEL;
  memory.fill(start, 0, row);
  memory.fill(start + plane - row, 0, row);
  let at = start + row;
  const zero = f32x4.splat(0);
  for (let y = 0; y < t.h; y++) {
    v128.store(at, zero);
    v128.store(at, zero, 16);
    v128.store(at + row - VOXEL, zero);
    v128.store(at + row - VOXEL, zero, 16);
    at += row;
  }
  if (z == 0) memory.fill(start - plane, 0, plane);
  if (z == t.d - 1) memory.fill(start + plane, 0, plane);
}

/** First unit of a share of `total` units; a share ends where the next begins. */
@inline
export function shareStart(total: i32, share: i32, shares: i32): i32 {
  return <i32>((<i64>total * <i64>share) / <i64>shares);
}

/** a * b + c: one rounding in the relaxed build, two in the portable one. */
@inline
export function fma(a: v128, b: v128, c: v128): v128 {
  if (ASC_FEATURE_RELAXED_SIMD) return f32x4.relaxed_madd(a, b, c);
  return f32x4.add(f32x4.mul(a, b), c);
}

/** Four floats of each of four rows, `fromStep` bytes apart, to columns: the four rows' first, second, third, fourth, `toStep` bytes apart. */
@inline
export function transpose(from: usize, fromStep: usize, to: usize, toStep: usize): void {
  const a = v128.load(from);
  const b = v128.load(from + fromStep);
  const c = v128.load(from + 2 * fromStep);
  const d = v128.load(from + 3 * fromStep);
  const ab = v128.shuffle<f32>(a, b, 0, 4, 1, 5);
  const cd = v128.shuffle<f32>(c, d, 0, 4, 1, 5);
  const ef = v128.shuffle<f32>(a, b, 2, 6, 3, 7);
  const gh = v128.shuffle<f32>(c, d, 2, 6, 3, 7);
  v128.store(to, v128.shuffle<f64>(ab, cd, 0, 2));
  v128.store(to + toStep, v128.shuffle<f64>(ab, cd, 1, 3));
  v128.store(to + 2 * toStep, v128.shuffle<f64>(ef, gh, 0, 2));
  v128.store(to + 3 * toStep, v128.shuffle<f64>(ef, gh, 1, 3));
}

/** Which thread this is, and scratch of its own for a kernel's inner buffers. */
export let threadIndex: i32 = 0;
export let threadScratch: usize = 0;
export function setThread(index: i32, scratch: usize): void {
  threadIndex = index;
  threadScratch = scratch;
}
