/** Another process that never rests, as other people's work beside a training. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';

/** It ends by itself soon after the process that started it, however that ended. */
const SPIN = `
const parent = process.ppid;
while (process.ppid === parent) for (const until = Date.now() + 100; Date.now() < until; );
`;

/** Does `work` beside a busy process, which is always ended. */
export async function besideBusy<Result>(work: () => Promise<Result>): Promise<Result> {
  const busy = spawn(process.execPath, ['-e', SPIN], { stdio: 'ignore' });
  const ended = once(busy, 'exit');
  ended.catch(() => {}); // an error is thrown below, where it is waited for
  try {
    await once(busy, 'spawn');
    return await work();
  } finally {
    busy.kill('SIGKILL');
    await ended;
  }
}
