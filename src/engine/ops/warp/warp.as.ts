/**
 * Trilinear sampling and its gradients. For some voxels of a row at a time a table says, four voxels at once: where the lower neighbour
 * lies, the steps to the upper ones, and the weights. It serves every channel, so that a channel block costs eight loads and products.
 *
 * With t = floor(displacement) a voxel at p reads p + t and p + t + 1, weighted by displacement - t: small displacements keep all their
 * digits. A neighbour outside the volume has weight 0 and the address of one inside, a displacement that is no number likewise: nothing
 * outside is ever read or written, whatever the displacement.
 */
import { blockedRow, blockPitch, fma, plainRow, planePitch, rowPitch, shareStart, Tensor, threadScratch, VOXEL, zeroHalo } from "../../backends/cpu/common.as";

/** Voxels of a row that are tabled at once: the table stays in the first-level cache. */
const CHUNK = 64;
/** Bytes of one of the table's rows: one word for each voxel. */
const ROW: usize = 256;
/** The table's rows. Steps, weights (lower, upper) and signs (-1, 1; 0 outside) are those of z, y, x in turn. */
const BASE: usize = 0;
const STEP: usize = ROW;
const WEIGHT: usize = 4 * ROW;
const SIGN: usize = 10 * ROW;
/** Corner k = 4 i + 2 j + l is the (i, j, l)-th in z, y, x: its weight, or its sum over channels of image x gradient. */
const CORNER: usize = 16 * ROW;
const PAD: usize = 24 * ROW;

/** Tables one axis of four voxels; returns the offset of their lower neighbours. */
@inline
function prepareAxis(table: usize, axis: usize, displacement: v128, place: v128, size: i32, pitch: i32): v128 {
  const whole = f32x4.floor(displacement);
  const part = f32x4.sub(displacement, whole);
  const low = f32x4.add(place, whole);
  // comparisons with what is no number are false
  const lowInside = v128.and(f32x4.ge(low, f32x4.splat(0)), f32x4.le(low, f32x4.splat(<f32>(size - 1))));
  const highInside = v128.and(f32x4.ge(low, f32x4.splat(-1)), f32x4.le(low, f32x4.splat(<f32>(size - 2))));
  const one = f32x4.splat(1);
  const weights = table + WEIGHT + 2 * axis * ROW;
  v128.store(weights, v128.and(f32x4.sub(one, part), lowInside));
  v128.store(weights + ROW, v128.and(part, highInside));
  const signs = table + SIGN + 2 * axis * ROW;
  v128.store(signs, v128.and(f32x4.splat(-1), lowInside));
  v128.store(signs + ROW, v128.and(one, highInside));
  v128.store(table + STEP + axis * ROW, v128.and(i32x4.splat(pitch), v128.and(lowInside, highInside)));
  const index = i32x4.trunc_sat_f32x4_s(f32x4.max(low, f32x4.splat(0)));
  return i32x4.mul(v128.and(index, lowInside), i32x4.splat(pitch));
}

/** Tables voxels x .. x + count of row (z, y) of sample n. Pitches are bytes between planes, rows and voxels of what is read or written. */
function prepare(table: usize, displacement: Tensor, n: i32, z: i32, y: i32, x: i32, count: i32, plane: i32, row: i32, voxel: i32): void {
  let fromZ = plainRow(displacement, n, 0, z, y) + (<usize>x << 2);
  let fromY = plainRow(displacement, n, 1, z, y) + (<usize>x << 2);
  let fromX = plainRow(displacement, n, 2, z, y) + (<usize>x << 2);
  let places = f32x4.add(f32x4(0, 1, 2, 3), f32x4.splat(<f32>x));
  for (let i = 0; i < count; i += 4) {
    const at = table + (<usize>i << 2);
    if (i + 4 > count) {
      // the last few are copied, for what follows them may not be memory
      const pad = table + PAD;
      const bytes = <usize>(count - i) << 2;
      memory.fill(pad, 0, 48);
      memory.copy(pad, fromZ, bytes);
      memory.copy(pad + 16, fromY, bytes);
      memory.copy(pad + 32, fromX, bytes);
      fromZ = pad;
      fromY = pad + 16;
      fromX = pad + 32;
    }
    let base = prepareAxis(at, 0, v128.load(fromZ), f32x4.splat(<f32>z), displacement.d, plane);
    base = i32x4.add(base, prepareAxis(at, 1, v128.load(fromY), f32x4.splat(<f32>y), displacement.h, row));
    base = i32x4.add(base, prepareAxis(at, 2, v128.load(fromX), places, displacement.w, voxel));
    v128.store(at + BASE, base);
    places = f32x4.add(places, f32x4.splat(4));
    fromZ += 16;
    fromY += 16;
    fromX += 16;
  }
}

