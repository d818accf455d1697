import { PassThrough } from 'node:stream';
import { describe, expect, it } from 'vitest';
import { askYes } from './ask.ts';

const never = new AbortController().signal;

async function answered(answer: string | null, signal = never) {
  const [input, output] = [new PassThrough(), new PassThrough()];
  const asked = askYes('Really?', signal, { input, output });
  if (answer === null) input.end();
  else input.write(answer);
  const yes = await asked;
  return { yes, shown: String(output.read()) };
}

describe('a question', () => {
  it.each([
    ['y\n', true],
    [' Yes\n', true],
    ['\n', false],
    ['n\n', false],
    ['what?\n', false],
    [null, false],
  ])('answered %j is %s', async (answer, yes) => {
    expect(await answered(answer)).toEqual({ yes, shown: 'Really? [y/N] ' });
  });
  it('is over when the work is stopped', async () => {
    const controller = new AbortController();
    const asked = askYes('Really?', controller.signal, { input: new PassThrough(), output: new PassThrough() });
    controller.abort();
    expect(await asked).toBe(false);
  });
});
