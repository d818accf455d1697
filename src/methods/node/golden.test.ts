/**
 * Whole training steps against PyTorch: tiny goldens of the project's own (scripts/make-model-golden.py, scripts/make-method-goldens.py), and, where they are,
 * larger ones in the folder GVSL_GOLDENS, by default ../shared/goldens beside the repository.
 */
import { existsSync, readdirSync } from 'node:fs';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { RunError } from '../../common/errors.ts';
import { randomStream } from '../../common/random.ts';
import type { Backend } from '../../engine/backend.ts';
import { referenceBackend } from '../../engine/backends/reference/backend.ts';
import { webGpuBackend } from '../../engine/backends/webgpu/backend.ts';
import { elementCount } from '../../engine/graph.ts';
import { noWebGpu } from '../../engine/testing/backends.ts';
import { ALL_HEADS, type Architecture } from '../../model/architecture.ts';
import { openSafetensors, readSafetensors, writeSafetensors } from '../../model/node/safetensors.ts';
import { type Part, partOf, STATES } from '../../model/optimizer.ts';
import { initialParameters, valuesOf } from '../../model/parameters.ts';
import { nodeCpuBackend, runnableBuilds } from '../../platform/node/cpu-host.ts';
import { nodeWebGpuHost } from '../../platform/node/webgpu-host.ts';
import { PAPER_LOSS, trainingProgram } from '../gvsl/program.ts';
import { compare, replayGolden } from './golden.ts';
import { GOLDEN_METHODS } from './golden-networks.ts';

const tinyOf = (name: string): string =>
  fileURLToPath(new URL(`../../../test/goldens/${name}-tiny.safetensors`, import.meta.url));
const TINY = tinyOf('gvsl');
const FOLDER = process.env.GVSL_GOLDENS ?? fileURLToPath(new URL('../../../../shared/goldens', import.meta.url));
const FOUND = existsSync(FOLDER) ? readdirSync(FOLDER).filter((name) => name.endsWith('.safetensors')) : [];
/** The folder may hold goldens of other methods of pre-training. */
const methods = await Promise.all(
  FOUND.map(async (name) => {
    const file = await openSafetensors(join(FOLDER, name));
    await file.close();
    return file.metadata.method ?? 'gvsl';
  }),
);
const LARGER = FOUND.filter((_, i) => methods[i] === 'gvsl');
const OF_METHODS = FOUND.filter((_, i) => methods[i] !== 'gvsl' && GOLDEN_METHODS.includes(methods[i]));
const UNKNOWN = FOUND.filter((_, i) => !GOLDEN_METHODS.includes(methods[i]));
/** What is compared of a whole GVSL. */
const GVSL_TENSORS = 222;
/** The plain backend takes up to a minute for a larger one. */
const LARGER_TIMEOUT_MS = 600_000;

/** With the relative error that is allowed: the reference rounds once, at the end; the others have the tolerances of the report. */
const BACKENDS: readonly (readonly [string, () => Backend, number])[] = [
  ['reference', referenceBackend, 1e-7],
  ...runnableBuilds().map((build) => [`cpu, ${build}`, () => nodeCpuBackend(2, build), Number.POSITIVE_INFINITY] as const),
];

describe.each(BACKENDS)('replayGolden (%s)', (_name, open, allowed) => {
  async function expectPyTorch(path: string, tensors?: number): Promise<void> {
    const { comparisons, passed } = await replayGolden(path, open());
    const faults = comparisons.filter((each) => !each.passed || each.relativeError > allowed);
    expect(faults.map(({ name, relativeError }) => `${name}: ${relativeError}`)).toEqual([]);
    expect(passed).toBe(true);
    if (tensors !== undefined) expect(comparisons).toHaveLength(tensors);
  }

  it('computes what PyTorch computes: gvsl-tiny', () => expectPyTorch(TINY, GVSL_TENSORS));
  it.each([
    ['restore', 159],
    ['classify', 87],
  ] as const)('computes what PyTorch computes: %s-tiny', (name, tensors) => expectPyTorch(tinyOf(name), tensors));
  it.skipIf(LARGER.length === 0).each(LARGER.length > 0 ? LARGER : ['larger goldens (there are none in GVSL_GOLDENS)'])(
    'computes what PyTorch computes: %s',
    { timeout: LARGER_TIMEOUT_MS },
    (name) => expectPyTorch(join(FOLDER, name), GVSL_TENSORS),
  );
  it
    .skipIf(OF_METHODS.length === 0)
    .each(OF_METHODS.length > 0 ? OF_METHODS : ['goldens of other methods (there are none in GVSL_GOLDENS)'])(
    'computes what PyTorch computes: %s',
    { timeout: LARGER_TIMEOUT_MS },
    (name) => expectPyTorch(join(FOLDER, name)),
  );
});
it.skip.each(UNKNOWN)('%s is of a method that is not replayed yet', () => {});

