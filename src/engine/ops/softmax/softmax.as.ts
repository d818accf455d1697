/**
 * Softmax over the channels, for four voxels of a row at a time: in blocks, where four channels of a voxel lie side by side, they are transposed. A
 * voxel's channels are always added in the same order. The exponential is single precision's: range reduction and a polynomial, within 2 ulp of exp.
 */
import { blockedRow, blockPitch, fma, plainRow, shareStart, Tensor, threadScratch, transpose, VOXEL, zeroHalo } from "../../backends/cpu/common.as";

/** exp(x) of x <= 0; 0 below -87, where the result would leave the normal numbers; not a number where x is none. */
@inline
function exponential(x: v128): v128 {
  const within = f32x4.max(x, f32x4.splat(-87));
  // x = n ln 2 + r. Adding 1.5 x 2^23 rounds to the whole number n, which then stands in the lowest bits
  const shifted = fma(within, f32x4.splat(1.44269504088896341), f32x4.splat(12582912));
  const n = f32x4.sub(shifted, f32x4.splat(12582912));
  // ln 2 as a short number, whose multiples are exact, and the rest
  const r = fma(n, f32x4.splat(2.12194440e-4), fma(n, f32x4.splat(-0.693359375), within));
  // 1 + r + r^2 p(r): coefficients of Cephes' expf
  let p = fma(f32x4.splat(1.9875691500e-4), r, f32x4.splat(1.3981999507e-3));
  p = fma(p, r, f32x4.splat(8.3334519073e-3));
  p = fma(p, r, f32x4.splat(4.1665795894e-2));
  p = fma(p, r, f32x4.splat(1.6666665459e-1));
  p = fma(p, r, f32x4.splat(5.0000001201e-1));
  const power = f32x4.add(fma(f32x4.mul(r, r), p, r), f32x4.splat(1));
  const two = i32x4.add(i32x4.shl(shifted, 23), i32x4.splat(127 << 23));
  return v128.andnot(f32x4.mul(power, two), f32x4.lt(x, f32x4.splat(-87)));
}

/** All lanes: the sum of the four. */
@inline
function laneSum(v: v128): v128 {
  const pairs = f32x4.add(v, i64x2.shuffle(v, v, 1, 0));
  return f32x4.add(pairs, i32x4.shuffle(pairs, pairs, 1, 0, 3, 2));
}

/** Ones in the first lanes, as many as channels exist. */
@inline
function existing(channels: i32): v128 {
  return i32x4.lt_s(i32x4(0, 1, 2, 3), i32x4.splat(channels));
}
/** Where four channels of a voxel lie, from its first. */
@inline
function placeOf(four: i32, pitch: usize): usize {
  return <usize>(four >> 1) * pitch + (<usize>(four & 1) << 4);
}

/** Four floats of a row of which `count` remain; zeros beyond them. */
@inline
function loadSome(at: usize, count: i32): v128 {
  if (count >= 4) return v128.load(at);
  let v = f32x4.splat(load<f32>(at));
  if (count > 1) v = f32x4.replace_lane(v, 1, load<f32>(at, 4));
  if (count > 2) v = f32x4.replace_lane(v, 2, load<f32>(at, 8));
  return v;
}
@inline
function storeSome(at: usize, v: v128, count: i32): void {
  if (count >= 4) {
    v128.store(at, v);
    return;
  }
  store<f32>(at, f32x4.extract_lane(v, 0));
  if (count > 1) store<f32>(at, f32x4.extract_lane(v, 1), 4);
  if (count > 2) store<f32>(at, f32x4.extract_lane(v, 2), 8);
}

@unmanaged
class SoftmaxArguments {
  x: Tensor;
  out: Tensor;
}
/** Both in one layout. The result may have a channel more than x: then the first is of a logit of 0 that is not stored. */
export function softmax(args: SoftmaxArguments, share: i32, shares: i32): void {
  const out = args.out;
  const units = out.n * out.d;
  const last = shareStart(units, share + 1, shares);
  for (let unit = shareStart(units, share, shares); unit < last; unit++) {
    if (out.blocks) softmaxOfBlocks(args.x, out, unit / out.d, unit % out.d);
    else softmaxOfRows(args.x, out, unit / out.d, unit % out.d);
  }
}