/** Adds the eight corners' weights to the table. */
function prepareCorners(table: usize, count: i32): void {
  for (let i = 0; i < count; i += 4) {
    const at = table + (<usize>i << 2);
    for (let k: usize = 0; k < 8; k++) {
      const onZ = v128.load(at + WEIGHT + (k >> 2) * ROW);
      const onY = v128.load(at + WEIGHT + (2 + ((k >> 1) & 1)) * ROW);
      const onX = v128.load(at + WEIGHT + (4 + (k & 1)) * ROW);
      v128.store(at + CORNER + k * ROW, f32x4.mul(f32x4.mul(onZ, onY), onX));
    }
  }
}

@inline
function base(at: usize): usize {
  return <usize>load<u32>(at, BASE);
}
@inline
function step(at: usize, axis: usize): usize {
  return <usize>load<u32>(at + axis * ROW, STEP);
}
@inline
function corner(at: usize, k: usize): v128 {
  return v128.load32_splat(at + k * ROW, CORNER);
}
@inline
function weight(at: usize, k: usize): f32 {
  return load<f32>(at + k * ROW, CORNER);
}

@unmanaged
class WarpArguments {
  image: Tensor;
  /** Plain. */
  displacement: Tensor;
  y: Tensor;
}
/** Image and y both blocked or both plain. A unit is one row of all channels. */
export function warp(args: WarpArguments, share: i32, shares: i32): void {
  const image = args.image;
  const displacement = args.displacement;
  const y = args.y;
  const table = threadScratch;
  const groups = y.blocks ? y.blocks : y.c;
  const plane = y.blocks ? <i32>planePitch(image) : (image.h * image.w) << 2;
  const row = y.blocks ? <i32>rowPitch(image) : image.w << 2;
  const voxel = y.blocks ? <i32>VOXEL : 4;
  const units = y.n * y.d * y.h;
  const last = shareStart(units, share + 1, shares);
  for (let unit = shareStart(units, share, shares); unit < last; unit++) {
    const h = unit % y.h;
    const z = (unit / y.h) % y.d;
    const n = unit / (y.h * y.d);
    for (let x = 0; x < y.w; x += CHUNK) {
      const count = min(CHUNK, y.w - x);
      prepare(table, displacement, n, z, h, x, count, plane, row, voxel);
      prepareCorners(table, count);
      for (let group = 0; group < groups; group++) {
        if (y.blocks) sampleBlocked(table, count, blockedRow(image, n, group, 0, 0), blockedRow(y, n, group, z, h) + <usize>x * VOXEL);
        else samplePlain(table, count, plainRow(image, n, group, 0, 0), plainRow(y, n, group, z, h) + (<usize>x << 2));
      }
    }
    if (y.blocks && h == 0) {
      for (let block = 0; block < y.blocks; block++) zeroHalo(y, n, block, z);
    }
  }
}

function sampleBlocked(table: usize, count: i32, image: usize, to: usize): void {
  for (let i = 0; i < count; i++) {
    const at = table + (<usize>i << 2);
    const stepX = step(at, 2);
    let from = image + base(at);
    let w = corner(at, 0);
    let low = f32x4.mul(v128.load(from), w);
    let high = f32x4.mul(v128.load(from, 16), w);
    w = corner(at, 1);
    low = fma(v128.load(from + stepX), w, low);
    high = fma(v128.load(from + stepX, 16), w, high);
    from += step(at, 1);
    w = corner(at, 2);
    low = fma(v128.load(from), w, low);
    high = fma(v128.load(from, 16), w, high);
    w = corner(at, 3);
    low = fma(v128.load(from + stepX), w, low);
    high = fma(v128.load(from + stepX, 16), w, high);
    from += step(at, 0);
    w = corner(at, 6);
    low = fma(v128.load(from), w, low);
    high = fma(v128.load(from, 16), w, high);
    w = corner(at, 7);
    low = fma(v128.load(from + stepX), w, low);
    high = fma(v128.load(from + stepX, 16), w, high);
    from -= step(at, 1);
    w = corner(at, 4);
    low = fma(v128.load(from), w, low);
    high = fma(v128.load(from, 16), w, high);
    w = corner(at, 5);
    low = fma(v128.load(from + stepX), w, low);
    high = fma(v128.load(from + stepX, 16), w, high);
    v128.store(to, low);
    v128.store(to, high, 16);
    to += VOXEL;
  }
}

