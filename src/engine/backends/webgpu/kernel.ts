/**
 * How an operation becomes WGSL.
 *
 * Tensors are dense float32 in (N, C, D, H, W), as everywhere outside a backend: neighbours along x are neighbours in memory, which is what
 * the threads of a workgroup read together. A kernel names its tensors and its numbers; `moduleOf` writes the bindings and, for each tensor
 * `x`, the functions x(i) and set_x(i, value). Numbers reach the GPU as uniforms, never as text, so that one compiled pipeline serves all
 * sizes. A tensor may lie anywhere in a buffer; tensors whose ranges touch share a binding (WebGPU allows no writable overlap).
 *
 * Feature maps may be stored in half precision, two in a word (half.ts says which): kernels read and write them like any other and
 * compute in single. That takes no feature of the adapter: WGSL packs halves everywhere. Since a word is written whole, a thread that sets
 * x(i) for an even i must set x(i + 1) next; `flat` does so, and rows of odd length are never halved.
 */
import type { Shape } from '../../graph.ts';

/** Where a tensor lies: symbolic until the memory plan is made. */
export interface WebGpuTensor {
  readonly shape: Shape;
  readonly elements: number;
  /** Whether it is stored in half precision. */
  readonly half?: boolean;
  /** Of a part of another tensor that is not in one piece: element i lies at i / run x stride + i % run. Both are even for halves. */
  readonly pieces?: { readonly run: number; readonly stride: number };
  readonly place:
    | { readonly kind: 'state'; readonly name: string; readonly offset: number }
    | { readonly kind: 'constant'; readonly offset: number }
    | { readonly kind: 'node'; readonly id: number; readonly offset: number }
    | { readonly kind: 'scratch'; readonly id: number; readonly offset: number };
}

export const elementBytes = ({ half }: Pick<WebGpuTensor, 'half'>): number => (half ? 2 : 4);
export const bytesOf = (tensor: Pick<WebGpuTensor, 'elements' | 'half'>): number => elementBytes(tensor) * tensor.elements;
/** From its first byte to its last, what lies between pieces included. */
export const extentBytes = (tensor: WebGpuTensor): number => {
  const { elements, pieces } = tensor;
  return elementBytes(tensor) * (pieces ? (elements / pieces.run - 1) * pieces.stride + pieces.run : elements);
};

/** Whether `part` was written where it belongs in `whole`. */
export const liesIn = ({ place: part }: WebGpuTensor, { place: whole }: WebGpuTensor): boolean =>
  part.kind === 'node' && whole.kind === 'node' && part.id === whole.id;

/** One dispatch of one kernel. */
export interface Dispatch {
  /** For profiles and labels. */
  readonly name: string;
  readonly tensors: Readonly<Record<string, WebGpuTensor>>;
  /** Unsigned whole numbers, by name. */
  readonly uints?: Readonly<Record<string, number>>;
  readonly floats?: Readonly<Record<string, number>>;
  /** Tensors that are read by fours, `x4(i)` being the elements 4 i to 4 i + 3. They must share no memory with another tensor. */
  readonly vectors?: readonly string[];
  /** WGSL with an entry point `main`; tensors and numbers by name (u.NAME). */
  readonly code: string;
  readonly workgroups: readonly [number, number, number];
  /** Multiplications and additions, where they are many: submissions are cut by them. */
  readonly flops?: number;
}

/** Bytes of all that a dispatch reads and writes, each tensor once. */
export const bytesMoved = ({ tensors }: Dispatch): number =>
  Object.values(tensors).reduce((sum, tensor) => sum + bytesOf(tensor), 0);

/**
 * The most arithmetic of one dispatch and of one submission: half a second on a GPU that sustains 0.4 TFLOPS. Drivers take a program whose
 * submission lasts for some seconds for hung.
 */
export const MAX_FLOPS = 2e11;
/** Operations for which there is time while a byte is moved: half a second is 25 GB at 50 GB/s. */
const FLOPS_A_BYTE = 8;