/** A row's channels stand apart from one another in scratch, in lines of whole eights of voxels. */
function softmaxOfBlocks(x: Tensor, out: Tensor, n: i32, z: i32): void {
  const pitch = blockPitch(x);
  const bytes = <usize>((out.w + 7) & ~7) << 2;
  const lines = threadScratch;
  const first = lines + <usize>(out.c - x.c) * bytes;
  const end = lines + <usize>out.c * bytes;
  for (let y = 0; y < out.h; y++) {
    const from = blockedRow(x, n, 0, z, y);
    for (let i = 0; 4 * i < x.c; i++) {
      const line = first + <usize>(4 * i) * bytes;
      let at = from + placeOf(i, pitch);
      // behind the row stands something, if not of this row
      for (let v: usize = 0; v < bytes; v += 16) {
        transpose(at, VOXEL, line + v, bytes);
        at += 4 * VOXEL;
      }
    }
    if (first != lines) memory.fill(lines, 0, bytes);
    for (let v: usize = 0; v < bytes; v += 32) softmaxOfEight(lines + v, end + v, bytes);
    linesToBlocks(lines, bytes, out, n, z, y);
  }
  for (let block = 0; block < out.blocks; block++) zeroHalo(out, n, block, z);
}

/** In place, of eight voxels, whose channels are `bytes` bytes apart. Both fours side by side, so that engines can join them. */
function softmaxOfEight(lines: usize, end: usize, bytes: usize): void {
  let greatest = v128.load(lines);
  let greatestHigh = v128.load(lines, 16);
  for (let at = lines + bytes; at < end; at += bytes) {
    greatest = f32x4.max(greatest, v128.load(at));
    greatestHigh = f32x4.max(greatestHigh, v128.load(at, 16));
  }
  let sum = f32x4.splat(0);
  let sumHigh = f32x4.splat(0);
  for (let at = lines; at < end; at += bytes) {
    const power = exponential(f32x4.sub(v128.load(at), greatest));
    const powerHigh = exponential(f32x4.sub(v128.load(at, 16), greatestHigh));
    v128.store(at, power);
    v128.store(at, powerHigh, 16);
    sum = f32x4.add(sum, power);
    sumHigh = f32x4.add(sumHigh, powerHigh);
  }
  const share = f32x4.div(f32x4.splat(1), sum);
  const shareHigh = f32x4.div(f32x4.splat(1), sumHigh);
  for (let at = lines; at < end; at += bytes) {
    const value = f32x4.mul(v128.load(at), share);
    const valueHigh = f32x4.mul(v128.load(at, 16), shareHigh);
    v128.store(at, value);
    v128.store(at, valueHigh, 16);
  }
}

/** Lines of a row's channels to its blocks, zeros for channels beyond. */
function linesToBlocks(lines: usize, bytes: usize, out: Tensor, n: i32, z: i32, y: i32): void {
  const pitch = blockPitch(out);
  const channels = out.blocks << 3;
  memory.fill(lines + <usize>out.c * bytes, 0, <usize>(channels - out.c) * bytes);
  const some = lines + <usize>channels * bytes;
  const to = blockedRow(out, n, 0, z, y);
  for (let i = 0; i < 2 * out.blocks; i++) {
    let line = lines + <usize>(4 * i) * bytes;
    let at = to + placeOf(i, pitch);
    let w = 0;
    for (; w + 4 <= out.w; w += 4) {
      transpose(line, bytes, at, VOXEL);
      line += 16;
      at += 4 * VOXEL;
    }
    if (w < out.w) transpose(line, bytes, some, 16);
    for (let from = some; w < out.w; w++) {
      v128.store(at, v128.load(from));
      from += 16;
      at += VOXEL;
    }
  }
}