function samplePlain(table: usize, count: i32, image: usize, to: usize): void {
  for (let i = 0; i < count; i++) {
    const at = table + (<usize>i << 2);
    const stepX = step(at, 2);
    const lower = image + base(at);
    const next = lower + step(at, 1);
    const upper = lower + step(at, 0);
    const last = next + step(at, 0);
    let sum = load<f32>(lower) * weight(at, 0) + load<f32>(lower + stepX) * weight(at, 1);
    sum += load<f32>(next) * weight(at, 2) + load<f32>(next + stepX) * weight(at, 3);
    sum += load<f32>(upper) * weight(at, 4) + load<f32>(upper + stepX) * weight(at, 5);
    sum += load<f32>(last) * weight(at, 6) + load<f32>(last + stepX) * weight(at, 7);
    store<f32>(to + (<usize>i << 2), sum);
  }
}

@unmanaged
class WarpImageGradientArguments {
  /** Plain. */
  displacement: Tensor;
  dy: Tensor;
  dImage: Tensor;
}
/**
 * args: displacement (plain), dy, d image; both blocked or both plain. A unit is a channel block (or channel) of a sample: its scatter
 * writes nothing of another's, in the order of the voxels.
 */
export function warpImageGradient(args: WarpImageGradientArguments, share: i32, shares: i32): void {
  const displacement = args.displacement;
  const dy = args.dy;
  const image = args.dImage;
  const table = threadScratch;
  const groups = image.blocks ? image.blocks : image.c;
  const plane = image.blocks ? <i32>planePitch(image) : (image.h * image.w) << 2;
  const row = image.blocks ? <i32>rowPitch(image) : image.w << 2;
  const voxel = image.blocks ? <i32>VOXEL : 4;
  const units = image.n * groups;
  const last = shareStart(units, share + 1, shares);
  for (let unit = shareStart(units, share, shares); unit < last; unit++) {
    const group = unit % groups;
    const n = unit / groups;
    const start = image.blocks ? blockedRow(image, n, group, 0, 0) : plainRow(image, n, group, 0, 0);
    if (image.blocks) memory.fill(blockedRow(image, n, group, -1, -1) - VOXEL, 0, <usize>(image.d + 2) * <usize>plane);
    else memory.fill(start, 0, <usize>image.d * <usize>plane);
    for (let z = 0; z < image.d; z++) {
      for (let h = 0; h < image.h; h++) {
        for (let x = 0; x < image.w; x += CHUNK) {
          const count = min(CHUNK, image.w - x);
          prepare(table, displacement, n, z, h, x, count, plane, row, voxel);
          prepareCorners(table, count);
          if (image.blocks) scatterBlocked(table, count, start, blockedRow(dy, n, group, z, h) + <usize>x * VOXEL);
          else scatterPlain(table, count, start, plainRow(dy, n, group, z, h) + (<usize>x << 2));
        }
      }
    }
  }
}

@inline
function addTo(address: usize, w: v128, low: v128, high: v128): void {
  v128.store(address, fma(low, w, v128.load(address)));
  v128.store(address, fma(high, w, v128.load(address, 16)), 16);
}

function scatterBlocked(table: usize, count: i32, image: usize, from: usize): void {
  for (let i = 0; i < count; i++) {
    const at = table + (<usize>i << 2);
    const low = v128.load(from);
    const high = v128.load(from, 16);
    const stepX = step(at, 2);
    const lower = image + base(at);
    const next = lower + step(at, 1);
    const upper = lower + step(at, 0);
    const last = next + step(at, 0);
    addTo(lower, corner(at, 0), low, high);
    addTo(lower + stepX, corner(at, 1), low, high);
    addTo(next, corner(at, 2), low, high);
    addTo(next + stepX, corner(at, 3), low, high);
    addTo(upper, corner(at, 4), low, high);
    addTo(upper + stepX, corner(at, 5), low, high);
    addTo(last, corner(at, 6), low, high);
    addTo(last + stepX, corner(at, 7), low, high);
    from += VOXEL;
  }
}

function scatterPlain(table: usize, count: i32, image: usize, from: usize): void {
  for (let i = 0; i < count; i++) {
    const at = table + (<usize>i << 2);
    const value = load<f32>(from + (<usize>i << 2));
    for (let k: usize = 0; k < 8; k++) {
      let address = image + base(at);
      if (k & 4) address += step(at, 0);
      if (k & 2) address += step(at, 1);
      if (k & 1) address += step(at, 2);
      store<f32>(address, load<f32>(address) + weight(at, k) * value);
    }
  }
}

