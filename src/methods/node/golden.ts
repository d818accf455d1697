/**
 * Replays a golden: a file with inputs, parameters, and everything that PyTorch computed from them in double precision.
 *
 * Tensors in it: input.NAME, param.NAME, out.*, loss.*, grad.NAME, after.NAME (after the metadata's number of
 * Adam steps on the same inputs), loss_curve; of BYOL also target.NAME and, after the steps, after_target.NAME. Each is compared as a whole, ||got - want|| / ||want||, and by its worst element.
 */

import { RunError } from '../../common/errors.ts';
import type { Backend, Session } from '../../engine/backend.ts';
import { referenceBackend } from '../../engine/backends/reference/backend.ts';
import type { Program, Shape } from '../../engine/graph.ts';
import { adamStep } from '../../engine/ops/adam/adam.ts';
import { INITIAL_LOSS_SCALE, lossScaleInputs } from '../../model/loss-scaling.ts';
import { openSafetensors } from '../../model/node/safetensors.ts';
import { STATES } from '../../model/optimizer.ts';
import { type Parameter, type ParameterTable, valuesOf } from '../../model/parameters.ts';
import { TARGET } from '../contrastive/program.ts';
import { checkTensor, type GoldenFile, type GoldenNetwork, metadataNumber, networkOf, readTensor } from './golden-networks.ts';

/** What a relative error may be: of outputs and losses; of gradients, and of parameters after the steps (Adam divides a gradient by its size). */
export const OUTPUT_TOLERANCE = 1e-4;
export const GRADIENT_TOLERANCE = 1e-3;

export interface Comparison {
  /** The tensor's name in the file. */
  readonly name: string;
  /** ||got - want|| / ||want||. */
  readonly relativeError: number;
  readonly tolerance: number;
  readonly passed: boolean;
  /** The element with the greatest difference. */
  readonly worst: { readonly index: readonly number[]; readonly got: number; readonly want: number };
}

export interface GoldenReport {
  readonly file: string;
  readonly backend: string;
  readonly passed: boolean;
  readonly comparisons: readonly Comparison[];
  /** Where the backend took other sides of near-ties than PyTorch; then it was compared with the reference that takes them too. */
  readonly ties: TakenTies | null;
  /** What the file holds instead of a step of its method, if it does; then it was compared with that. */
  readonly deviation: string | null;
}

/** Places where single precision can hardly tell which way the gradient goes: in max-pools and LeakyReLUs. */
export interface TakenTies {
  /** How many there are in the step, and how near those are where the other way was taken. */
  readonly places: number;
  readonly gaps: readonly number[];
}

/** Features are of the order of 1, and some layers' rounding of single precision comes to this. */
const NEAR_TIE = 1e-6;
/** Each is tried by itself: as many replays of a step on the reference. */
const MAX_TIES = 32;

/** What double precision leaves of a gradient that is zero, relative to the largest of the step: sums that cancel. */
const CANCELLED = 1e-13;
/** Beside what part of the loss gradients count where all of a step are zero (views that are all the same): single precision leaves 1e-7 of a loss. */
const ZERO_BESIDE = 1e-3;

const normOf = (values: Float32Array): number => Math.sqrt(values.reduce((sum, value) => sum + value ** 2, 0));

/**
 * Compares a tensor as a whole, and finds its worst element.
 * @param largest norm of a gradient of the step; 0 for what is no gradient
 */
export function compare(
  name: string,
  got: Float32Array,
  want: Float32Array,
  shape: readonly number[],
  tolerance: number,
  largest: number,
): Comparison {
  let [squares, differences, worstAt, worstDifference] = [0, 0, 0, -1];
  for (let i = 0; i < want.length; i++) {
    const difference = Math.abs(got[i] - want[i]);
    differences += difference ** 2;
    squares += want[i] ** 2;
    if (!(difference <= worstDifference)) [worstAt, worstDifference] = [i, difference];
  }
  // what is zero has no relative error: a gradient's counts beside the largest of the step, another tensor's as it is
  const isZero = Math.sqrt(squares) <= CANCELLED * largest;
  const relativeError = Math.sqrt(differences) / (isZero ? largest || 1 : Math.sqrt(squares));
  const index: number[] = [];
  for (let axis = shape.length - 1, rest = worstAt; axis >= 0; axis--) {
    index.unshift(rest % shape[axis]);
    rest = Math.floor(rest / shape[axis]);
  }
  return {
    name,
    relativeError,
    tolerance,
    passed: relativeError <= tolerance,
    worst: { index, got: got[worstAt], want: want[worstAt] },
  };
}

/** Collects the file's parameters, or those of its target network, into one flat tensor. */
async function readParameters(
  golden: GoldenFile,
  table: ParameterTable,
  kind: 'param' | 'target' = 'param',
): Promise<Float32Array> {
  const flat = new Float32Array(table.flatLength);
  for (const parameter of kind === 'target' ? followed(table) : table.parameters)
    valuesOf(flat, parameter).set(await readTensor(golden, `${kind}.${parameter.name}`, parameter.shape));
  return flat;
}

