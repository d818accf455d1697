/** A server for tests that follows MLflow's REST API and refuses what MLflow refuses. */
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';

export interface StoredRun {
  status: string;
  name: string;
  endTime: number | undefined;
  readonly metrics: { key: string; value: number; step: number; timestamp: number }[];
  readonly params: Map<string, string>;
  readonly tags: Map<string, string>;
}

/** What a server of MLflow keeps, by its REST API 2.0: what is wrong is refused with its error codes. */
export class FakeMlflow {
  readonly experiments = new Map<string, string>();
  readonly runs = new Map<string, StoredRun>();
  readonly artifacts = new Map<string, Buffer>();
  readonly authorizations = new Set<string>();
  readonly calls: string[] = [];
  /** Answers that come first, whatever is asked. */
  readonly trouble: number[] = [];
  artifactRoot = 'mlflow-artifacts:';
  /** Bytes of the largest file that is taken; a larger one is refused, or its connection cut. */
  largest = Number.POSITIVE_INFINITY;
  cuts = false;

  answer(method: string, url: URL, body: Buffer): [number, object] {
    const refuse = (status: number, code: string, message = code): [number, object] => [status, { error_code: code, message }];
    const [path] = url.href.slice(url.origin.length).split('?');
    this.calls.push(`${method} ${path}`);
    const status = this.trouble.shift();
    if (status !== undefined) return refuse(status, status === 403 ? 'PERMISSION_DENIED' : 'INTERNAL_ERROR');
    const artifact = /^\/api\/2\.0\/mlflow-artifacts\/artifacts\/(.+)$/.exec(path)?.[1];
    if (artifact !== undefined && method === 'PUT') {
      if (artifact.split('/').includes('..')) return refuse(400, 'INVALID_PARAMETER_VALUE');
      if (body.length > this.largest) return refuse(413, 'REQUEST_LIMIT_EXCEEDED', 'too large');
      this.artifacts.set(decodeURIComponent(artifact), body);
      return [200, {}];
    }
    const call = path.replace('/api/2.0/mlflow/', '');
    if (method === 'GET' && call === 'experiments/get-by-name') {
      const id = this.experiments.get(url.searchParams.get('experiment_name')!);
      return id === undefined ? refuse(404, 'RESOURCE_DOES_NOT_EXIST') : [200, { experiment: { experiment_id: id } }];
    }
    if (method !== 'POST') return refuse(404, 'ENDPOINT_NOT_FOUND');
    const given = JSON.parse(body.toString()) as Record<string, unknown>;
    if (call === 'experiments/create') {
      if (this.experiments.has(given.name as string)) return refuse(400, 'RESOURCE_ALREADY_EXISTS');
      const id = String(this.experiments.size + 1);
      this.experiments.set(given.name as string, id);
      return [200, { experiment_id: id }];
    }
    if (call === 'runs/create') {
      if (![...this.experiments.values()].includes(given.experiment_id as string)) return refuse(404, 'RESOURCE_DOES_NOT_EXIST');
      if (!Number.isInteger(given.start_time)) return refuse(400, 'INVALID_PARAMETER_VALUE', 'start_time');
      const id = `run${this.runs.size}`;
      const tags = new Map((given.tags as { key: string; value: string }[]).map(({ key, value }) => [key, value]));
      const name = given.run_name as string;
      this.runs.set(id, { status: 'RUNNING', name, endTime: undefined, metrics: [], params: new Map(), tags });
      const info = { run_id: id, status: 'RUNNING', artifact_uri: `${this.artifactRoot}/${given.experiment_id}/${id}/artifacts` };
      return [200, { run: { info, data: {} } }];
    }
    const run = this.runs.get(given.run_id as string);
    if (!run) return refuse(404, 'RESOURCE_DOES_NOT_EXIST');
    if (call === 'runs/update') {
      if (!['RUNNING', 'FINISHED', 'FAILED', 'KILLED'].includes(given.status as string))
        return refuse(400, 'INVALID_PARAMETER_VALUE');
      run.status = given.status as string;
      run.endTime = given.end_time as number | undefined;
      return [200, { run_info: {} }];
    }
    if (call === 'runs/log-batch') {
      const { metrics = [], params = [] } = given as {
        metrics?: StoredRun['metrics'];
        params?: { key: string; value: string }[];
      };
      if (metrics.length > 1000 || params.length > 100) return refuse(400, 'INVALID_PARAMETER_VALUE', 'too many');
      for (const { key, value, step, timestamp } of metrics)
        if (
          !/^[\w\-. :/]{1,250}$/.test(key) ||
          !Number.isFinite(value) ||
          !Number.isInteger(step) ||
          !Number.isInteger(timestamp)
        )
          return refuse(400, 'INVALID_PARAMETER_VALUE', key);
      for (const { key, value } of params) {
        if (!/^[\w\-. :/]{1,250}$/.test(key) || typeof value !== 'string' || value.length > 500)
          return refuse(400, 'INVALID_PARAMETER_VALUE', key);
        if (run.params.has(key) && run.params.get(key) !== value)
          return refuse(400, 'INVALID_PARAMETER_VALUE', `${key} was set before`);
        run.params.set(key, value);
      }
      run.metrics.push(...metrics);
      return [200, {}];
    }
    return refuse(404, 'ENDPOINT_NOT_FOUND');
  }
}

/** Serves a store over HTTP. */
export class FakeServer {
  #server: Server | undefined;

  /** Begins to serve; gives the address. */
  async serve(store: FakeMlflow, port = 0): Promise<string> {
    const server = createServer((request, response) => {
      const pieces: Buffer[] = [];
      let bytes = 0;
      request.on('data', (piece: Buffer) => {
        pieces.push(piece);
        bytes += piece.length;
        if (bytes > store.largest && store.cuts) request.socket.destroy();
      });
      request.on('end', () => {
        store.authorizations.add(request.headers.authorization ?? 'none');
        const [status, body] = store.answer(request.method!, new URL(request.url!, 'http://x'), Buffer.concat(pieces));
        response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
      });
    });
    this.#server = server;
    await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve));
    return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  }

  async stop(): Promise<void> {
    const server = this.#server;
    this.#server = undefined;
    server?.closeAllConnections();
    await new Promise((resolve) => (server ? server.close(resolve) : resolve(undefined)));
  }
}