@unmanaged
class WarpDisplacementGradientArguments {
  image: Tensor;
  /** Plain. */
  displacement: Tensor;
  dy: Tensor;
  /** Plain. */
  dDisplacement: Tensor;
}
/** Image and dy both blocked or both plain. A unit is one row. */
export function warpDisplacementGradient(args: WarpDisplacementGradientArguments, share: i32, shares: i32): void {
  const image = args.image;
  const displacement = args.displacement;
  const dy = args.dy;
  const out = args.dDisplacement;
  const table = threadScratch;
  const plane = image.blocks ? <i32>planePitch(image) : (image.h * image.w) << 2;
  const row = image.blocks ? <i32>rowPitch(image) : image.w << 2;
  const voxel = image.blocks ? <i32>VOXEL : 4;
  const units = out.n * out.d * out.h;
  const last = shareStart(units, share + 1, shares);
  for (let unit = shareStart(units, share, shares); unit < last; unit++) {
    const h = unit % out.h;
    const z = (unit / out.h) % out.d;
    const n = unit / (out.h * out.d);
    for (let x = 0; x < out.w; x += CHUNK) {
      const count = min(CHUNK, out.w - x);
      prepare(table, displacement, n, z, h, x, count, plane, row, voxel);
      if (image.blocks) {
        innerBlocked(table, count, blockedRow(image, n, 0, 0, 0), blockedRow(dy, n, 0, z, h) + <usize>x * VOXEL, image.blocks, blockPitch(image));
      } else {
        innerPlain(table, count, plainRow(image, n, 0, 0, 0), plainRow(dy, n, 0, z, h) + (<usize>x << 2), image.c, <usize>image.d * <usize>plane);
      }
      for (let axis: usize = 0; axis < 3; axis++) slopes(table, count, axis, plainRow(out, n, <i32>axis, z, h) + (<usize>x << 2));
    }
  }
}

/** The sums of the four lanes of a, b, c, d. */
@inline
function laneSums(a: v128, b: v128, c: v128, d: v128): v128 {
  const ab = f32x4.add(v128.shuffle<f32>(a, b, 0, 1, 4, 5), v128.shuffle<f32>(a, b, 2, 3, 6, 7));
  const cd = f32x4.add(v128.shuffle<f32>(c, d, 0, 1, 4, 5), v128.shuffle<f32>(c, d, 2, 3, 6, 7));
  return f32x4.add(v128.shuffle<f32>(ab, cd, 0, 2, 4, 6), v128.shuffle<f32>(ab, cd, 1, 3, 5, 7));
}

@inline
function addProduct(from: usize, low: v128, high: v128, sum: v128): v128 {
  return fma(v128.load(from, 16), high, fma(v128.load(from), low, sum));
}

/** Adds to the table, for each corner, the sum over channels of image x dy. */
function innerBlocked(table: usize, count: i32, image: usize, gradient: usize, blocks: i32, block: usize): void {
  for (let i = 0; i < count; i++) {
    const at = table + (<usize>i << 2);
    const stepX = step(at, 2);
    const stepY = step(at, 1);
    const stepZ = step(at, 0);
    let from = image + base(at);
    let dy = gradient + <usize>i * VOXEL;
    let a = f32x4.splat(0);
    let b = f32x4.splat(0);
    let c = f32x4.splat(0);
    let d = f32x4.splat(0);
    let e = f32x4.splat(0);
    let f = f32x4.splat(0);
    let g = f32x4.splat(0);
    let h = f32x4.splat(0);
    for (let k = 0; k < blocks; k++) {
      const low = v128.load(dy);
      const high = v128.load(dy, 16);
      const upper = from + stepZ;
      a = addProduct(from, low, high, a);
      b = addProduct(from + stepX, low, high, b);
      c = addProduct(from + stepY, low, high, c);
      d = addProduct(from + stepY + stepX, low, high, d);
      e = addProduct(upper, low, high, e);
      f = addProduct(upper + stepX, low, high, f);
      g = addProduct(upper + stepY, low, high, g);
      h = addProduct(upper + stepY + stepX, low, high, h);
      from += block;
      dy += block;
    }
    const lower = laneSums(a, b, c, d);
    v128.store32_lane(at + CORNER, lower, 0);
    v128.store32_lane(at + CORNER + ROW, lower, 1);
    v128.store32_lane(at + CORNER + 2 * ROW, lower, 2);
    v128.store32_lane(at + CORNER + 3 * ROW, lower, 3);
    const higher = laneSums(e, f, g, h);
    v128.store32_lane(at + CORNER + 4 * ROW, higher, 0);
    v128.store32_lane(at + CORNER + 5 * ROW, higher, 1);
    v128.store32_lane(at + CORNER + 6 * ROW, higher, 2);
    v128.store32_lane(at + CORNER + 7 * ROW, higher, 3);
  }
}