describe('compare', () => {
  const passes = (got: number[], want: number[], largest: number): boolean =>
    compare('grad.b', Float32Array.from(got), Float32Array.from(want), [want.length], 1e-3, largest).passed;

  it('measures a gradient that is zero but for the rounding of sums beside the largest of the step', () => {
    const rounding = [4e-19, -2e-18, 0];
    expect(passes([-3e-11, 5e-12, 1e-11], rounding, 0.05)).toBe(true);
    expect(passes([2e-4, 0, 0], rounding, 0.05)).toBe(false);
    expect(passes([Number.NaN, 0, 0], rounding, 0.05)).toBe(false);
  });

  it('takes gradients for zero only where they are: of a step that says so of all, ours must be too', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'gvsl-golden-zero-'));
    try {
      const { tensors, metadata } = await readSafetensors(tinyOf('classify'));
      for (const [name, { shape, data }] of tensors)
        if (name.startsWith('grad.')) tensors.set(name, { name, shape, data: Float32Array.from(data, (value) => value * 1e-16) });
      const path = join(folder, 'zero.safetensors');
      await writeSafetensors(path, tensors.values(), metadata);
      const { passed, comparisons } = await replayGolden(path, referenceBackend());
      expect(passed).toBe(false);
      const faults = comparisons.filter((each) => !each.passed).map(({ name }) => name);
      expect(faults.length).toBeGreaterThan(10);
      expect(faults.filter((name) => !name.startsWith('grad.'))).toEqual([]);
    } finally {
      await rm(folder, { recursive: true });
    }
    // beside a thousandth of the loss: single precision leaves as much of what cancels
    expect(passes([3e-8, -1e-8, 0], [0, 0, 0], 1e-3 * 0.7)).toBe(true);
    expect(passes([1e-5, 0, 0], [0, 0, 0], 1e-3 * 0.7)).toBe(false);
  });

  it('measures every other by itself, however small', () => {
    expect(passes([1.0005e-9, 0, 0], [1e-9, 0, 0], 0.05)).toBe(true);
    expect(passes([1.002e-9, 0, 0], [1e-9, 0, 0], 0.05)).toBe(false);
    expect(passes([1e-4], [0], 0)).toBe(true);
    expect(passes([1e-2], [0], 0)).toBe(false);
  });
});

/** A driver in software takes minutes for a larger one: gvsl verify FILE --backend webgpu. */
const software = noWebGpu === undefined && (await nodeWebGpuHost()).software;
describe.skipIf(noWebGpu !== undefined)(`replayGolden (webgpu${noWebGpu === undefined ? '' : `: ${noWebGpu}`})`, () => {
  const larger = software ? [] : [tinyOf('restore'), ...[...LARGER, ...OF_METHODS].map((name) => join(FOLDER, name))];
  it.each([TINY, tinyOf('classify'), ...larger])(
    'computes what PyTorch computes: %s',
    { timeout: LARGER_TIMEOUT_MS },
    async (path) => {
      const { comparisons, passed } = await replayGolden(path, webGpuBackend(await nodeWebGpuHost()));
      expect(comparisons.filter((each) => !each.passed).map(({ name, relativeError }) => `${name}: ${relativeError}`)).toEqual(
        [],
      );
      expect(passed).toBe(true);
    },
  );
});