/** How long a dispatch takes, in operations. */
export const costOf = (dispatch: Dispatch): number => Math.max(dispatch.flops ?? 0, FLOPS_A_BYTE * bytesMoved(dispatch));

/** `count` workgroups along one axis in ranges [first, how many], none of more arithmetic than a dispatch may have. */
export function rangesOf(count: number, flops: number): [number, number][] {
  const each = Math.max(1, Math.floor((count * MAX_FLOPS) / Math.max(flops, 1)));
  return Array.from({ length: Math.ceil(count / each) }, (_, i) => [i * each, Math.min(each, count - i * each)]);
}

/** What the lowering of a node may do. */
export interface WebGpuEmitter {
  dispatch(dispatch: Dispatch): void;
  /** Memory that lives during this node alone. */
  scratch(shape: Shape): WebGpuTensor;
}

export interface WebGpuCall<Attributes> {
  readonly inputs: readonly WebGpuTensor[];
  readonly out: WebGpuTensor;
  readonly attributes: Attributes;
}

export type WebGpuKernel<Attributes> = (call: WebGpuCall<Attributes>, emitter: WebGpuEmitter) => void;

/** Threads of a workgroup where nothing speaks for another number. */
export const GROUP = 256;
/** Workgroups on the first axis of a flat dispatch; more go on along the second (65,535 is the limit of each). */
export const ROW = 32768;

/** The workgroups of a flat kernel over `count` elements. */
function flatWorkgroups(count: number): [number, number, number] {
  const groups = Math.ceil(count / GROUP);
  return [Math.min(groups, ROW), Math.ceil(groups / ROW), 1];
}

/** Runs `code`, which may use the element's index `i`, once for each of `count` elements; of a half `out`, two in each thread. */
export function flat(
  emitter: WebGpuEmitter,
  count: number,
  { code, helpers = '', ...dispatch }: Omit<Dispatch, 'workgroups'> & { readonly helpers?: string },
): void {
  const each = dispatch.tensors.out?.half ? 2 : 1;
  emitter.dispatch({
    ...dispatch,
    uints: { ...dispatch.uints, count },
    workgroups: flatWorkgroups(count / each),
    code: `${helpers}
fn element(i: u32) {
${code}
}
@compute @workgroup_size(${GROUP})
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
  let i = ((group.y * ${ROW}u + group.x) * ${GROUP}u + thread) * ${each}u;
  if (i >= u.count) { return; }
  element(i);${each === 2 ? '\n  element(i + 1u);' : ''}
}`,
  });
}

/** The tensors that a text names: others need no binding. */
const usedIn = <T>(code: string, tensors: Readonly<Record<string, T>>): Record<string, T> =>
  Object.fromEntries(Object.entries(tensors).filter(([name]) => new RegExp(`\\b(set_)?${name}\\(`).test(code)));

/** Threads that add up: few, for a tree's barriers cost more than its additions, and deep levels have short rows. */
export const ADDERS = 64;
/** Terms that one thread adds up before the tree; a fixed number, so that sums are the same on any device. */
const TERMS = 64;
export const CHUNK = ADDERS * TERMS;

/** Sum of a value over the threads of a workgroup, the same for each of them; all must call it. */
export const TOTAL = `
var<workgroup> terms: array<f32, ${ADDERS}>;
fn totalOf(thread: u32, value: f32) -> f32 {
  workgroupBarrier();
  terms[thread] = value;
  for (var half = ${ADDERS / 2}u; half > 0u; half /= 2u) {
    workgroupBarrier();
    if (thread < half) { terms[thread] += terms[thread + half]; }
  }
  workgroupBarrier();
  return terms[0];
}`;

const tree = (): string => `
  for (var half = ${ADDERS / 2}u; half > 0u; half /= 2u) {
    workgroupBarrier();
    if (thread < half) { sums[thread] += sums[thread + half]; }
  }`;

