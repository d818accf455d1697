import { describe, expect, it } from 'vitest';
import { MachineError, RunError, UsageError } from '../../common/errors.ts';
import { errorFrom, plainError, withSentence } from '../../common/plain-error.ts';
import { type ExampleSource, examplesOnWorker } from './data-loader.ts';

/** A worker whose code answers {step, sample} as `body` says. */
const source = (body: string): ExampleSource<{ values: Float32Array }> =>
  examplesOnWorker({
    worker: new URL(
      `data:text/javascript,${encodeURIComponent(`import { parentPort } from 'node:worker_threads';
parentPort.on('message', ({ step, sample }) => { const key = step + '/' + sample; ${body} });`)}`,
    ),
    job: {},
    samples: { from: 0, to: 2 },
    steps: 100,
    firstStep: 0,
  });
const answer = 'parentPort.postMessage({ key, images: { values: Float32Array.of(step, sample) } });';

describe('examples on a thread', () => {
  it('come as they are asked for', async () => {
    const examples = source(answer);
    for (let step = 0; step < 3; step++)
      for (let sample = 0; sample < 2; sample++) expect([...(await examples.take(step, sample)).values]).toEqual([step, sample]);
    await examples.close();
  });

  it.each([
    ['ends by itself', 'process.exit(3)', /data loader thread exited \(code 3\)/],
    ['throws', "throw new Error('out of order')", /out of order/],
  ])('reject what is waited for, and all later ones, when the thread %s', async (_, end, message) => {
    // the thread is asked for steps 0 to 3 at first: an error may overtake answers that are under way
    const examples = source(`if (step < 4) { ${answer} } else { ${end}; }`);
    await examples.take(0, 0);
    await examples.take(0, 1);
    await expect(examples.take(4, 0)).rejects.toThrow(message);
    await expect(examples.take(4, 1)).rejects.toThrow(message);
    for (let step = 5; step < 11; step++) await expect(examples.take(step, 0)).rejects.toThrow(message);
    await examples.close();
  });

  it('reject when the thread is stopped from outside', async () => {
    const examples = source('');
    const taken = examples.take(0, 0);
    await examples.close();
    await expect(taken).rejects.toThrow(RunError);
  });

  it('keep the class of what went wrong', async () => {
    const plain = (error: Error): string => JSON.stringify(plainError(error));
    const examples = source(
      `parentPort.postMessage({ key, failed: sample === 0 ? ${plain(new RunError('a.npy: truncated'))} : ${plain(new MachineError('/data: no space'))} });`,
    );
    await expect(examples.take(0, 0)).rejects.toThrow(new RunError('a.npy: truncated'));
    expect(await examples.take(0, 1).catch((error: unknown) => error)).toBeInstanceOf(MachineError);
    await examples.close();
  });
});

describe('plain errors', () => {
  it("come back in their class, the system's with their code", () => {
    for (const Class of [RunError, MachineError, UsageError]) {
      const back = errorFrom(structuredClone(plainError(new Class('why'))));
      expect(back).toBeInstanceOf(Class);
      expect(back).toMatchObject({ message: 'why', name: Class.name });
      expect(withSentence(back, '; and so')).toBeInstanceOf(Class);
      expect(withSentence(back, '; and so').message).toBe('why; and so');
    }
    const system = Object.assign(new Error('EIO: i/o error, read'), { code: 'EIO', syscall: 'read', path: '/x' });
    expect(errorFrom(plainError(system))).toMatchObject({ code: 'EIO', syscall: 'read', path: '/x' });
    expect(errorFrom(plainError('a text')).message).toBe('a text');
  });
});
