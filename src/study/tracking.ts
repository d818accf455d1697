/**
 * A study on an MLflow server: one run for the whole, whose children (`mlflow.parentRunId`) are its pre-trainings and trainings. Any process may make
 * the parent, and one does (a claim); where it lies is in OUT/mlflow.json. Nothing here makes a training wait or fail: what a server that was away has
 * not got is sent when the trainings are done, or by the next call.
 */
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { version } from '../common/version.ts';
import { writeFileAtomic } from '../platform/node/files.ts';
import { readRunRecord } from '../training/node/run-record.ts';
import { BATCH, MlflowClient, MlflowRefusal, type MlflowRun, mlflowAddress } from '../training/node/tracking/mlflow-client.ts';
import {
  type ChildRun,
  experimentName,
  isToldOf,
  openTracker,
  pair,
  parametersOf,
  reasonOf,
} from '../training/node/tracking/tracker.ts';
import type { Claims } from './claims.ts';
import type { Study } from './configuration.ts';
import type { StudyRow } from './tables.ts';

const RECORD = 'mlflow.json';
const recordSchema = z.object({ address: z.string(), experimentId: z.string(), runId: z.string(), artifactUri: z.string() });
/** A training need not wait for a server that is away: what is left is sent at the end. */
const PATIENCE = { pause: 1000, close: 2000 } as const;
/** How often, and at what intervals, a run that another process is making is looked for. */
const [LOOKS, LOOK_MS] = [20, 250];
/** Where a study keeps its trainings. */
const SHELVES = ['pretrained', 'search', 'runs'] as const;
const TYPES: Readonly<Record<string, string>> = {
  md: 'text/markdown',
  csv: 'text/csv',
  json: 'application/json',
  svg: 'image/svg+xml',
};

export interface StudyTrackingCall {
  readonly address: string;
  readonly study: Study;
  readonly out: string;
  readonly claims: Claims;
  readonly say: (line: string) => void;
  /** For tests. */
  readonly patienceMs?: ChildRun['patienceMs'];
}

export class StudyTracking {
  readonly #call: StudyTrackingCall;
  readonly #url: URL;
  readonly #client: MlflowClient;
  readonly #said = new Set<string>();
  #run: MlflowRun | undefined;

  /** @throws UsageError for what is no address */
  constructor(call: StudyTrackingCall) {
    this.#call = call;
    this.#url = mlflowAddress(call.address);
    this.#client = new MlflowClient(this.#url, process.env);
  }

  /** What a training in a folder of the study is told. */
  child(folder: string): ChildRun {
    const { address, patienceMs = PATIENCE } = this.#call;
    return {
      address,
      name: folder,
      parent: async () => (await this.#parent()).runId,
      say: (line) => this.#say(line),
      patienceMs,
    };
  }

  /** Sends what done trainings could not, and trainings that were done before anybody asked for a server: of these configuration, scores and model. */
  async sendLeft(): Promise<void> {
    const { out, claims } = this.#call;
    const left: string[] = [];
    for (const shelf of SHELVES)
      for (const name of (await readdir(join(out, shelf)).catch(() => [])).sort())
        if (!(await isToldOf(join(out, shelf, name), this.#url))) left.push(join(shelf, name));
    if (left.length === 0) return;
    const claim = await claims.claim('mlflow-rest');
    // another process is at it
    if (!claim) return;
    try {
      for (const folder of left) {
        const path = join(out, folder);
        const record = await readRunRecord(path);
        if (!record || (await isToldOf(path, this.#url))) continue;
        const { kind = 'training', configuration, versions } = record;
        const tags = { 'gvsl.version': versions?.gvsl ?? version };
        const tracker = await openTracker({ out: path, kind, configuration, tags, resume: true, ...this.child(folder) });
        tracker.ended('FINISHED');
        await tracker.close();
        // a server that is away is away for the others too
        if (!(await isToldOf(path, this.#url))) return;
      }
    } finally {
      await claim.release();
    }
  }

  /** The table, the figures, and every row's score; the study is finished then. */
  async finish(rows: readonly StudyRow[], files: readonly string[]): Promise<void> {
    try {
      const run = await this.#parent();
      const timestamp = Date.now();
      const metrics = rows.flatMap(({ method, mode, labels, mean }) => {
        const { key } = pair(`score/${method}/${mode}/${labels}`, '');
        return Number.isFinite(mean) ? [{ key, value: mean, timestamp, step: 0 }] : [];
      });
      for (let at = 0; at < metrics.length; at += BATCH.metrics)
        await this.#client.logBatch(run.runId, { metrics: metrics.slice(at, at + BATCH.metrics) });
      for (const name of files) {
        const type = TYPES[name.slice(name.lastIndexOf('.') + 1)] ?? 'application/octet-stream';
        await this.#client.putArtifact(run, name, await readFile(join(this.#call.out, name)), type);
      }
      await this.#client.updateRun(run.runId, 'FINISHED', timestamp);
    } catch (error) {
      this.#say(
        `warning: MLflow server ${this.#client.address}: ${reasonOf(error)}; the study is whole in ${this.#call.out}, and the same command with \`table\` and \`mlflow\` sends what is missing`,
      );
    }
  }

  /** Each warning once, not once a training. */
  #say(line: string): void {
    if (this.#said.has(line)) return;
    this.#said.add(line);
    this.#call.say(line);
  }

  async #parent(): Promise<MlflowRun> {
    if (this.#run) return this.#run;
    for (let look = 0; look < LOOKS; look++) {
      this.#run = (await this.#known()) ?? (await this.#make());
      if (this.#run) return this.#run;
      await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
    }
    throw new Error('another process is making the run of the study');
  }

  /** The run that OUT/mlflow.json names, if the server still has it. */
  async #known(): Promise<MlflowRun | undefined> {
    const text = await readFile(join(this.#call.out, RECORD), 'utf8').catch(() => undefined);
    if (text === undefined) return undefined;
    const { data } = z.preprocess((value) => parsed(String(value)), recordSchema).safeParse(text);
    if (data?.address !== this.#client.address) return undefined;
    try {
      await this.#client.updateRun(data.runId, 'RUNNING');
      return data;
    } catch (error) {
      if (error instanceof MlflowRefusal && error.code === 'RESOURCE_DOES_NOT_EXIST') return undefined;
      throw error;
    }
  }

  /** Makes it, unless another process does. */
  async #make(): Promise<MlflowRun | undefined> {
    const { claims, study, out } = this.#call;
    const claim = await claims.claim('mlflow');
    if (!claim) return undefined;
    try {
      const known = await this.#known();
      if (known) return known;
      const tags = { 'mlflow.source.name': 'gvsl compare', 'gvsl.kind': 'study', 'gvsl.version': version };
      const run = await this.#client.createRun(
        await this.#client.experiment(experimentName()),
        study.name,
        Date.now(),
        Object.entries(tags).map(([key, value]) => pair(key, value)),
      );
      await writeFileAtomic(join(out, RECORD), `${JSON.stringify({ address: this.#client.address, ...run }, null, 1)}\n`);
      const params = parametersOf(study);
      for (let at = 0; at < params.length; at += BATCH.params)
        await this.#client.logBatch(run.runId, { params: params.slice(at, at + BATCH.params) });
      return run;
    } finally {
      await claim.release();
    }
  }
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