/**
 * Sums of four quantities at once over rows: for each of `rows`, the sum over j < `length` of `term`, an expression or block that sets
 * `value: vec4f` from `row` and `j`; then `finish`, run by one thread a row, may use `row` and `total: vec4f`.
 * The order of additions is fixed: chunks of 4096, a tree in each, then the chunks the same way.
 */
export function sumRows(
  emitter: WebGpuEmitter,
  {
    name,
    tensors,
    rows,
    length,
    term,
    finish,
    uints = {},
    floats = {},
    helpers = '',
  }: {
    readonly name: string;
    readonly tensors: Readonly<Record<string, WebGpuTensor>>;
    readonly rows: number;
    readonly length: number;
    readonly term: string;
    readonly finish: string;
    readonly uints?: Readonly<Record<string, number>>;
    readonly floats?: Readonly<Record<string, number>>;
    readonly helpers?: string;
  },
): void {
  const chunks = Math.ceil(length / CHUNK);
  const partial = emitter.scratch([rows * chunks * 4]);
  emitter.dispatch({
    name: `${name}, chunks`,
    tensors: { ...tensors, partial },
    uints: { ...uints, length, chunks, rows },
    floats,
    workgroups: [Math.min(rows * chunks, ROW), Math.ceil((rows * chunks) / ROW), 1],
    code: `${helpers}
var<workgroup> sums: array<vec4f, ${ADDERS}>;
@compute @workgroup_size(${ADDERS})
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
  let at = group.y * ${ROW}u + group.x;
  let row = at / u.chunks;
  var sum = vec4f();
  if (row < u.rows) {
    let first = (at % u.chunks) * ${CHUNK}u + thread;
    for (var k = 0u; k < ${TERMS}u; k++) {
      let j = first + k * ${ADDERS}u;
      if (j < u.length) {
        var value = vec4f();
        ${term}
        sum += value;
      }
    }
  }
  sums[thread] = sum;${tree()}
  if (thread == 0u && row < u.rows) {
    for (var k = 0u; k < 4u; k++) { set_partial(at * 4u + k, sums[0][k]); }
  }
}`,
  });
  emitter.dispatch({
    name: `${name}, sum`,
    tensors: { ...usedIn(`${helpers}${finish}`, tensors), partial },
    uints: { ...uints, length, chunks, rows },
    floats,
    workgroups: [Math.min(rows, ROW), Math.ceil(rows / ROW), 1],
    code: `${helpers}
var<workgroup> sums: array<vec4f, ${ADDERS}>;
@compute @workgroup_size(${ADDERS})
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
  let row = group.y * ${ROW}u + group.x;
  var sum = vec4f();
  if (row < u.rows) {
    for (var chunk = thread; chunk < u.chunks; chunk += ${ADDERS}u) {
      let at = (row * u.chunks + chunk) * 4u;
      sum += vec4f(partial(at), partial(at + 1u), partial(at + 2u), partial(at + 3u));
    }
  }
  sums[thread] = sum;${tree()}
  if (thread == 0u && row < u.rows) {
    let total = sums[0];
    ${finish}
  }
}`,
  });
}

/** Sizes as uniforms: d, h, w of a tensor (N, C, D, H, W), and `voxels`; of (N, C) all are 1. */
export function volumeSizes({ shape }: WebGpuTensor): { channels: number; d: number; h: number; w: number; voxels: number } {
  const [, channels, d = 1, h = 1, w = 1] = shape as readonly [number, number, number?, number?, number?];
  return { channels, d, h, w, voxels: d * h * w };
}

/** What is beyond half precision, or no number, becomes infinite: WGSL leaves it open, and training must see that it lost its way. */
const PACK = `fn twoHalves(a: f32, b: f32) -> u32 {
  let both = vec2f(a, b);
  let fits = abs(both) <= vec2f(65504.0);
  let infinite = select(vec2u(0x7c00u), vec2u(0xfc00u), both < vec2f());
  let bits = pack2x16float(select(vec2f(), both, fits));
  let halves = select(infinite, vec2u(bits & 0xffffu, bits >> 16u), fits);
  return halves.x | (halves.y << 16u);
}
`;

