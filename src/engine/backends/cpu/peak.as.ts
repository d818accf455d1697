/** The most multiply-adds that this build does from registers: the bound that the benchmark holds convolutions against. */
import { fma } from "./common.as";

/**
 * Runs `rounds` rounds of 16 multiply-adds of 4 floats: as many sums as hide an addition's latency and fit into the registers, 8 of 128 bits
 * twice, or 8 of 256 bits. The sums go to `out` (256 bytes), so that nothing is left out.
 */
export function multiplyAdds(rounds: i32, out: usize): void {
  const w0 = v128.load(out, 32);
  const w1 = v128.load(out, 48);
  let a0 = v128.load(out);
  let a1 = v128.load(out, 16);
  let b0 = v128.load(out, 32);
  let b1 = v128.load(out, 48);
  let c0 = v128.load(out, 64);
  let c1 = v128.load(out, 80);
  let d0 = v128.load(out, 96);
  let d1 = v128.load(out, 112);
  if (WIDE) {
    let e0 = v128.load(out, 128);
    let e1 = v128.load(out, 144);
    let f0 = v128.load(out, 160);
    let f1 = v128.load(out, 176);
    let g0 = v128.load(out, 192);
    let g1 = v128.load(out, 208);
    let h0 = v128.load(out, 224);
    let h1 = v128.load(out, 240);
    for (let i = 0; i < rounds; i++) {
      a0 = fma(a0, w0, w0);
      a1 = fma(a1, w1, w1);
      b0 = fma(b0, w0, w0);
      b1 = fma(b1, w1, w1);
      c0 = fma(c0, w0, w0);
      c1 = fma(c1, w1, w1);
      d0 = fma(d0, w0, w0);
      d1 = fma(d1, w1, w1);
      e0 = fma(e0, w0, w0);
      e1 = fma(e1, w1, w1);
      f0 = fma(f0, w0, w0);
      f1 = fma(f1, w1, w1);
      g0 = fma(g0, w0, w0);
      g1 = fma(g1, w1, w1);
      h0 = fma(h0, w0, w0);
      h1 = fma(h1, w1, w1);
    }
    v128.store(out, e0, 128);
    v128.store(out, e1, 144);
    v128.store(out, f0, 160);
    v128.store(out, f1, 176);
    v128.store(out, g0, 192);
    v128.store(out, g1, 208);
    v128.store(out, h0, 224);
    v128.store(out, h1, 240);
  } else {
    for (let i = 0; i < 2 * rounds; i++) {
      a0 = fma(a0, w0, w0);
      a1 = fma(a1, w1, w1);
      b0 = fma(b0, w0, w0);
      b1 = fma(b1, w1, w1);
      c0 = fma(c0, w0, w0);
      c1 = fma(c1, w1, w1);
      d0 = fma(d0, w0, w0);
      d1 = fma(d1, w1, w1);
    }
  }
  v128.store(out, a0);
  v128.store(out, a1, 16);
  v128.store(out, b0, 32);
  v128.store(out, b1, 48);
  v128.store(out, c0, 64);
  v128.store(out, c1, 80);
  v128.store(out, d0, 96);
  v128.store(out, d1, 112);
}
