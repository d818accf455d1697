/** What a way to pre-train adds to the loop of every training: how it takes a batch, what it carries, measures, and computes anew. */
import type { Subject } from '../../cohort/cohort.ts';
import type { CohortReader } from '../../cohort/reader.ts';
import type { Session } from '../../engine/backend.ts';
import type { ExampleTensors, Memory, PretrainingMethod, StepOutputs } from '../../methods/method.ts';
import { joinSamples } from '../../methods/samples.ts';
import type { PretrainingConfiguration } from '../../methods/schema-parts.ts';
import type { GradientOutputs } from '../step.ts';
import type { ExampleSource } from './data-loader.ts';
import type { Training } from './loop.ts';

/** The outputs `out.NAME` of a run, by NAME. */
const namedOutputs = (outputs: GradientOutputs): StepOutputs =>
  Object.fromEntries(
    Object.entries(outputs).flatMap(([name, values]) => (name.startsWith('out.') ? [[name.slice(4), values]] : [])),
  );

/** The examples of a method that has yet to compute what they follow from. */
export const NO_EXAMPLES: ExampleSource<ExampleTensors> = {
  take: async () => {
    throw new Error('no examples before the first refresh');
  },
  close: async () => {},
};

/** What a method's hooks work with. */
export interface HookContext<Configuration> {
  readonly session: Session;
  readonly configuration: Configuration;
  readonly training: readonly Subject[];
  readonly reader: CohortReader;
  readonly memory: Memory | undefined;
  readonly openExamples: (step: number, memory: Memory) => Promise<ExampleSource<ExampleTensors>>;
}

type Hooks = Pick<Training<ExampleTensors>, 'join' | 'carried' | 'measure' | 'alarm' | 'afterUpdate' | 'refresh'>;

/** A method's hooks, for `runTraining`. */
export function methodHooks<Configuration extends PretrainingConfiguration>(
  method: PretrainingMethod<Configuration>,
  { session, configuration, training, reader, memory, openExamples }: HookContext<Configuration>,
): Hooks {
  const { refresh, carried, takes } = method;
  const { batch } = configuration;
  return {
    ...(takes === 'batch' && {
      join: (samples) =>
        Array.from({ length: samples.length / batch }, (_, i) => joinSamples(samples.slice(i * batch, (i + 1) * batch))),
    }),
    ...(carried && { carried }),
    ...(method.measure && { measure: (outputs) => method.measure!(outputs.map(namedOutputs), configuration) }),
    alarm: method.alarm?.(configuration) ?? null,
    ...(method.afterUpdate && { afterUpdate: (step) => method.afterUpdate!(session, configuration, step) }),
    ...(refresh && {
      refresh: {
        every: refresh.every(configuration),
        memory,
        compute: (step) => refresh.compute(session, configuration, training, reader, step),
        examples: openExamples,
      },
    }),
  };
}
