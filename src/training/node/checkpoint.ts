/**
 * A run's folder: `last` and `best`, each a model folder with the training state beside it, so that a run continues exactly:
 * Adam's moments (`state.safetensors`) and the counters (`state.json`). There is no random state to keep: every random number
 * follows from the seed and the step.
 *
 * A checkpoint replaces the one before it whole (writeFolderAtomic); killed at any moment, the run has one or the other.
 */
import { readdirSync, rmdirSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { RunError, UsageError } from '../../common/errors.ts';
import { INITIAL_LOSS_SCALE } from '../../model/loss-scaling.ts';
import { jsonText, readJson } from '../../model/node/documents.ts';
import { type Model, readModel, writeModel } from '../../model/node/model-folder.ts';
import { readSafetensors, writeSafetensors } from '../../model/node/safetensors.ts';
import { type NamedTensor, requireFinite } from '../../model/safetensors.ts';
import { findFolder, repairFolder, writeFileAtomic, writeFolderAtomic } from '../../platform/node/files.ts';
import { lockFolder } from '../../platform/node/lock.ts';
import { systemError, withMachineTrouble } from '../../platform/node/machine.ts';
import { RUN_FILE, type RunRecord, readRunRecord } from './run-record.ts';

/** Unknown keys are ignored, so that later versions may add some. */
const stateSchema = z.object({
  formatVersion: z.literal(1),
  /** Steps done, skipped ones included: the next is this number. */
  step: z.int().nonnegative(),
  /** Updates that Adam made; it corrects its moments by them. */
  adamSteps: z.int().nonnegative(),
  /** Steps left out because their loss or gradient was not finite: in all, and in a row up to now. */
  skippedSteps: z.int().nonnegative(),
  skippedInRow: z.int().nonnegative(),
  /** Steps in a row up to now in which what the method's alarm watches was below its limit. */
  alarmedInRow: z.int().nonnegative().default(0),
  /** Of trainings in half precision (src/model/loss-scaling.ts). */
  lossScale: z.object({ factor: z.number().positive(), steadySteps: z.int().nonnegative() }).default({ ...INITIAL_LOSS_SCALE }),
  /** The identity of the run (run.json); absent in runs of version 0.1. */
  run: z.string().optional(),
  /** The evaluation that `best` holds; a lower score is better. */
  best: z.object({ step: z.int().nonnegative(), score: z.number() }).nullable(),
});

/** Where a run stands. */
export type TrainingState = Omit<z.output<typeof stateSchema>, 'formatVersion'>;

export const INITIAL_STATE: TrainingState = {
  step: 0,
  adamSteps: 0,
  skippedSteps: 0,
  skippedInRow: 0,
  alarmedInRow: 0,
  lossScale: INITIAL_LOSS_SCALE,
  best: null,
};

/** Adam's first and second moments by parameter name, each in its parameter's shape. */
export interface Moments {
  readonly first: ReadonlyMap<string, NamedTensor>;
  readonly second: ReadonlyMap<string, NamedTensor>;
}

/** All that a run needs to go on. */
export interface Checkpoint extends Model {
  readonly moments: Moments;
  /** What the method carries and remembers beside them: STATE.PARAMETER, memory.NAME. */
  readonly carried: ReadonlyMap<string, NamedTensor>;
  readonly state: TrainingState;
}

const MOMENTS_FILE = 'state.safetensors';
const STATE_FILE = 'state.json';

/** Writes a checkpoint as RUN/last or RUN/best, atomically and durably. Equal checkpoints give equal bytes. */
export async function writeCheckpoint(run: string, which: 'last' | 'best', checkpoint: Checkpoint): Promise<void> {
  const { configuration, parameters, moments, carried, state } = checkpoint;
  const named = function* (): Iterable<NamedTensor> {
    for (const name of parameters.keys()) yield { ...moments.first.get(name)!, name: `m.${name}` };
    for (const name of parameters.keys()) yield { ...moments.second.get(name)!, name: `v.${name}` };
    yield* carried.values();
  };
  const path = join(run, which);
  await withMachineTrouble(path, () =>
    writeFolderAtomic(path, async (folder) => {
      await writeModel(folder, configuration, parameters.values());
      await writeSafetensors(join(folder, MOMENTS_FILE), named());
      await writeFileAtomic(join(folder, STATE_FILE), jsonText(stateSchema.parse({ formatVersion: 1, ...state })));
    }),
  );
}

/**
 * Reads RUN/last or RUN/best; undefined if the run has none.
 * @throws RunError naming the file if one is missing or damaged, or if the parts do not belong together
 */
export async function readCheckpoint(run: string, which: 'last' | 'best'): Promise<Checkpoint | undefined> {
  const folder = await findFolder(join(run, which));
  if (folder === undefined) return undefined;
  const { configuration, parameters } = await readModel(folder);
  const { formatVersion: _, ...state } = await readJson(join(folder, STATE_FILE), stateSchema);
  if (state.step !== configuration.step)
    throw new RunError(
      `${folder}: ${STATE_FILE} is of step ${state.step}, but config.json of step ${configuration.step}; were they copied together?`,
    );
  const path = join(folder, MOMENTS_FILE);
  const { tensors } = await readSafetensors(path);
  requireFinite(tensors.values(), path);
  const momentsOf = (prefix: string): Map<string, NamedTensor> => {
    const moments = new Map<string, NamedTensor>();
    for (const [name, { shape }] of parameters) {
      const moment = tensors.get(`${prefix}.${name}`);
      if (moment?.shape.join() !== shape.join())
        throw new RunError(
          `${path}: expected ${prefix}.${name} [${shape.join(', ')}]; found ${moment ? `[${moment.shape.join(', ')}]` : 'none'}`,
        );
      moments.set(name, { ...moment, name });
    }
    return moments;
  };
  const moments = { first: momentsOf('m'), second: momentsOf('v') };
  const carried = new Map([...tensors].filter(([name]) => !/^[mv]\./.test(name)));
  return { configuration, parameters, moments, carried, state };
}

/** Where a run stands, without its tensors; undefined if it has no checkpoint. */
export async function readState(run: string, which: 'last' | 'best'): Promise<TrainingState | undefined> {
  const folder = await findFolder(join(run, which));
  if (folder === undefined) return undefined;
  const { formatVersion: _, ...state } = await readJson(join(folder, STATE_FILE), stateSchema);
  return state;
}

/** A run's folder, held for writing. */
export interface Run {
  readonly path: string;
  /** Where it goes on from; undefined for a new run, and for one that was killed before its first checkpoint. */
  readonly state: TrainingState | undefined;
  /** What it goes on from, until `release`; undefined as `state` is. */
  readonly checkpoint: Checkpoint | undefined;
  /** What run.json says of a run that goes on; undefined for a new one, and for one that lost it. */
  readonly record: RunRecord | undefined;
  /** Lets go of the checkpoint, which takes the network's memory three times. */
  release(): void;
  save(which: 'last' | 'best', checkpoint: Checkpoint): Promise<void>;
  /** Lets others have the folder. */
  close(): void;
}

/** What a run may leave before its first checkpoint; a folder with other things in it is not written into. */
const OF_A_RUN = /^(metrics\.jsonl|run\.json|evaluation\.json|report\.html|events|pictures|best|last|\..*)$/;

/**
 * Opens a run's folder for one writer, after repairing what a killed one left.
 * @param resume whether to go on: from RUN/last, or from the beginning where the run was killed before its first checkpoint; without it
 *   the folder must hold no checkpoint
 * @throws UsageError if `resume` and the folder do not fit together
 * @throws RunError if another process is writing there, or the checkpoint is damaged
 */
export async function openRun(path: string, { resume }: { readonly resume: boolean }): Promise<Run> {
  const names = await readdir(path).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined;
    if (error.code === 'ENOTDIR') throw new UsageError(`\`out\` ${path}: is a file or inside one; expected a folder for the run`);
    throw systemError(error, path) ?? error;
  });
  if (resume && names === undefined) throw new UsageError(`\`resume\`: there is no run at ${path}; omit \`resume\` to start one`);
  if (resume && !names!.some((name) => [RUN_FILE, 'last', '.last.ready'].includes(name)))
    throw new UsageError(
      `\`resume\`: there is no run at ${path} (no ${RUN_FILE} and no checkpoint in it); omit \`resume\` to start one`,
    );
  // A finished run may hold whatever its user put there; a new one does not begin among other things.
  const foreign = resume || names?.includes('last') ? undefined : names?.find((name) => !OF_A_RUN.test(name));
  if (foreign !== undefined) throw new UsageError(`\`out\` ${path}: is not empty (${foreign}); choose a new or empty folder`);
  const unlock = lockFolder(path);
  try {
    for (const which of ['last', 'best']) await withMachineTrouble(path, () => repairFolder(join(path, which)));
    const hasLast = (await findFolder(join(path, 'last'))) !== undefined;
    if (hasLast && !resume)
      throw new UsageError(`\`out\` ${path}: already contains a run; continue it with \`resume\`, or choose another folder`);
    let checkpoint = hasLast ? await readCheckpoint(path, 'last') : undefined;
    return {
      path,
      state: checkpoint?.state,
      get checkpoint() {
        return checkpoint;
      },
      record: resume ? await readRunRecord(path) : undefined,
      release: () => {
        checkpoint = undefined;
      },
      save: (which, checkpoint) => writeCheckpoint(path, which, checkpoint),
      close: () => {
        unlock();
        // a run that was refused before it began leaves no empty folder
        if (names === undefined && readdirSync(path).length === 0) rmdirSync(path);
      },
    };
  } catch (error) {
    unlock();
    throw error;
  }
}