describe('near-ties', () => {
  /** A backend for which rounding decides otherwise wherever it may, nearer to the edge than a limit, or farther. */
  const rounding = (tolerance: number, decides: (gap: number) => boolean): Backend =>
    referenceBackend({ ties: { tolerance, takesOther: decides } });

  it('of LeakyReLUs may fall to the other side if all agrees with the reference that takes it too, and only then', async () => {
    const other = rounding(1e-5, (gap) => gap > 4e-6);
    const { passed, ties } = await replayGolden(TINY, other, 1e-5);
    expect({ passed, gaps: ties?.gaps.map((gap) => gap.toExponential(0)) }).toEqual({ passed: true, gaps: ['8e-6', '4e-6'] });
    expect(await replayGolden(TINY, other, 1e-9)).toMatchObject({ passed: false, ties: null });
  });

  const STRONG = join(FOLDER, 'gvsl_strong.safetensors');
  it.skipIf(!existsSync(STRONG))(
    'of max-pools likewise (needs gvsl_strong.safetensors in GVSL_GOLDENS)',
    {
      timeout: LARGER_TIMEOUT_MS,
    },
    async () => {
      const other = rounding(1e-6, (gap) => gap < 5e-8);
      const { passed, ties } = await replayGolden(STRONG, other);
      expect({ passed, gaps: ties?.gaps.map((gap) => gap.toExponential(0)) }).toEqual({ passed: true, gaps: ['5e-8'] });
      expect(await replayGolden(STRONG, other, 1e-9)).toMatchObject({ passed: false, ties: null });
    },
  );
});

describe.each(BACKENDS)('a training step (%s)', (_name, open) => {
  it('gives every parameter of every head a gradient that is not zero, from the start at the identity', async () => {
    const architecture: Architecture = { widths: Array(9).fill(8), affineHidden: 8, flowHidden: 8, heads: ALL_HEADS };
    const options = { architecture, loss: PAPER_LOSS, size: [9, 10, 19], samples: 1, batch: 1 } as const;
    const { program, table } = trainingProgram(options);
    const image = (name: string): Float32Array => {
      const random = randomStream(1, name);
      return Float32Array.from({ length: elementCount(options.size) }, () => random.uniform(0, 1));
    };
    const session = await open().open(program);
    await session.writeState(STATES.parameters, initialParameters(table, 1));
    await session.run('gradient', { movingView: image('view'), fixed: image('fixed'), moving: image('moving') });
    const gradients = await session.readState(STATES.gradients);
    await session.close();

    const parts = new Set<Part>();
    for (const parameter of table.parameters) {
      const norm = Math.hypot(...valuesOf(gradients, parameter));
      expect(norm, parameter.name).toBeGreaterThan(1e-8);
      expect(norm, parameter.name).toBeLessThan(1e3);
      parts.add(partOf(parameter));
    }
    expect([...parts].sort()).toEqual(['affine', 'backbone', 'deformable', 'restoration']);
  });
});

