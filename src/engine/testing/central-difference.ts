/** Derivatives from values alone, to hold the gradients against. */
import { randomStream } from '../../random/random.ts';
import { referenceBackend } from '../backends/reference/backend.ts';
import { type CaseResult, caseProgram, type OperationCase, outWeightOf, runCase, runCases, wantedOf } from './case.ts';

/**
 * The step. Results are single precision, so a difference has an error of about 1e-7 / STEP; the rule of fourth order below keeps
 * the error of the step itself as small. A case must have no kink within two steps.
 */
export const STEP = 1 / 32;

/** A wanted gradient at some places: what the graph says, and what differences of the values say. */
export interface GradientCheck {
  readonly input: string;
  readonly places: readonly number[];
  readonly got: readonly number[];
  readonly want: readonly number[];
}

/** Checks up to `probes` random elements of every wanted input of a case, on the reference backend. */
export async function centralDifferences(each: OperationCase, probes = 10): Promise<GradientCheck[]> {
  const backend = referenceBackend();
  const [result] = (await runCases(backend, [each])) as [CaseResult];
  const weight = outWeightOf(each, result.out.shape);
  const session = await backend.open(caseProgram([each], true));
  const objective = async (name: string, place: number, change: number): Promise<number> => {
    const changed = each.inputs[name].values.slice();
    changed[place] += change;
    const inputs = { ...each.inputs, [name]: { ...each.inputs[name], values: changed } };
    const { out } = await runCase(session, { ...each, inputs });
    return out.reduce((sum, value, i) => sum + value * weight[i], 0);
  };
  const checks: GradientCheck[] = [];
  for (const input of wantedOf(each)) {
    const gradient = result[`d ${input}`].values;
    const places = [...randomStream(1, 'probes', input).permutation(gradient.length)].slice(0, probes);
    const want: number[] = [];
    for (const place of places) {
      const near = (await objective(input, place, STEP)) - (await objective(input, place, -STEP));
      const far = (await objective(input, place, 2 * STEP)) - (await objective(input, place, -2 * STEP));
      want.push((8 * near - far) / (12 * STEP));
    }
    checks.push({ input, places, got: places.map((place) => gradient[place]), want });
  }
  return checks;
}
