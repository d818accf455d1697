/**
 * Sends what a training logs to an MLflow server, beside it: nothing here makes the training wait or fail. Values are gathered, and sent in batches
 * between steps; while the server is away they are kept, in RUN/mlflow.json too, and tried again at growing intervals. What could not be sent when the
 * training ends goes out when the run is resumed. The only part of this package that uses the network, and only where an address is given.
 */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { counted } from '../../../common/counted.ts';
import { isFile, writeFileAtomic } from '../../../platform/node/files.ts';
import {
  BATCH,
  type Metric,
  MlflowClient,
  MlflowRefusal,
  type MlflowRun,
  mlflowAddress,
  type NameAndValue,
} from './mlflow-client.ts';

export interface Tracker {
  /** Values by tag, as for TensorBoard ('loss/ncc'). */
  scalars(step: number, values: Readonly<Record<string, number>>): void;
  picture(step: number, tag: string, png: Uint8Array): void;
  /** How the training ended; without a word it failed. */
  ended(how: 'FINISHED' | 'KILLED'): void;
  /** Sends what is left, then the run's files; gives up after some seconds without an answer. */
  close(): Promise<void>;
}

/** A run of a server that has a parent there: a training of a study. */
export interface ChildRun {
  /** Of the server. */
  readonly address: string;
  /** As the server shows it. */
  readonly name: string;
  /** The parent's id. Fails while the server does not answer. */
  readonly parent: () => Promise<string>;
  readonly say: (line: string) => void;
  readonly patienceMs: NonNullable<TrackerCall['patienceMs']>;
}

export interface TrackerCall {
  /** Of the server. */
  readonly address: string;
  /** As the server shows it; by default the folder. */
  readonly name?: string;
  readonly parent?: ChildRun['parent'];
  /** The run's folder. */
  readonly out: string;
  /** 'pre-training' or 'training'. */
  readonly kind: string;
  readonly configuration: object;
  /** What is known of the run, for people. */
  readonly tags: Readonly<Record<string, string>>;
  readonly resume: boolean;
  readonly say: (line: string) => void;
  /** Of the first pause after a failure, and the time that closing may take without an answer; for tests. */
  readonly patienceMs?: { readonly pause: number; readonly close: number };
}

/** What is known of a run on a server, in the run's folder. */
const RECORD = 'mlflow.json';
const recordSchema = z.object({
  address: z.string(),
  experimentId: z.string(),
  runId: z.string(),
  artifactUri: z.string(),
  /** How the run ended, where the server knows it. */
  told: z.string().optional(),
  /** Values that the server has not got yet. */
  unsent: z.array(z.object({ key: z.string(), value: z.number(), timestamp: z.number(), step: z.int() })),
});
/** Where the run was not yet known to the server. */
const unknownRunSchema = recordSchema.pick({ address: true, unsent: true });

/** A day's training logs some ten thousand values. */
const MAX_WAITING = 200_000;
const MAX_PICTURES = 100;
const PATIENCE = { pause: 2000, close: 20_000 } as const;
const LONGEST_PAUSE_MS = 60_000;
/** What is sent at the end, if it is there. */
const FILES = [
  ['best/model.safetensors', 'application/octet-stream'],
  ['best/config.json', 'application/json'],
  ['run.json', 'application/json'],
  ['evaluation.json', 'application/json'],
  ['validation.json', 'application/json'],
  ['test.json', 'application/json'],
] as const;

/** The experiment that runs belong to. */
export const experimentName = (): string => process.env.MLFLOW_EXPERIMENT_NAME || 'gvsl';

/** MLflow takes letters, digits and _-. :/ in names. */
const nameOf = (text: string): string => text.replaceAll(/[^\w\-. :/]/g, '_').slice(0, BATCH.keyLength);
export const pair = (key: string, value: unknown): NameAndValue => ({
  key: nameOf(key),
  value: (typeof value === 'string' ? value : JSON.stringify(value)).slice(0, BATCH.valueLength),
});

