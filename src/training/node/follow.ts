/**
 * What the ranks of a training agree on before its first step. Rank 0 alone has the run's folder; the others get from it where the run stands and its
 * state, and look that they compute the same in the same way: otherwise results would depend on who computes what.
 */
import { RunError, UsageError } from '../../common/errors.ts';
import { version } from '../../common/version.ts';
import type { Backend, Session } from '../../engine/backend.ts';
import type { Memory } from '../../methods/method.ts';
import { createBackend } from '../../platform/node/backends.ts';
import { availableThreads } from '../../platform/node/limits.ts';
import type { Ranks } from '../../platform/node/ranks/ranks.ts';
import type { Run, TrainingState } from './checkpoint.ts';
import type { AgreedRun } from './run-record.ts';
import { pack, unpack } from './shared-step.ts';

/** Threads of a rank: as the configuration says, or its share of the processors that ranks of its machine have in common. */
export function threadsOf({ processorSharers, size }: Ranks, threads: 'auto' | number | undefined): number | undefined {
  if (threads !== undefined && threads !== 'auto') return threads;
  return size === 1 ? undefined : Math.max(1, Math.floor(availableThreads().threads / processorSharers));
}

/** What computes, without the number of threads, on which nothing depends. */
const softwareOf = ({ name, description }: Backend): string =>
  `gvsl ${version}, Node ${process.version}, ${name} (${description.replace(/, \d+ threads?$/, '')})`;

/** What a rank needs of a run to take part in it. */
export interface FollowedRun {
  readonly run: Run;
  readonly identity: string;
  readonly backends: readonly string[];
  readonly backend: Backend;
  /** What the method remembers of the checkpoint. */
  readonly memory: Memory | undefined;
}

/** What rank 0 found in the run's folder. */
interface Found {
  readonly state: TrainingState | null;
  readonly identity: string;
  readonly backends: readonly string[];
  readonly backend: string;
  /** Names and lengths of what is remembered. */
  readonly shapes: readonly (readonly (readonly [string, number])[])[];
}

const refuseDifferent = (all: readonly string[], what: string, advice: string): void => {
  const other = all.findIndex((each) => each !== all[0]);
  if (other > 0) throw new RunError(`${what}: rank 0 has ${all[0]}, rank ${other} has ${all[other]}; ${advice}`);
};

/**
 * Makes all ranks agree on the run.
 * @param led of rank 0 alone: the opened run, and what is remembered
 * @param own what this rank would call the run (run-record.ts)
 * @throws RunError where ranks see other inputs, or compute otherwise
 */
export async function agreeOnRun(
  ranks: Ranks,
  path: string,
  own: string,
  threads: number | undefined,
  led: { readonly run: Run; readonly agreed: AgreedRun; readonly memory: Memory | undefined } | undefined,
): Promise<FollowedRun> {
  const packed = pack(led?.memory ? [led.memory] : []);
  const found: Found | null = led
    ? {
        state: led.run.state ?? null,
        identity: led.agreed.identity,
        backends: led.agreed.backends,
        backend: led.agreed.backend.name,
        shapes: packed.shapes,
      }
    : null;
  const told = await ranks.gather({ data: { own, found }, values: packed.values });
  refuseDifferent(
    told.map(({ data }) => data.own.slice(0, 12)),
    `${path}: the ranks have different inputs (cohort, split, initial model or configuration)`,
    'give all of them the same files and options',
  );
  const { state, identity, backends, backend: name, shapes } = told[0].data.found!;
  if (name === 'reference') throw new UsageError('`backend` reference: computes on one rank only; use `backend` cpu');
  const backend = led?.agreed.backend ?? (await createBackend(name, threads));
  refuseDifferent(
    (await ranks.gather({ data: softwareOf(backend) })).map(({ data }) => data),
    'the ranks would compute with different bits',
    'start all of them on machines of one kind, with one version of Node and gvsl',
  );
  const [memory] = unpack(shapes, told[0].values!);
  const followed: Run = {
    path,
    state: state ?? undefined,
    checkpoint: undefined,
    record: undefined,
    release: () => {},
    save: async () => {},
    close: () => {},
  };
  return { run: led?.run ?? followed, identity, backends, backend, memory };
}

/** Makes states of rank 0's session everybody's. */
export async function broadcastStates(ranks: Ranks, session: Session, names: readonly string[]): Promise<void> {
  const bytesOf = (values: Float32Array): Uint8Array => new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
  // whoever could not open its session says so here, where all listen
  await ranks.gather({ data: null });
  for (const name of names) {
    if (session.stateView) await ranks.broadcast(bytesOf(session.stateView(name)));
    else {
      const values = await session.readState(name);
      await ranks.broadcast(bytesOf(values));
      if (ranks.rank > 0) await session.writeState(name, values);
    }
  }
}
