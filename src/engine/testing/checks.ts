/** The tests of an operation, one line each: they register vitest cases for every backend. */
import { expect, it } from 'vitest';
import { referenceBackend } from '../backends/reference/backend.ts';
import { Graph, ShapeError } from '../graph.ts';
import { itOnEveryBackend } from './backends.ts';
import { type Build, type CaseResult, type OperationCase, runCases, type Tensor } from './case.ts';
import { centralDifferences } from './central-difference.ts';
import { difference } from './compare.ts';
import { goldenCase, readGoldens } from './goldens.ts';
import { randomCases, smoothCases, type TestedOperation } from './random-cases.ts';

const TOLERANCE = 1e-5;
/** Of central differences: both sides come from double precision and are rounded once. */
const DIFFERENCE_TOLERANCE = 1e-6;
/** Where the gradient is zero, the differences are rounding errors of doubles over a small step: some 1e-12. */
const DIFFERENCE_LEAST = 1e-4;

/** What of `want` the result does not meet, one line each. */
function faults(each: OperationCase, got: CaseResult, want: Readonly<Record<string, Tensor>>, tolerance: number): string[] {
  return Object.entries(want).flatMap(([name, { values, shape }]) => {
    const fault = difference(got[name].values, values, shape, tolerance);
    return fault ? [`${each.title}, ${name}: ${fault}`] : [];
  });
}

/** Every backend gives the wanted values, of the order of 1, for 'out' and, where named, 'd INPUT'. */
export function itGives(
  title: string,
  each: Omit<OperationCase, 'title'>,
  want: Readonly<Record<string, ArrayLike<number>>>,
): void {
  itOnEveryBackend(title, async (backend, toleranceFactor) => {
    const [result] = (await runCases(backend, [{ ...each, title }])) as [CaseResult];
    const tolerance = (each.tolerance ?? TOLERANCE) * toleranceFactor;
    const found = Object.entries(want).map(([name, values]) =>
      difference(result[name].values, values, result[name].shape, tolerance, 1),
    );
    expect(found.filter((fault) => fault !== undefined)).toEqual([]);
  });
}

/** Every backend gives PyTorch's result and gradients for a golden of scripts/make-op-goldens.py. */
export function itMatchesGolden(name: string, build: Build, tolerance = TOLERANCE): void {
  itOnEveryBackend(`matches PyTorch: ${name}`, async (backend, toleranceFactor) => {
    const { each, want } = goldenCase(await readGoldens(), name, build);
    const [result] = (await runCases(backend, [each])) as [CaseResult];
    expect(result.out.shape).toEqual(want.out.shape);
    expect(faults(each, result, want, tolerance * toleranceFactor)).toEqual([]);
  });
}

/** On random small shapes, the gradients are what central differences of the values say (reference backend). */
export function itHasItsGradients(name: TestedOperation, count = 3): void {
  it(`${name}: gradients are central differences`, async () => {
    const found: string[] = [];
    for (const each of smoothCases(name, count)) {
      for (const { input, places, got, want } of await centralDifferences(each)) {
        const fault = difference(got, want, [places.length], DIFFERENCE_TOLERANCE, DIFFERENCE_LEAST);
        if (fault) found.push(`${each.title}, d ${input} (places are into ${places.join(', ')}): ${fault}`);
      }
    }
    expect(found).toEqual([]);
  });
}

/** Every backend gives what the reference gives for these cases, result and gradients. */
export function itAgreesOn(title: string, casesOf: () => readonly OperationCase[]): void {
  itOnEveryBackend(`agrees with the reference on ${title}`, async (backend, toleranceFactor) => {
    const cases = casesOf();
    const want = await runCases(referenceBackend(), cases);
    const got = await runCases(backend, cases);
    expect(cases.flatMap((each, i) => faults(each, got[i], want[i], (each.tolerance ?? TOLERANCE) * toleranceFactor))).toEqual(
      [],
    );
  });
}

/** On random awkward shapes, every backend gives what the reference gives, result and gradients. */
export const itAgreesOnRandomShapes = (name: TestedOperation, count = 16): void =>
  itAgreesOn(`random shapes of ${name}`, () => randomCases(name, count));

/** Building it is refused with exactly this message. */
export function itRefuses(title: string, build: (graph: Graph) => unknown, message: string): void {
  it(`refuses ${title}`, () => {
    expect(() => build(new Graph())).toThrow(new ShapeError(message));
  });
}