/** The keys of a configuration: 'data.patch'. */
export function parametersOf(value: object, path = ''): NameAndValue[] {
  return Object.entries(value).flatMap(([key, inner]) => {
    const name = path === '' ? key : `${path}.${key}`;
    if (inner === undefined) return [];
    return typeof inner === 'object' && inner !== null && !Array.isArray(inner) ? parametersOf(inner, name) : [pair(name, inner)];
  });
}

/** Numbers of a document of scores, by their place: 'test/dice'. */
function numbersOf(value: unknown, path: string): Record<string, number> {
  if (typeof value === 'number') return { [path]: value };
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return {};
  return Object.assign({}, ...Object.entries(value).map(([key, inner]) => numbersOf(inner, `${path}/${key}`)));
}

export const reasonOf = (error: unknown): string => {
  if (!(error instanceof Error)) return String(error);
  if (error.name === 'TimeoutError') return 'no answer in time';
  const cause = error.cause instanceof Error ? error.cause.message : '';
  return cause === '' ? error.message : cause;
};

class MlflowTracker implements Tracker {
  readonly #call: TrackerCall;
  readonly #client: MlflowClient;
  readonly #patience: { readonly pause: number; readonly close: number };
  #run: MlflowRun | undefined;
  #waiting: Metric[] = [];
  #pictures: { readonly path: string; readonly png: Uint8Array }[] = [];
  #begun = false;
  /** What the server refused for good. */
  #given = false;
  #warned = false;
  #dropped = 0;
  #lostPictures = 0;
  /** Of the files of the run's end those that did not get through, and why. */
  #lostFiles: string[] = [];
  #status: 'FINISHED' | 'KILLED' | 'FAILED' = 'FAILED';
  #told: string | undefined;
  #failures = 0;
  #pumping: Promise<void> | undefined;
  #timer: NodeJS.Timeout | undefined;
  #closing = false;

