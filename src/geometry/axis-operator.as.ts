/**
 * The sums of axis-operator.ts, two numbers at a time: the same doubles, rounded where the plain loops round, so the same bits.
 * scripts/build-wasm.mjs compiles this into axis-kernels.ts. Addresses are bytes; the memory is the caller's.
 */

/** Rows that are summed together. */
const ROWS: usize = 8;

/**
 * Along x: `out[y * outputs + k]` is the sum over t of `weights[k * taps + t] * input[y * nx + starts[k] + t]`, in double precision in the order of t,
 * rounded once.
 * @param strip room for 8 rows as doubles
 */
export function alongX(
  input: usize,
  out: usize,
  nx: usize,
  ny: usize,
  outputs: usize,
  taps: usize,
  starts: usize,
  weights: usize,
  strip: usize,
): void {
  for (let y: usize = 0; y < ny; y += ROWS) {
    // at the end some rows are done twice
    const rows = min(ROWS, ny - y);
    for (let r: usize = 0; r < ROWS; r++) {
      let from = input + (((y + min(r, rows - 1)) * nx) << 2);
      let to = strip + (r << 3);
      for (let x: usize = 0; x < nx; x++) {
        store<f64>(to, <f64>load<f32>(from));
        from += 4;
        to += ROWS << 3;
      }
    }
    for (let k: usize = 0; k < outputs; k++) {
      let from = strip + ((<usize>load<i32>(starts + (k << 2)) * ROWS) << 3);
      let weight = weights + ((k * taps) << 3);
      let a = f64x2.splat(0);
      let b = f64x2.splat(0);
      let c = f64x2.splat(0);
      let d = f64x2.splat(0);
      for (let t: usize = 0; t < taps; t++) {
        const w = v128.load_splat<f64>(weight);
        a = f64x2.add(a, f64x2.mul(w, v128.load(from)));
        b = f64x2.add(b, f64x2.mul(w, v128.load(from, 16)));
        c = f64x2.add(c, f64x2.mul(w, v128.load(from, 32)));
        d = f64x2.add(d, f64x2.mul(w, v128.load(from, 48)));
        from += ROWS << 3;
        weight += 8;
      }
      let to = out + ((y * outputs + k) << 2);
      store<f32>(to, <f32>f64x2.extract_lane(a, 0));
      if (rows > 1) store<f32>((to += outputs << 2), <f32>f64x2.extract_lane(a, 1));
      if (rows > 2) store<f32>((to += outputs << 2), <f32>f64x2.extract_lane(b, 0));
      if (rows > 3) store<f32>((to += outputs << 2), <f32>f64x2.extract_lane(b, 1));
      if (rows > 4) store<f32>((to += outputs << 2), <f32>f64x2.extract_lane(c, 0));
      if (rows > 5) store<f32>((to += outputs << 2), <f32>f64x2.extract_lane(c, 1));
      if (rows > 6) store<f32>((to += outputs << 2), <f32>f64x2.extract_lane(d, 0));
      if (rows > 7) store<f32>((to += outputs << 2), <f32>f64x2.extract_lane(d, 1));
    }
  }
}

/** A sum and one more product: doubles, rounded to single precision. */
@inline
function more(sum: v128, weight: v128, from: usize): v128 {
  return f32x4.demote_f64x2_zero(f64x2.add(f64x2.promote_low_f32x4(sum), f64x2.mul(weight, f64x2.promote_low_f32x4(v128.load64_zero(from)))));
}

/**
 * `out[i]` is the sum over t of `weights[t] * input_t[i]`, one after the other from 0, each in double precision and rounded to single.
 * @param out room for `length` values, and for those that a multiple of 8 takes more
 * @param inputs addresses of `count` arrays with as much room
 */
export function weightedSum(out: usize, length: usize, count: usize, inputs: usize, weights: usize): void {
  for (let i: usize = 0; i < length << 2; i += 32) {
    let a = f32x4.splat(0);
    let b = f32x4.splat(0);
    let c = f32x4.splat(0);
    let d = f32x4.splat(0);
    for (let t: usize = 0; t < count; t++) {
      const w = v128.load_splat<f64>(weights + (t << 3));
      const from = <usize>load<u32>(inputs + (t << 2)) + i;
      a = more(a, w, from);
      b = more(b, w, from + 8);
      c = more(c, w, from + 16);
      d = more(d, w, from + 24);
    }
    v128.store64_lane(out + i, a, 0);
    v128.store64_lane(out + i, b, 0, 8);
    v128.store64_lane(out + i, c, 0, 16);
    v128.store64_lane(out + i, d, 0, 24);
  }
}