/** The functions by which a kernel reads and writes a tensor. */
function accessors(name: string, memory: string, { half, pieces }: WebGpuTensor, byFours: boolean): string {
  if (byFours) return `fn ${name}4(i: u32) -> vec4f { return ${memory}[u.${name}_at / 4u + i]; }`;
  const place = pieces ? `(i / u.${name}_run * u.${name}_stride + i % u.${name}_run)` : 'i';
  if (!half)
    return `fn ${name}(i: u32) -> f32 { return ${memory}[u.${name}_at + ${place}]; }
fn set_${name}(i: u32, value: f32) { ${memory}[u.${name}_at + ${place}] = value; }`;
  return `fn ${name}(i: u32) -> f32 {
  let both = unpack2x16float(${memory}[u.${name}_at + ${place} / 2u]);
  return select(both.x, both.y, (i & 1u) == 1u);
}
var<private> held_${name}: f32;
fn set_${name}(i: u32, value: f32) {
  if ((i & 1u) == 0u) { held_${name} = value; } else { ${memory}[u.${name}_at + ${place} / 2u] = twoHalves(held_${name}, value); }
}`;
}

/** The uniforms that say where a dispatch's tensors lie, in the order of the module's fields. */
function layoutFields(tensors: Dispatch['tensors'], offsetOf: (tensor: string) => number): [string, number][] {
  return Object.entries(tensors).flatMap(([name, { pieces }]): [string, number][] => [
    [`${name}_at`, offsetOf(name)],
    ...(pieces
      ? ([
          [`${name}_run`, pieces.run],
          [`${name}_stride`, pieces.stride],
        ] as [string, number][])
      : []),
  ]);
}

/**
 * The whole module of a dispatch.
 * @param bindingOf the binding of each tensor: tensors that share memory share one
 */
export function moduleOf(
  { tensors, uints = {}, floats = {}, vectors = [], code }: Dispatch,
  bindingOf: (tensor: string) => number,
): string {
  const names = Object.keys(tensors);
  const fields = [
    ...layoutFields(tensors, () => 0).map(([name]) => `${name}: u32`),
    ...Object.keys(uints).map((name) => `${name}: u32`),
    ...Object.keys(floats).map((name) => `${name}: f32`),
  ];
  const types = new Map<number, string>();
  for (const name of names) {
    const type = vectors.includes(name) ? 'vec4f' : tensors[name].half ? 'u32' : 'f32';
    const before = types.get(bindingOf(name));
    if (before !== undefined && before !== type) throw new Error(`${name}: memory shared by ${before} and ${type}`);
    types.set(bindingOf(name), type);
  }
  return `struct Uniforms { ${fields.join(', ')} }
@group(0) @binding(0) var<uniform> u: Uniforms;
${[...types]
  .sort(([a], [b]) => a - b)
  .map(([binding, type]) => `@group(0) @binding(${binding + 1}) var<storage, read_write> memory${binding}: array<${type}>;`)
  .join('\n')}
${names.some((name) => tensors[name].half) ? PACK : ''}${names
  .map((name) => accessors(name, `memory${bindingOf(name)}`, tensors[name], vectors.includes(name)))
  .join('\n')}
${code}`;
}

/** The uniforms of a dispatch as words, in the order of `moduleOf`. */
export function uniformWords({ tensors, uints = {}, floats = {} }: Dispatch, offsetOf: (tensor: string) => number): Uint32Array {
  const ints = [...layoutFields(tensors, offsetOf).map(([, value]) => value), ...Object.values(uints)];
  const words = new Uint32Array(ints.length + Object.keys(floats).length);
  words.set(ints);
  new Float32Array(words.buffer).set(Object.values(floats), ints.length);
  return words;
}
