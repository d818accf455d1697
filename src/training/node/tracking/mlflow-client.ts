/**
 * The few calls of MLflow's REST API that a training needs (mlflow.org, docs/rest-api; version 2.0 of its paths, which MLflow 1 to 3 serve), and its
 * artifact proxy. One call, one request: waiting and trying again is the tracker's.
 */
import { UsageError } from '../../../common/errors.ts';

/** A server that answered, and said no. */
export class MlflowRefusal extends Error {
  override readonly name = 'MlflowRefusal';
  readonly status: number;
  /** MLflow's word for it: 'RESOURCE_DOES_NOT_EXIST'; '' if it gave none. */
  readonly code: string;
  constructor(status: number, code: string, message: string) {
    super(message);
    this.status = status;
    this.code = code;
  }
  /** Whether the same request may be taken later. */
  get passes(): boolean {
    return this.status >= 500 || this.status === 408 || this.status === 429;
  }
}

export interface MlflowRun {
  readonly experimentId: string;
  readonly runId: string;
  /** Where its artifacts lie: 'mlflow-artifacts:/0/ab12/artifacts' if the server passes them on. */
  readonly artifactUri: string;
}

export interface Metric {
  readonly key: string;
  readonly value: number;
  /** Milliseconds since 1970. */
  readonly timestamp: number;
  readonly step: number;
}

export interface NameAndValue {
  readonly key: string;
  readonly value: string;
}

/** The limits of one log-batch: MLflow refuses more. */
export const BATCH = { metrics: 900, params: 100, tags: 100, valueLength: 500, keyLength: 250 } as const;

/** How long an answer may take. */
const CALL_MS = 10_000;
/** Bytes a millisecond of the slowest line on which files are sent. */
const SLOWEST = 250;

const PROXIED = /^mlflow-artifacts:(?:\/\/[^/]*)?\/(.*)$/;

/** The address of a server. @throws UsageError if it is none */
export function mlflowAddress(text: string): URL {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (!url || !/^https?:$/.test(url.protocol))
    throw new UsageError(`\`mlflow\` ${text}: expected the address of an MLflow server, such as http://localhost:5000`);
  return url;
}

/** How the server knows who asks: from the environment, or from the address. */
function authorization(
  { username, password }: URL,
  environment: Readonly<Record<string, string | undefined>>,
): string | undefined {
  const { MLFLOW_TRACKING_TOKEN: token, MLFLOW_TRACKING_USERNAME: user, MLFLOW_TRACKING_PASSWORD: secret = '' } = environment;
  const basic = (name: string, word: string): string => `Basic ${Buffer.from(`${name}:${word}`).toString('base64')}`;
  if (user) return basic(user, secret);
  if (token) return `Bearer ${token}`;
  return username ? basic(decodeURIComponent(username), decodeURIComponent(password)) : undefined;
}

export class MlflowClient {
  /** Without credentials. */
  readonly address: string;
  readonly #headers: Readonly<Record<string, string>>;

  constructor(url: URL, environment: Readonly<Record<string, string | undefined>>) {
    const said = authorization(url, environment);
    this.#headers = said === undefined ? {} : { authorization: said };
    const bare = new URL(url);
    bare.username = bare.password = bare.search = bare.hash = '';
    this.address = bare.href.replace(/\/+$/, '');
  }

  async #fetch(method: string, path: string, body: string | Uint8Array | undefined, type: string, timeoutMs: number) {
    const limit = timeLimit(timeoutMs);
    try {
      const response = await fetch(`${this.address}${path}`, {
        method,
        headers: { ...this.#headers, ...(body === undefined ? {} : { 'content-type': type }) },
        ...(body === undefined ? {} : { body: typeof body === 'string' ? body : Uint8Array.from(body) }),
        signal: limit.signal,
      });
      return answerOf(response, await response.text());
    } finally {
      limit.end();
    }
  }