/** The parameters that BYOL's target network has too: all but the predictor's. */
const followed = ({ parameters }: ParameterTable): Parameter[] => parameters.filter(({ name }) => !name.startsWith('predictor.'));

/** The results that the file holds, in its order: exactly those of the step, so that nothing passes by not being there. */
function checkResults(
  golden: GoldenFile,
  program: Program,
  table: ParameterTable,
  steps: number,
  { unstored = [], tau }: GoldenNetwork,
): string[] {
  const { path, file } = golden;
  const shapes = new Map<string, Shape>([['loss_curve', [steps]]]);
  for (const [name, { shape }] of program.graphs.get('gradient')!.outputs)
    if (!unstored.includes(name)) shapes.set(name, shape.length === 0 ? [1] : shape);
  for (const { name, shape } of table.parameters) for (const kind of ['grad', 'after']) shapes.set(`${kind}.${name}`, shape);
  if (tau !== undefined) for (const { name, shape } of followed(table)) shapes.set(`after_target.${name}`, shape);
  for (const [name, shape] of shapes) checkTensor(golden, name, shape);
  const stored = [...file.tensors.keys()].filter((name) => !/^(input|param|target)\./.test(name));
  const unknown = stored.find((name) => !shapes.has(name));
  if (unknown !== undefined) throw new RunError(`${path}: '${unknown}' is not a tensor of this network`);
  return stored;
}

type Results = ReadonlyMap<string, Float32Array>;

/** Takes the steps; resolves to every result by its name in a golden, or to null if those of the first step are not worth another. */
async function takeSteps(
  session: Session,
  table: ParameterTable,
  parameters: Float32Array,
  inputs: Readonly<Record<string, Float32Array>>,
  steps: number,
  learningRate: number,
  target: { readonly start: Float32Array; readonly tau: number } | undefined,
  onFirst: (results: Results) => boolean,
): Promise<Results | null> {
  const results = new Map<string, Float32Array>();
  const keep = (kind: string, flat: Float32Array, parameters = table.parameters): void => {
    for (const parameter of parameters) results.set(`${kind}.${parameter.name}`, valuesOf(flat, parameter));
  };
  await session.writeState(STATES.parameters, parameters);
  if (target) await session.writeState(TARGET, target.start);
  const curve: number[] = [];
  for (let step = 1; step <= steps; step++) {
    const outputs = await session.run('gradient', inputs, step === 1 ? undefined : ['loss.total']);
    curve.push(outputs['loss.total'][0]);
    if (step === 1) {
      for (const [name, values] of Object.entries(outputs)) results.set(name, values);
      keep('grad', await session.readState(STATES.gradients));
      if (!onFirst(results)) return null;
    }
    await session.run('update', { step: adamStep(learningRate, step) });
    if (target) await session.run('follow', { tau: Float32Array.of(target.tau) });
  }
  keep('after', await session.readState(STATES.parameters));
  if (target) keep('after_target', await session.readState(TARGET), followed(table));
  results.set('loss_curve', Float32Array.from(curve));
  return results;
}

/**
 * Computes what the golden holds on a backend, and compares. Where that fails, and the step has a few near-ties, the backend may also
 * agree, within the same tolerances, with what the reference computes on other sides of them, provided that the reference itself agrees with the golden.
 * @throws RunError if the file is no golden
 */
export async function replayGolden(path: string, backend: Backend, nearTie = NEAR_TIE): Promise<GoldenReport> {
  const file = await openSafetensors(path);
  try {
    const golden = { path, file };
    const network = await networkOf(golden);
    const steps = [{ network, text: null as string | null }];
    if (network.deviation) {
      const { program, text } = network.deviation;
      steps.push({ network: { ...network, program }, text });
    }
    // what costs a step of the backend comes before what costs steps of the reference
    const replays: Replay[] = [];
    for (const step of steps) {
      const replay = await replayNetwork(golden, step.network, backend, nearTie);
      if (replay.report.passed) return { ...replay.report, deviation: step.text };
      replays.push(replay);
    }
    for (const [k, { besideTies }] of replays.entries()) {
      const report = await besideTies();
      if (report) return { ...report, deviation: steps[k].text };
    }
    return replays[0].report;
  } finally {
    await file.close();
  }
}

/**
 * The coefficients with which rows add up to what is wanted, in least squares, by Gauss-Seidel's steps (which converge for any rows).
 * @returns a number for each row; 0 for one that is zero
 */
function leastSquares(rows: readonly (readonly number[])[], wanted: readonly number[]): number[] {
  const inner = (a: readonly number[], b: readonly number[]): number => a.reduce((sum, value, i) => sum + value * b[i], 0);
  const products = rows.map((row) => rows.map((other) => inner(row, other)));
  const aims = rows.map((row) => inner(row, wanted));
  const found = rows.map(() => 0);
  for (let sweep = 0; sweep < 1000; sweep++)
    for (const [k, row] of products.entries()) if (row[k] > 0) found[k] += (aims[k] - inner(row, found)) / row[k];
  return found;
}