  constructor(call: TrackerCall, client: MlflowClient, run: MlflowRun | undefined, unsent: readonly Metric[]) {
    [this.#call, this.#client, this.#run, this.#waiting] = [call, client, run, [...unsent]];
    this.#patience = call.patienceMs ?? PATIENCE;
    this.#pump();
  }

  scalars(step: number, values: Readonly<Record<string, number>>): void {
    if (this.#given) return;
    const timestamp = Date.now();
    for (const [key, value] of Object.entries(values))
      if (Number.isFinite(value)) this.#waiting.push({ key: nameOf(key), value, timestamp, step });
    const over = this.#waiting.length - MAX_WAITING;
    if (over > 0) {
      this.#waiting.splice(0, over);
      this.#dropped += over;
    }
    this.#pump();
  }

  picture(step: number, tag: string, png: Uint8Array): void {
    if (this.#given) return;
    const path = `pictures/${nameOf(tag).replaceAll(/[/: ]/g, '-')}-${String(step).padStart(7, '0')}.png`;
    this.#pictures.push({ path, png });
    if (this.#pictures.length > MAX_PICTURES) {
      this.#pictures.shift();
      this.#lostPictures++;
    }
    this.#pump();
  }

  ended(how: 'FINISHED' | 'KILLED'): void {
    this.#status = how;
  }

  async close(): Promise<void> {
    this.#closing = true;
    const { step, values } = await this.#scores();
    const waits = new Set(this.#waiting.map((metric) => `${metric.key} ${metric.step}`));
    this.scalars(step, Object.fromEntries(Object.entries(values).filter(([key]) => !waits.has(`${nameOf(key)} ${step}`))));
    const end = Date.now() + this.#patience.close;
    for (;;) {
      clearTimeout(this.#timer);
      this.#timer = undefined;
      this.#pump();
      await this.#pumping;
      if (this.#given || this.#failures === 0 || Date.now() >= end) break;
      await new Promise((resolve) => setTimeout(resolve, Math.min(this.#patience.pause, Math.max(0, end - Date.now()))));
    }
    if (this.#failures === 0 && !this.#given && this.#run) await this.#finish(this.#run);
    await this.#keep();
    if (!this.#given) this.#sayWhatIsLeft();
    if (this.#dropped > 0)
      this.#call.say(`warning: ${this.#client.address}: ${this.#dropped} values were too many to keep; metrics.jsonl has them`);
  }

  /** What a run that is done has not sent, and how it goes out. */
  #sayWhatIsLeft(): void {
    const { address } = this.#client;
    const { out } = this.#call;
    const left = [
      ...(this.#waiting.length > 0 ? [counted(this.#waiting.length, 'value')] : []),
      ...this.#lostFiles,
      ...(this.#told === undefined && this.#lostFiles.length === 0 ? [`how the run ended, with its model and scores`] : []),
    ];
    if (left.length > 0)
      this.#call.say(
        `warning: ${address}: could not be sent: ${left.join('; ')}. It is kept in ${out}, and sent by the same command with \`resume\` and \`mlflow\``,
      );
    const pictures = this.#pictures.length + this.#lostPictures;
    if (pictures > 0)
      this.#call.say(`warning: ${address}: ${counted(pictures, 'picture')} could not be sent; ${join(out, 'pictures')} has them`);
  }

  /** Sends what waits, if nothing is being sent and no pause is on. */
  #pump(): void {
    if (this.#pumping || this.#timer || this.#given) return;
    this.#pumping = this.#send()
      .then(async () => {
        const wasAway = this.#failures > 0;
        this.#failures = 0;
        if (wasAway) await this.#keep();
      })
      .catch(async (error: unknown) => {
        this.#failed(error);
        // a training that is killed while the server is away has it all the same
        await this.#keep();
      })
      .finally(() => {
        this.#pumping = undefined;
        if (this.#failures > 0 && !this.#given && !this.#closing) {
          const pause = Math.min(LONGEST_PAUSE_MS, this.#patience.pause * 2 ** (this.#failures - 1));
          this.#timer = setTimeout(() => {
            this.#timer = undefined;
            this.#pump();
          }, pause);
          // a pause keeps no program alive
          this.#timer.unref();
        } else if (this.#failures === 0 && (this.#waiting.length > 0 || this.#pictures.length > 0)) this.#pump();
      });
  }

  #failed(error: unknown): void {
    this.#failures++;
    const forGood = error instanceof MlflowRefusal && !error.passes;
    if (forGood) this.#given = true;
    if (this.#warned && !forGood) return;
    this.#warned = true;
    const unknown = error instanceof MlflowRefusal && error.status === 401;
    const follows = forGood
      ? `${unknown ? 'set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN; ' : ''}the training goes on without it; metrics.jsonl has all values`
      : 'the training goes on, and what it logs is kept and sent later';
    this.#call.say(`warning: MLflow server ${this.#client.address}: ${reasonOf(error)}; ${follows}`);
  }

  async #send(): Promise<void> {
    const run = await this.#open();
    while (this.#waiting.length > 0) {
      const metrics = this.#waiting.slice(0, BATCH.metrics);
      await this.#client.logBatch(run.runId, { metrics });
      // what was dropped meanwhile was at the front
      this.#waiting = this.#waiting.filter((metric) => !metrics.includes(metric));
    }
    for (let picture = this.#pictures[0]; picture; picture = this.#pictures[0]) {
      await this.#put(run, picture.path, picture.png, 'image/png');
      this.#pictures = this.#pictures.filter((one) => one !== picture);
    }
  }

  /** The run on the server: the one that this run has there, if it is still there. */
  async #open(): Promise<MlflowRun> {
    if (this.#begun && this.#run) return this.#run;
    if (this.#run) {
      try {
        await this.#client.updateRun(this.#run.runId, 'RUNNING');
        this.#begun = true;
        return this.#run;
      } catch (error) {
        if (!(error instanceof MlflowRefusal) || error.code !== 'RESOURCE_DOES_NOT_EXIST') throw error;
        this.#call.say(
          `warning: MLflow server ${this.#client.address}: the run ${this.#run.runId} is no longer there; a new one is made`,
        );
        this.#run = undefined;
      }
    }
    const { kind, out, name = out, parent, configuration, tags } = this.#call;
    const parentId = await parent?.();
    const experiment = await this.#client.experiment(experimentName());
    const described = Object.entries({
      'mlflow.source.name': `gvsl ${kind}`,
      'gvsl.kind': kind,
      ...(parentId !== undefined && { 'mlflow.parentRunId': parentId }),
      ...tags,
    });
    const run = await this.#client.createRun(
      experiment,
      name,
      Date.now(),
      described.map(([key, value]) => pair(key, value)),
    );
    this.#run = run;
    await this.#keep();
    const params = parametersOf(configuration);
    for (let at = 0; at < params.length; at += BATCH.params)
      await this.#client.logBatch(run.runId, { params: params.slice(at, at + BATCH.params) });
    this.#begun = true;
    return run;
  }

  async #put(run: MlflowRun, path: string, bytes: Uint8Array, type: string): Promise<void> {
    try {
      await this.#client.putArtifact(run, path, bytes, type);
    } catch (error) {
      if (!(error instanceof MlflowRefusal) || error.passes) throw error;
      this.#call.say(`warning: MLflow server ${this.#client.address}: does not take ${path}: ${error.message}`);
    }
  }

  /** The scores that the end of a training wrote. */
  async #scores(): Promise<{ step: number; values: Record<string, number> }> {
    const values: Record<string, number> = {};
    let step = 0;
    for (const part of ['validation', 'test']) {
      const text = await readFile(join(this.#call.out, `${part}.json`), 'utf8').catch(() => undefined);
      if (text === undefined || this.#status !== 'FINISHED') continue;
      const document = JSON.parse(text) as { step?: unknown; summary?: unknown };
      if (typeof document.step === 'number') step = document.step;
      Object.assign(values, numbersOf(document.summary, part));
    }
    return { step, values };
  }

  async #finish(run: MlflowRun): Promise<void> {
    const lost: string[] = [];
    try {
      for (const [path, type] of FILES) {
        const file = join(this.#call.out, path);
        if (!(await isFile(file))) continue;
        const there = path.replace(/^best\//, 'model/');
        try {
          await this.#put(run, there, await readFile(file), type);
        } catch (error) {
          // a proxy may cut the line where a file is larger than it takes: the others go on, where that does not take long to find out
          if (error instanceof MlflowRefusal || (error instanceof Error && error.name === 'TimeoutError')) throw error;
          lost.push(`${there} (${reasonOf(error)})`);
        }
      }
      await this.#client.updateRun(run.runId, this.#status, Date.now());
      this.#lostFiles = lost;
      if (lost.length === 0) this.#told = this.#status;
    } catch (error) {
      this.#failed(error);
    }
  }

  /** Writes what a resumed run must know. */
  async #keep(): Promise<void> {
    const record = { address: this.#client.address, ...this.#run, told: this.#told, unsent: this.#waiting };
    await writeFileAtomic(join(this.#call.out, RECORD), `${JSON.stringify(record, null, 1)}\n`).catch((error: unknown) =>
      this.#call.say(`warning: ${join(this.#call.out, RECORD)}: ${reasonOf(error)}`),
    );
  }
}

/** Whether a server has all of a run that is done. */
export async function isToldOf(out: string, address: URL): Promise<boolean> {
  const record = recordSchema.safeParse(await recordIn(out)).data;
  const { address: bare } = new MlflowClient(address, {});
  return record?.address === bare && record.told === 'FINISHED' && record.unsent.length === 0;
}

/** What lies in a folder of its run on a server. */
async function recordIn(out: string): Promise<unknown> {
  const text = await readFile(join(out, RECORD), 'utf8').catch(() => undefined);
  try {
    return text === undefined ? undefined : JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** Begins to track a run; one that is resumed goes on as the run that it was on this server. @throws UsageError for what is no address */
export async function openTracker(call: TrackerCall): Promise<Tracker> {
  const client = new MlflowClient(mlflowAddress(call.address), process.env);
  const document = call.resume ? await recordIn(call.out) : undefined;
  const known = unknownRunSchema.safeParse(document);
  const run = recordSchema.safeParse(document);
  const isSame = known.success && known.data.address === client.address;
  if (run.success && !isSame)
    call.say(
      `warning: MLflow server ${client.address}: the run up to here is on ${run.data.address}; what follows, and what that one has not got, is a new run here`,
    );
  return new MlflowTracker(call, client, isSame && run.success ? run.data : undefined, known.data?.unsent ?? []);
}
