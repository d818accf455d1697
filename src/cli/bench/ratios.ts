/**
 * Ratios of two times that were taken in turn: on a slow day both are longer, after a slow change one is. They stand for what can become slower
 * unnoticed: what a second thread brings, what the loop of a training costs, what each build gains, and a step beside arithmetic that no change
 * touches (PyTorch's, and plain multiplications and additions in registers).
 */

import type { Progress } from '../../common/progress.ts';
import { availableBuilds, type CpuBuild, peakMultiplyAdds } from '../../platform/node/cpu-host.ts';
import { convolutionFlops } from '../../training/node/speed.ts';
import { inOwnProcess, optionsOf, ownProcess, type TurnRequest } from './in-turn.ts';
import { summarizeLoop } from './loop.ts';
import { median } from './machine.ts';
import { measurePeer } from './peer.ts';
import { programOf } from './step.ts';
import type { TrainingResult } from './training.ts';

/** The smaller, the better. */
export interface Ratio {
  readonly what: string;
  /** The median of the rounds, and the least and the largest of them. */
  readonly value: number;
  readonly low: number;
  readonly high: number;
}

export const ratioOf = (what: string, rounds: readonly number[]): Ratio => ({
  what,
  value: median(rounds),
  low: Math.min(...rounds),
  high: Math.max(...rounds),
});

export interface RatiosRequest {
  readonly threads: number;
  readonly build: CpuBuild;
  /** A Python with PyTorch; undefined: without those ratios. */
  readonly python: string | undefined;
  readonly progress: Progress;
  readonly signal: AbortSignal;
}

/** Rounds of five against five: were nothing changed, one time in 252 all of one lay above all of the other. */
const ROUNDS = 5;
const [STEPS, WARMUP] = [4, 3];
const SIZES = [32, 64] as const;
const WIDTH = 0.25;

/** Every ratio that this machine has, each round of each in turn. */
export async function measureRatios({ threads, build, python, progress, signal }: RatiosRequest): Promise<Ratio[]> {
  const base: TurnRequest = {
    ...{ backend: 'cpu', amp: false, python, progress, signal },
    ...{ threads, build, warmup: WARMUP },
  };
  const step = async (size: number, change: Partial<TurnRequest> = {}): Promise<number> =>
    (await inOwnProcess({ kind: 'step', size, width: WIDTH }, { ...base, ...change }, STEPS)).medianS;
  const peerStep = async (size: number): Promise<number> => {
    const request = {
      kind: 'step',
      size,
      width: WIDTH,
      threads,
      steps: STEPS,
      warmup: WARMUP,
      device: 'cpu',
      amp: false,
    } as const;
    return (await measurePeer(python!, request, signal)).medianS;
  };
  /** What a step's convolutions as direct sums would take in registers. */
  const arithmetic = (size: number): number =>
    convolutionFlops(programOf('step', size, WIDTH).program.graphs.get('gradient')!) / (threads * peakMultiplyAdds(build));
  const loop = async (): Promise<number> => {
    const args = optionsOf({ size: '24,32,32', width: WIDTH, batch: 2, threads, load: 'idle', build });
    const { rows } = await ownProcess<TrainingResult>('training', ['train', ...args], signal);
    return 1 / summarizeLoop(rows[0].rounds).kept;
  };

  const plans: [what: string, measure: () => Promise<number>][] = SIZES.flatMap((size) => {
    const name = `step ${size}^3, width ${WIDTH}`;
    return [
      ...(threads > 1
        ? [[`${name}: ${threads} threads over 1`, async () => (await step(size)) / (await step(size, { threads: 1 }))] as const]
        : []),
      [`${name}: over its arithmetic at the peak`, async () => (await step(size)) / arithmetic(size)] as const,
      ...(python === undefined
        ? []
        : [[`${name}: over PyTorch`, async () => (await step(size)) / (await peerStep(size))] as const]),
    ].map(([what, measure]): [string, () => Promise<number>] => [what, measure]);
  });
  for (const other of availableBuilds().filter((each) => each !== build))
    plans.push([
      `step 32^3, width ${WIDTH}: build ${build} over ${other}`,
      async () => (await step(32)) / (await step(32, { build: other })),
    ]);
  plans.push(['training 24x32x32, width 0.25, batch 2: loop over bare step', loop]);

  const rounds = plans.map((): number[] => []);
  progress.start(ROUNDS * plans.length, 'ratios');
  for (let round = 0; round < ROUNDS; round++)
    for (const [i, [what, measure]] of plans.entries()) {
      rounds[i].push(await measure());
      progress.advance(1, what);
    }
  progress.stop();
  return plans.map(([what], i) => ratioOf(what, rounds[i]));
}