  async #call(method: 'GET' | 'POST', path: string, body?: object): Promise<Record<string, unknown>> {
    const text = await this.#fetch(method, `/api/2.0/mlflow/${path}`, body && JSON.stringify(body), 'application/json', CALL_MS);
    const said = parsed(text);
    if (!said) throw new MlflowRefusal(400, '', 'its answer is not JSON: is this an MLflow server?');
    return said;
  }

  /** The experiment of a name, made if there is none. */
  async experiment(name: string): Promise<string> {
    const known = async (): Promise<string | undefined> => {
      try {
        const { experiment } = await this.#call('GET', `experiments/get-by-name?experiment_name=${encodeURIComponent(name)}`);
        return textOf(experiment, 'experiment_id');
      } catch (error) {
        if (error instanceof MlflowRefusal && error.code === 'RESOURCE_DOES_NOT_EXIST') return undefined;
        throw error;
      }
    };
    const found = await known();
    if (found !== undefined) return found;
    try {
      return textOf(await this.#call('POST', 'experiments/create', { name }), 'experiment_id');
    } catch (error) {
      // another run was quicker
      if (error instanceof MlflowRefusal && error.code === 'RESOURCE_ALREADY_EXISTS') return (await known())!;
      throw error;
    }
  }

  async createRun(experimentId: string, name: string, startTime: number, tags: readonly NameAndValue[]): Promise<MlflowRun> {
    const body = { experiment_id: experimentId, run_name: name, start_time: startTime, tags };
    const { run } = await this.#call('POST', 'runs/create', body);
    const info = isRecord(run) ? run.info : undefined;
    return { experimentId, runId: textOf(info, 'run_id'), artifactUri: textOf(info, 'artifact_uri') };
  }

  async logBatch(
    runId: string,
    batch: { metrics?: readonly Metric[]; params?: readonly NameAndValue[]; tags?: readonly NameAndValue[] },
  ): Promise<void> {
    await this.#call('POST', 'runs/log-batch', { run_id: runId, ...batch });
  }

  async updateRun(runId: string, status: 'RUNNING' | 'FINISHED' | 'FAILED' | 'KILLED', endTime?: number): Promise<void> {
    await this.#call('POST', 'runs/update', { run_id: runId, status, ...(endTime === undefined ? {} : { end_time: endTime }) });
  }

  /** Sends a file to where the server passes artifacts on; false if it does not. */
  async putArtifact({ artifactUri }: MlflowRun, path: string, bytes: Uint8Array, type: string): Promise<boolean> {
    const place = PROXIED.exec(artifactUri)?.[1];
    if (place === undefined) return false;
    const whole = `${place.replace(/\/+$/, '')}/${path}`.split('/').map(encodeURIComponent).join('/');
    await this.#fetch('PUT', `/api/2.0/mlflow-artifacts/artifacts/${whole}`, bytes, type, CALL_MS + bytes.length / SLOWEST);
    return true;
  }
}

/** The text of an answer that says yes. */
function answerOf(response: Response, text: string): string {
  if (response.ok) return text;
  const said = parsed(text);
  const code = typeof said?.error_code === 'string' ? said.error_code : '';
  const message = typeof said?.message === 'string' ? said.message : response.statusText;
  throw new MlflowRefusal(
    response.status,
    code,
    `${response.status} ${code} ${message}`.replaceAll(/\s+/g, ' ').trim().slice(0, 300),
  );
}

const TICK_MS = 500;
/** Ends a request after so much time in which this thread could hear the answer: a step that computes for a minute counts as one tick. */
function timeLimit(timeoutMs: number): { readonly signal: AbortSignal; readonly end: () => void } {
  const controller = new AbortController();
  let left = timeoutMs;
  const timer = setInterval(() => {
    left -= TICK_MS;
    if (left <= 0) controller.abort(new DOMException('no answer in time', 'TimeoutError'));
  }, TICK_MS);
  return { signal: controller.signal, end: () => clearInterval(timer) };
}

const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

function parsed(text: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(text || '{}');
    return isRecord(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

function textOf(value: unknown, key: string): string {
  const found = isRecord(value) ? value[key] : undefined;
  if (typeof found !== 'string') throw new MlflowRefusal(400, '', `its answer has no ${key}: is this an MLflow server?`);
  return found;
}
