/** The thread that makes training examples: see example-source.ts. */
import { parentPort, workerData } from 'node:worker_threads';
import { type ExampleJob, exampleMaker, type WorkerAnswer } from './example-source.ts';

const port = parentPort;
if (!port) throw new Error('example-worker.js runs as a worker thread only');

const maker = exampleMaker(workerData as ExampleJob);

port.on('message', async ({ step, sample }: { step: number; sample: number }) => {
  const key = `${step}/${sample}`;
  let answer: WorkerAnswer;
  let transfer: ArrayBuffer[] = [];
  try {
    const images = await (await maker)(step, sample);
    transfer = Object.values(images).map(({ buffer }) => buffer as ArrayBuffer);
    answer = { key, images };
  } catch (error) {
    answer = { key, failed: (error as Error).message };
  }
  port.postMessage(answer, transfer);
});
