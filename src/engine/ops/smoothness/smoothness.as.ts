/** Smoothness of a plain flow: neighbours along each axis are runs of floats at a fixed distance, so rows and planes are taken whole. */
import { Address, fma, plainRow, shareStart, Tensor } from "../../backends/cpu/common.as";
import { squaredDifferences } from "../../backends/cpu/flat.as";

/** 1 / (3 M) of an axis of `size` voxels, M its differences in the whole tensor; 0 for an axis of one voxel. */
function weightOf(flow: Tensor, size: i32): f64 {
  const count = <f64>flow.n * <f64>flow.c * <f64>flow.d * <f64>flow.h * <f64>flow.w;
  return size > 1 ? <f64>size / (3 * count * <f64>(size - 1)) : 0;
}

@unmanaged
class SmoothnessArguments {
  flow: Tensor;
  /** One f64 for each plane of each channel. */
  partial: Address;
}
export function smoothness(args: SmoothnessArguments, share: i32, shares: i32): void {
  const flow = args.flow;
  const partial = args.partial;
  const row = <usize>flow.w << 2;
  const plane = row * <usize>flow.h;
  const units = flow.n * flow.c * flow.d;
  const last = shareStart(units, share + 1, shares);
  for (let unit = shareStart(units, share, shares); unit < last; unit++) {
    const z = unit % flow.d;
    const at = plainRow(flow, unit / (flow.d * flow.c), (unit / flow.d) % flow.c, z, 0);
    let alongX: f64 = 0;
    for (let y = 0; y < flow.h; y++) alongX += squaredDifferences(at + <usize>y * row + 4, at + <usize>y * row, flow.w - 1);
    const alongY = squaredDifferences(at + row, at, (flow.h - 1) * flow.w);
    const alongZ = z < flow.d - 1 ? squaredDifferences(at + plane, at, flow.h * flow.w) : 0;
    const sum = weightOf(flow, flow.w) * alongX + weightOf(flow, flow.h) * alongY + weightOf(flow, flow.d) * alongZ;
    store<f64>(partial + (<usize>unit << 3), sum);
  }
}

/** out += factor (f - neighbour), over `count` floats. */
function addDifferences(out: usize, f: usize, neighbour: usize, count: i32, factor: f32): void {
  const factors = f32x4.splat(factor);
  let i = 0;
  for (; i + 4 <= count; i += 4) {
    v128.store(out, fma(factors, f32x4.sub(v128.load(f), v128.load(neighbour)), v128.load(out)));
    out += 16;
    f += 16;
    neighbour += 16;
  }
  for (; i < count; i++) {
    v128.store32_lane(out, fma(factors, f32x4.sub(v128.load32_zero(f), v128.load32_zero(neighbour)), v128.load32_zero(out)), 0);
    out += 4;
    f += 4;
    neighbour += 4;
  }
}

@unmanaged
class SmoothnessGradientArguments {
  flow: Tensor;
  /** A scalar. */
  dOut: Address;
  out: Tensor;
}
/** Each voxel's difference from its up to six neighbours, times its axis' factor. All plain. */
export function smoothnessGradient(args: SmoothnessGradientArguments, share: i32, shares: i32): void {
  const flow = args.flow;
  const dOut = <f64>load<f32>(args.dOut);
  const out = args.out;
  const factorX = <f32>(2 * dOut * weightOf(flow, flow.w));
  const factorY = <f32>(2 * dOut * weightOf(flow, flow.h));
  const factorZ = <f32>(2 * dOut * weightOf(flow, flow.d));
  const row = <usize>flow.w << 2;
  const plane = row * <usize>flow.h;
  const units = flow.n * flow.c * flow.d;
  const last = shareStart(units, share + 1, shares);
  for (let unit = shareStart(units, share, shares); unit < last; unit++) {
    const z = unit % flow.d;
    const n = unit / (flow.d * flow.c);
    const channel = (unit / flow.d) % flow.c;
    for (let y = 0; y < flow.h; y++) {
      const f = plainRow(flow, n, channel, z, y);
      const to = plainRow(out, n, channel, z, y);
      memory.fill(to, 0, row);
      if (z > 0) addDifferences(to, f, f - plane, flow.w, factorZ);
      if (z < flow.d - 1) addDifferences(to, f, f + plane, flow.w, factorZ);
      if (y > 0) addDifferences(to, f, f - row, flow.w, factorY);
      if (y < flow.h - 1) addDifferences(to, f, f + row, flow.w, factorY);
      addDifferences(to + 4, f + 4, f, flow.w - 1, factorX);
      addDifferences(to, f, f + 4, flow.w - 1, factorX);
    }
  }
}
