/** The most multiply-adds that this build does from registers: the bound that the benchmark holds convolutions against. */
import { fma } from "./common.as";

/** Multiply-adds of one round, each of 4 floats. */
export const ROUND: i32 = 16;

/** Runs `rounds` rounds; the sums go to `out` (256 bytes), so that nothing is left out. */
export function multiplyAdds(rounds: i32, out: usize): void {
  const x = v128.load(out);
  const y = v128.load(out, 16);
  let a0 = x;
  let a1 = y;
  let b0 = x;
  let b1 = y;
  let c0 = x;
  let c1 = y;
  let d0 = x;
  let d1 = y;
  let e0 = x;
  let e1 = y;
  let f0 = x;
  let f1 = y;
  let g0 = x;
  let g1 = y;
  let h0 = x;
  let h1 = y;
  const w0 = v128.load(out, 32);
  const w1 = v128.load(out, 48);
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
  v128.store(out, a0);
  v128.store(out, a1, 16);
  v128.store(out, b0, 32);
  v128.store(out, b1, 48);
  v128.store(out, c0, 64);
  v128.store(out, c1, 80);
  v128.store(out, d0, 96);
  v128.store(out, d1, 112);
  v128.store(out, e0, 128);
  v128.store(out, e1, 144);
  v128.store(out, f0, 160);
  v128.store(out, f1, 176);
  v128.store(out, g0, 192);
  v128.store(out, g1, 208);
  v128.store(out, h0, 224);
  v128.store(out, h1, 240);
}
