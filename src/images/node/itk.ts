/**
 * Running ITK-Wasm where it can do no harm: in a worker thread, with a time limit, its own output kept off ours.
 *
 * ITK reads and writes the formats; but a damaged file may make it print, abort or loop without end, and a loop inside WebAssembly
 * can only be stopped with its thread. One worker serves many calls, one at a time, and is replaced after a failure or a large image
 * (a WebAssembly memory never shrinks). Deliberately knows nothing of formats.
 */
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { Worker } from 'node:worker_threads';
import type { Image } from 'itk-wasm';
import { WorkError } from '../../errors/errors.ts';

const require = createRequire(import.meta.url);
const packageFolder = (name: string): string => dirname(require.resolve(name));

/**
 * The worker's whole program; as text, so that it runs alike from source and from the built package. What ITK prints is collected
 * for the error message instead of appearing among our own output.
 */
const WORKER = `
const { parentPort, workerData } = require('node:worker_threads');
let printed = '';
for (const name of ['log', 'info', 'warn', 'error', 'debug']) console[name] = (...words) => { printed = (printed + words.join(' ') + '\\n').slice(-4000); };
parentPort.on('message', async ({ pipeline, args, outputs, inputs, folders }) => {
  printed = '';
  try {
    const { runPipelineNode } = await import(workerData);
    const { returnValue, stderr, outputs: results } = await runPipelineNode(pipeline, args, outputs, inputs, new Set(folders));
    parentPort.postMessage({ returnValue, printed: printed + stderr, results: results.map((result) => result.data) });
  } catch (error) {
    // C++ exceptions arrive as bare numbers
    parentPort.postMessage({ printed: printed + (typeof error === 'number' ? '' : String(error && error.message || error)) });
  }
});`;

/** A file in the memory of the pipeline. */
export interface MemoryFile {
  readonly path: string;
  readonly data: Uint8Array;
}

export interface ItkRun {
  /** Pipeline by package and name: ['@itk-wasm/dicom', 'write-segmentation']. */
  readonly pipeline: readonly ['@itk-wasm/dicom', string];
  readonly args: readonly string[];
  /** Kinds of the results, in order. */
  readonly outputs: readonly ({ type: 'Image' } | { type: 'JsonCompatible' } | { type: 'BinaryFile'; data: { path: string } })[];
  readonly files?: readonly MemoryFile[];
  readonly image?: Image;
  /** A document that the pipeline takes beside the image: input 1. */
  readonly json?: unknown;
  /** Folders on disk that the pipeline may read. */
  readonly folders?: readonly string[];
  readonly timeLimitMs: number;
}

interface Answer {
  readonly returnValue?: number;
  /** Absent if the pipeline threw. */
  readonly results?: readonly unknown[];
  readonly printed: string;
}

/** Time that reading `sizeBytes` may take before it counts as hanging: generous, JPEG 2000 on a slow and busy machine included. */
export const timeLimitMs = (sizeBytes: number): number => 60_000 + sizeBytes / 1000;

/** Above this, the worker is not used again: its memory has grown for good. */
const RETIRE_ABOVE_BYTES = 64 * 2 ** 20;

let worker: Worker | undefined;
let queue: Promise<unknown> = Promise.resolve();

function startWorker(): Worker {
  const fresh = new Worker(WORKER, {
    eval: true,
    workerData: pathToFileURL(require.resolve('itk-wasm')).href,
    stdout: true,
    stderr: true,
  });
  // an error event without a listener would end the process
  fresh.on('error', () => {});
  fresh.unref();
  return fresh;
}

async function retire(): Promise<void> {
  const old = worker;
  worker = undefined;
  await old?.terminate();
}

async function runNow(run: ItkRun): Promise<readonly unknown[]> {
  worker ??= startWorker();
  const current = worker;
  current.ref();
  const [packageName, name] = run.pipeline;
  const image = run.image ? [{ type: 'Image', data: run.image }] : [];
  const json = run.json === undefined ? [] : [{ type: 'JsonCompatible', data: run.json }];
  const files = (run.files ?? []).map((data) => ({ type: 'BinaryFile', data }));
  let timer: NodeJS.Timeout | undefined;
  let settle: (answer: Answer) => void = () => {};
  const onError = (error: Error): void => settle({ printed: error.message });
  const onExit = (): void => settle({ printed: 'ITK stopped without an answer' });
  try {
    const answer = await new Promise<Answer>((resolve, reject) => {
      settle = resolve;
      current.once('message', resolve);
      current.once('error', onError);
      current.once('exit', onExit);
      const seconds = Math.round(run.timeLimitMs / 1000);
      timer = setTimeout(() => reject(new WorkError(`ITK was not done with it after ${seconds} s: damaged?`)), run.timeLimitMs);
      current.postMessage({
        pipeline: join(packageFolder(packageName), 'pipelines', name),
        args: run.args,
        outputs: run.outputs,
        inputs: [...image, ...json, ...files],
        folders: run.folders ?? [],
      });
    });
    if (answer.results === undefined || answer.returnValue !== 0)
      throw new WorkError(`ITK cannot ${run.image ? 'write' : 'read'} it${reason(answer.printed)}`);
    const bytes = answer.results.map((result) => (result as Partial<Image> | null)?.data?.byteLength ?? 0);
    if (Math.max(...bytes) > RETIRE_ABOVE_BYTES) await retire();
    return answer.results;
  } catch (error) {
    await retire();
    throw error;
  } finally {
    clearTimeout(timer);
    current.removeAllListeners('message');
    current.off('error', onError);
    current.off('exit', onExit);
    current.unref();
  }
}

/** The line of ITK's output that says most. */
function reason(printed: string): string {
  const lines = printed
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line && !/^(Exception while running|stdout:|stderr:$|Build module in Debug)/.test(line));
  const telling = lines.find((line) => /error|not |bad|fail|unable/i.test(line)) ?? lines[0];
  return telling ? ` (${telling.replace(/^stderr:\s*/, '').slice(0, 200)})` : ': damaged, or a variant that it does not know';
}

/** Runs a pipeline; calls queue up. @throws WorkError with ITK's reason, without the file's name: the caller knows it */
export function runItk(run: ItkRun): Promise<readonly unknown[]> {
  const result = queue.then(() => runNow(run));
  queue = result.catch(() => {});
  return result;
}