function softmaxOfRows(x: Tensor, out: Tensor, n: i32, z: i32): void {
  const pitch = (<usize>out.d * <usize>out.h * <usize>out.w) << 2;
  const from = plainRow(x, n, 0, z, 0);
  const to = plainRow(out, n, 0, z, 0);
  const voxels = out.h * out.w;
  const first = out.c - x.c;
  for (let v = 0; v < voxels; v += 4) {
    const rest = voxels - v;
    const at = <usize>v << 2;
    let greatest = f32x4.splat(first ? 0 : -Infinity);
    for (let c = 0; c < x.c; c++) greatest = f32x4.max(greatest, loadSome(from + at + <usize>c * pitch, rest));
    let sum = f32x4.splat(0);
    for (let c = 0; c < out.c; c++) {
      const logit = c < first ? f32x4.splat(0) : loadSome(from + at + <usize>(c - first) * pitch, rest);
      const power = exponential(f32x4.sub(logit, greatest));
      storeSome(to + at + <usize>c * pitch, power, rest);
      sum = f32x4.add(sum, power);
    }
    const share = f32x4.div(f32x4.splat(1), sum);
    for (let c = 0; c < out.c; c++) {
      const place = to + at + <usize>c * pitch;
      storeSome(place, f32x4.mul(loadSome(place, rest), share), rest);
    }
  }
}

@unmanaged
class SoftmaxGradientArguments {
  y: Tensor;
  dy: Tensor;
  out: Tensor;
}
/** All in one layout. */
export function softmaxGradient(args: SoftmaxGradientArguments, share: i32, shares: i32): void {
  const out = args.out;
  const units = out.n * out.d;
  const last = shareStart(units, share + 1, shares);
  for (let unit = shareStart(units, share, shares); unit < last; unit++) {
    if (out.blocks) gradientOfBlocks(args.y, args.dy, out, unit / out.d, unit % out.d);
    else gradientOfRows(args.y, args.dy, out, unit / out.d, unit % out.d);
  }
}

function gradientOfBlocks(result: Tensor, dOut: Tensor, out: Tensor, n: i32, z: i32): void {
  const pitch = blockPitch(out);
  const last = (out.c - 1) >> 2;
  const exists = existing(out.c - (last << 2));
  for (let y = 0; y < out.h; y++) {
    let left = blockedRow(result, n, 0, z, y);
    let right = blockedRow(dOut, n, 0, z, y);
    let to = blockedRow(out, n, 0, z, y);
    for (let w = 0; w < out.w; w++) {
      let inner = f32x4.splat(0);
      for (let i = 0; i <= last; i++) {
        const at = placeOf(i, pitch);
        inner = fma(v128.load(left + at), v128.load(right + at), inner);
      }
      inner = laneSum(inner);
      for (let i = 0; i <= last; i++) {
        const at = placeOf(i, pitch);
        const slope = f32x4.mul(v128.load(left + at), f32x4.sub(v128.load(right + at), inner));
        v128.store(to + at, i < last ? slope : v128.and(slope, exists));
      }
      if (!(last & 1)) v128.store(to + placeOf(last, pitch), f32x4.splat(0), 16);
      left += VOXEL;
      right += VOXEL;
      to += VOXEL;
    }
  }
  for (let block = 0; block < out.blocks; block++) zeroHalo(out, n, block, z);
}

function gradientOfRows(result: Tensor, dOut: Tensor, out: Tensor, n: i32, z: i32): void {
  const pitch = (<usize>out.d * <usize>out.h * <usize>out.w) << 2;
  const left = plainRow(result, n, 0, z, 0);
  const right = plainRow(dOut, n, 0, z, 0);
  const to = plainRow(out, n, 0, z, 0);
  const voxels = out.h * out.w;
  for (let v = 0; v < voxels; v += 4) {
    const rest = voxels - v;
    let inner = f32x4.splat(0);
    for (let c = 0; c < out.c; c++) {
      const at = (<usize>v << 2) + <usize>c * pitch;
      inner = fma(loadSome(left + at, rest), loadSome(right + at, rest), inner);
    }
    for (let c = 0; c < out.c; c++) {
      const at = (<usize>v << 2) + <usize>c * pitch;
      const slope = f32x4.mul(loadSome(left + at, rest), f32x4.sub(loadSome(right + at, rest), inner));
      storeSome(to + at, slope, rest);
    }
  }
}
