/** The data path: how fast scans become a cohort, examples are made, and whether training ever waits for them. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { RunError } from '../../common/errors.ts';
import type { Progress } from '../../common/progress.ts';
import { SILENT } from '../../common/progress.ts';
import { randomStream } from '../../common/random.ts';
import type { Zyx } from '../../geometry/volume.ts';
import { makeExample } from '../../methods/gvsl/example.ts';
import { pretrain } from '../../training/node/pretrain.ts';
import { parseConfiguration } from '../../training/node/read-configuration.ts';
import { drawScans, prepareScans } from './phantoms.ts';

export interface DataResult {
  /** Voxels of the source scans that `prepare` takes in a second, all cores. */
  readonly prepareVoxelsPerS: number;
  readonly subjects: number;
  /** Training examples (pair, damage, spatial transformation) a second, of one thread. */
  readonly examplesPerS: number;
  readonly patch: number;
  /** Share of the time that a short training waits for examples. */
  readonly waitShare: number;
  readonly trainingSteps: number;
  readonly trainingPatch: number;
}

const PHANTOMS = { subjects: 6, spacingMm: 2 } as const;

async function exampleRate(patch: number): Promise<number> {
  const random = randomStream(1, 'bench', 'examples');
  const size: Zyx = [patch, patch, patch];
  const image = Float32Array.from({ length: patch ** 3 }, () => random.uniform(0, 1));
  const sizes = [size, size];
  const make = (step: number): Promise<unknown> =>
    makeExample(() => image.slice(), { seed: 1, step, sample: 0, patch: size, sizes, jitterVoxels: 0 });
  await make(0);
  const start = performance.now();
  let count = 0;
  while (count < 3 || performance.now() - start < 3000) await make(++count);
  return (count * 1000) / (performance.now() - start);
}

/** Everything on scans that are made for it, in a temporary folder that is removed again. */
export async function measureData(patch: number, threads: number, progress: Progress, signal: AbortSignal): Promise<DataResult> {
  const folder = await mkdtemp(join(tmpdir(), 'gvsl-bench-'));
  try {
    const [scans, cohort] = [join(folder, 'scans'), join(folder, 'cohort')];
    const voxels = await drawScans(scans, PHANTOMS, progress, signal);
    const start = performance.now();
    await prepareScans(scans, cohort, PHANTOMS, signal);
    const prepareVoxelsPerS = (voxels * 1000) / (performance.now() - start);
    progress.say('making examples');
    const examplesPerS = await exampleRate(patch);
    const [trainingSteps, trainingPatch] = [40, 48];
    progress.say('training a little');
    const configuration = parseConfiguration(
      {
        steps: trainingSteps,
        threads,
        model: { width: 0.25 },
        data: { patch: trainingPatch, heldOut: 0 },
        log: { evaluateEverySteps: 0, picturesEverySteps: 0 },
      },
      [],
      'the benchmark',
    );
    const out = join(folder, 'run');
    const { waitShare } = await pretrain({
      cohort,
      out,
      configuration,
      resume: false,
      progress: SILENT,
      signal,
    });
    if (signal.aborted) throw new RunError('stopped');
    return { prepareVoxelsPerS, subjects: PHANTOMS.subjects, examplesPerS, patch, waitShare, trainingSteps, trainingPatch };
  } finally {
    await rm(folder, { recursive: true });
  }
}