function innerPlain(table: usize, count: i32, image: usize, gradient: usize, channels: i32, volume: usize): void {
  for (let i = 0; i < count; i++) {
    const at = table + (<usize>i << 2);
    const stepX = step(at, 2);
    const stepY = step(at, 1);
    const stepZ = step(at, 0);
    let from = image + base(at);
    let dy = gradient + (<usize>i << 2);
    let a: f32 = 0;
    let b: f32 = 0;
    let c: f32 = 0;
    let d: f32 = 0;
    let e: f32 = 0;
    let f: f32 = 0;
    let g: f32 = 0;
    let h: f32 = 0;
    for (let channel = 0; channel < channels; channel++) {
      const value = load<f32>(dy);
      const upper = from + stepZ;
      a += load<f32>(from) * value;
      b += load<f32>(from + stepX) * value;
      c += load<f32>(from + stepY) * value;
      d += load<f32>(from + stepY + stepX) * value;
      e += load<f32>(upper) * value;
      f += load<f32>(upper + stepX) * value;
      g += load<f32>(upper + stepY) * value;
      h += load<f32>(upper + stepY + stepX) * value;
      from += volume;
      dy += volume;
    }
    store<f32>(at, a, CORNER);
    store<f32>(at, b, CORNER + ROW);
    store<f32>(at, c, CORNER + 2 * ROW);
    store<f32>(at, d, CORNER + 3 * ROW);
    store<f32>(at, e, CORNER + 4 * ROW);
    store<f32>(at, f, CORNER + 5 * ROW);
    store<f32>(at, g, CORNER + 6 * ROW);
    store<f32>(at, h, CORNER + 7 * ROW);
  }
}

/** Writes one component: over the corners, their sums times the derivative of their weights by this axis. */
function slopes(table: usize, count: i32, axis: usize, to: usize): void {
  for (let i = 0; i < count; i += 4) {
    const at = table + (<usize>i << 2);
    let sum = f32x4.splat(0);
    for (let k: usize = 0; k < 8; k++) {
      const onZ = v128.load(at + (axis == 0 ? SIGN : WEIGHT) + (k >> 2) * ROW);
      const onY = v128.load(at + (axis == 1 ? SIGN : WEIGHT) + (2 + ((k >> 1) & 1)) * ROW);
      const onX = v128.load(at + (axis == 2 ? SIGN : WEIGHT) + (4 + (k & 1)) * ROW);
      sum = f32x4.add(sum, f32x4.mul(f32x4.mul(f32x4.mul(onZ, onY), onX), v128.load(at + k * ROW, CORNER)));
    }
    const out = to + (<usize>i << 2);
    if (i + 4 <= count) {
      v128.store(out, sum);
    } else {
      v128.store(table + PAD, sum);
      memory.copy(out, table + PAD, <usize>(count - i) << 2);
    }
  }
}

@unmanaged
class InsideMaskArguments {
  /** Plain. */
  displacement: Tensor;
  /** (N, 1, D, H, W). */
  mask: Tensor;
}
/** A position that is no number is not inside. */
export function insideMask(args: InsideMaskArguments, share: i32, shares: i32): void {
  const displacement = args.displacement;
  const mask = args.mask;
  const units = mask.n * mask.d;
  const last = shareStart(units, share + 1, shares);
  for (let unit = shareStart(units, share, shares); unit < last; unit++) {
    const n = unit / mask.d;
    const z = unit % mask.d;
    for (let y = 0; y < mask.h; y++) {
      const alongZ = plainRow(displacement, n, 0, z, y);
      const alongY = plainRow(displacement, n, 1, z, y);
      const alongX = plainRow(displacement, n, 2, z, y);
      const out = plainRow(mask, n, 0, z, y);
      for (let x = 0; x < mask.w; x++) {
        const i = <usize>x << 2;
        const toZ = <f64>z + <f64>load<f32>(alongZ + i);
        const toY = <f64>y + <f64>load<f32>(alongY + i);
        const toX = <f64>x + <f64>load<f32>(alongX + i);
        const inside = toZ >= 0 && toZ <= <f64>(mask.d - 1) && toY >= 0 && toY <= <f64>(mask.h - 1) && toX >= 0 && toX <= <f64>(mask.w - 1);
        store<f32>(out + i, inside ? 1 : 0);
      }
    }
  }
}