/** One step that the file may hold. */
interface Replay {
  readonly report: GoldenReport;
  /** Compares with the reference on other sides of near-ties; null if that does not agree either. */
  besideTies(): Promise<GoldenReport | null>;
}

async function replayNetwork(golden: GoldenFile, network: GoldenNetwork, backend: Backend, nearTie: number): Promise<Replay> {
  const { path, file } = golden;
  const { program, table } = network.program(false);
  const steps = metadataNumber(golden, 'steps', 1);
  const learningRate = metadataNumber(golden, 'lr');
  const { inputs } = network;
  const parameters = await readParameters(golden, table);
  const names = checkResults(golden, program, table, steps, network);
  const target =
    network.tau === undefined ? undefined : { start: await readParameters(golden, table, 'target'), tau: network.tau };
  let inFirstStep = true;
  const run = async (on: Backend, isWorthMore: (first: Results) => boolean): Promise<Results | null> => {
    const lossScaling = on.half === true;
    const scaled = lossScaling ? { ...inputs, ...lossScaleInputs(INITIAL_LOSS_SCALE) } : inputs;
    const session = await on.open(lossScaling ? network.program(true).program : program);
    inFirstStep = true;
    const onFirst = (first: Results): boolean => {
      inFirstStep = false;
      return isWorthMore(first);
    };
    return takeSteps(session, table, parameters, scaled, steps, learningRate, target, onFirst).finally(() => session.close());
  };
  const wanted = new Map<string, Float32Array>();
  for (const name of names) wanted.set(name, await file.read(name));
  const isGradient = (name: string): boolean => name.startsWith('grad.');
  const ofStep = Math.max(...names.filter(isGradient).map((name) => normOf(wanted.get(name)!)));
  const loss = Math.abs(wanted.get('loss.total')![0]);
  const allCancel = ofStep <= CANCELLED * loss;
  // then what the file holds of them is rounding too, and means nothing
  if (allCancel) for (const name of names.filter(isGradient)) wanted.get(name)!.fill(0);
  const largestGradient = allCancel ? ZERO_BESIDE * loss : ofStep;
  const compareAll = (got: Results, want: Results, ofThese = names): Comparison[] =>
    ofThese.map((name) => {
      const tolerance = /^(grad|after|after_target)\./.test(name) ? GRADIENT_TOLERANCE : OUTPUT_TOLERANCE;
      return compare(
        name,
        got.get(name)!,
        want.get(name)!,
        file.tensors.get(name)!.shape,
        tolerance,
        isGradient(name) ? largestGradient : 0,
      );
    });
  const agree = (comparisons: readonly Comparison[]): boolean => comparisons.every(({ passed }) => passed);

  const results = (await run(backend, () => true))!;
  const comparisons = compareAll(results, wanted);
  const report: GoldenReport = {
    file: path,
    backend: backend.description,
    passed: agree(comparisons),
    comparisons,
    ties: null,
    deviation: null,
  };

  /** On the reference with some of the first step's near-ties turned. Features are the same whichever way gradients go: a distance is a place. */
  let places: number[] = [];
  const replay = (turned: (gap: number) => boolean, isWorthMore: (first: Results) => boolean): Promise<Results | null> => {
    const seen = new Set<number>();
    const takesOther = (gap: number): boolean => {
      if (!inFirstStep) return false;
      seen.add(gap);
      return turned(gap);
    };
    const onFirst = (first: Results): boolean => {
      places = [...seen];
      return isWorthMore(first);
    };
    return run(referenceBackend({ ties: { tolerance: nearTie, takesOther } }), onFirst);
  };
  const besideTies = async (): Promise<GoldenReport | null> => {
    const plain = await replay(
      () => false,
      () => places.length > 0 && places.length <= MAX_TIES,
    );
    if (!plain || !agree(compareAll(plain, wanted))) return null;
    // those of biases and norms tell it, and are few
    const gradients = names.filter((name) => isGradient(name) && file.tensors.get(name)!.shape.length === 1);
    const change = (to: Results): number[] =>
      gradients.flatMap((name) => [...to.get(name)!].map((value, i) => value - plain.get(name)![i]));
    const found = places;
    const alone: number[][] = [];
    for (const place of found)
      await replay(
        (gap) => gap === place,
        (first) => {
          alone.push(change(first));
          return false;
        },
      );
    // what turning each of them changes adds up: those are taken of which more than half is in what is to be explained
    const shares = leastSquares(alone, change(results));
    const taken = found.filter((_, k) => shares[k] > 0.5);
    const other =
      taken.length > 0
        ? await replay(
            (gap) => taken.includes(gap),
            () => true,
          )
        : null;
    const beside = other && compareAll(results, other);
    return beside && agree(beside)
      ? { ...report, passed: true, comparisons: beside, ties: { places: found.length, gaps: taken } }
      : null;
  };
  return { report, besideTies };
}