describe('replayGolden refuses', () => {
  let folder: string;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'gvsl-golden-'));
  });
  afterAll(async () => {
    await rm(folder, { recursive: true });
  });

  type Tensors = Awaited<ReturnType<typeof readSafetensors>>['tensors'];
  /** Replays the tiny golden after a change to it; resolves to the message of the refusal. */
  async function refusal(
    change: (tensors: Tensors, metadata: Record<string, string>) => unknown,
    golden = TINY,
  ): Promise<string> {
    const { tensors, metadata } = await readSafetensors(golden);
    const changed = { ...metadata };
    change(tensors, changed);
    const path = join(folder, 'changed.safetensors');
    await writeSafetensors(path, tensors.values(), changed);
    return messageOf(path);
  }
  async function messageOf(path: string): Promise<string> {
    const error: unknown = await replayGolden(path, referenceBackend()).catch((caught: unknown) => caught);
    expect(error).toBeInstanceOf(RunError);
    return (error as Error).message;
  }
  const flatten = (tensors: Tensors, name: string): void => {
    const { data } = tensors.get(name)!;
    tensors.set(name, { name, shape: [data.length], data });
  };

  it('a file without one of the parameters', async () => {
    expect(await refusal((tensors) => tensors.delete('param.fc_rot.bias'))).toMatch(
      /changed\.safetensors: param\.fc_rot\.bias must be \[3\], got nothing$/,
    );
  });

  it('a parameter or an input of another shape', async () => {
    expect(await refusal((tensors) => flatten(tensors, 'param.out_flow.weight'))).toMatch(
      /param\.out_flow\.weight must be \[3, 8, 3, 3, 3\], got \[648\]$/,
    );
    expect(await refusal((tensors) => flatten(tensors, 'input.moving'))).toMatch(
      /input\.moving must be \[1, 1, 9, 10, 19\], got \[1710\]$/,
    );
    expect(await refusal((tensors) => flatten(tensors, 'input.fixed'))).toMatch(
      /not a golden file: input\.fixed must be \(N, 1, D, H, W\), got \[1710\]$/,
    );
  });

  it('a result that is missing, of another shape, or nothing that the network computes', async () => {
    expect(await refusal((tensors) => tensors.delete('grad.fc_rot.bias'))).toMatch(
      /grad\.fc_rot\.bias must be \[3\], got nothing$/,
    );
    expect(await refusal((tensors) => flatten(tensors, 'out.flow'))).toMatch(
      /out\.flow must be \[1, 3, 9, 10, 19\], got \[5130\]$/,
    );
    expect(
      await refusal((tensors) => tensors.set('out.other', { name: 'out.other', shape: [1], data: new Float32Array(1) })),
    ).toMatch(/'out\.other' is not a tensor of this network$/);
  });

  it('metadata that make no network or no number of steps', async () => {
    expect(await refusal((_, metadata) => Object.assign(metadata, { widths: '[8]' }))).toMatch(
      /'widths' must be nine multiples of 8, got '\[8\]'$/,
    );
    expect(await refusal((_, metadata) => Object.assign(metadata, { f_hidden: '12' }))).toMatch(
      /'f_hidden' must be a multiple of 8 above 0, got '12'$/,
    );
    expect(await refusal((_, metadata) => delete metadata.lr)).toMatch(/'lr' must be a number above 0, got 'nothing'$/);
    expect(await refusal((_, metadata) => Object.assign(metadata, { steps: '1000000' }))).toMatch(
      /loss_curve must be \[1000000\], got \[2\]$/,
    );
  });

  it('classes that there are not, and results that a method lacks', async () => {
    const classify = tinyOf('classify');
    const classes = (data: number[]) => (tensors: Tensors) =>
      tensors.set('input.class', { name: 'input.class', shape: [2], data: Float32Array.from(data) });
    expect(await refusal(classes([0, 3]), classify)).toMatch(/input\.class must hold whole numbers from 0 to 2, got 3$/);
    expect(await refusal((_, metadata) => Object.assign(metadata, { classes: 'many' }), classify)).toMatch(
      /'classes' must be a multiple of 1 above 0, got 'many'$/,
    );
    expect(await refusal((tensors) => tensors.delete('input.mask'), tinyOf('restore'))).toMatch(
      /input\.mask must be \[2, 1, 9, 10, 19\], got nothing$/,
    );
  });

  it('a golden of another method of pre-training', async () => {
    expect(await refusal((_, metadata) => Object.assign(metadata, { method: 'jigsaw' }))).toMatch(
      /golden file of the method 'jigsaw'; this version replays those of gvsl, restore, classify/,
    );
  });

  it('a file cut short, and one that is none', async () => {
    const bytes = await readFile(TINY);
    const path = join(folder, 'short.safetensors');
    await writeFile(path, bytes.subarray(0, bytes.length - 4));
    expect(await messageOf(path)).toMatch(/short\.safetensors: damaged safetensors file: truncated/);
    await writeFile(path, bytes.subarray(0, 100));
    expect(await messageOf(path)).toMatch(/short\.safetensors: not a safetensors file, or truncated/);
    expect(await messageOf(join(folder, 'absent.safetensors'))).toMatch(/absent\.safetensors: no such file/);
  });
});
