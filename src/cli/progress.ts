/** Progress on stderr: a bar with rate and time left on a terminal, plain lines otherwise. Results belong on stdout, never here. */
import { type Options, SingleBar } from 'cli-progress';
import { formatDuration } from '../common/format-duration.ts';
import type { Progress } from '../common/progress.ts';
import { withOptionNames } from './option-names.ts';

const PLAIN_LINE_EVERY_MS = 10_000;

function plain(stream: NodeJS.WriteStream): Progress {
  let [total, done, before, startedMs, printedMs] = [0, 0, 0, 0, 0];
  let unit = '';
  const print = (note: string): void => {
    const elapsed = performance.now() - startedMs;
    const rate = (done - before) / Math.max(elapsed / 1000, 1e-3);
    const left = rate > 0 ? `, ${formatDuration(((total - done) / rate) * 1000)} left` : '';
    stream.write(
      `${done}/${total} ${unit} (${rate >= 1 ? rate.toFixed(1) : rate.toPrecision(2)}/s${left})${note ? ` ${note}` : ''}\n`,
    );
    printedMs = performance.now();
  };
  return {
    start: (count, name, already = 0) => {
      [total, unit, done, before, startedMs, printedMs] = [count, name, already, already, performance.now(), performance.now()];
    },
    advance: (by = 1, note = '') => {
      done += by;
      if (done >= total || performance.now() - printedMs > PLAIN_LINE_EVERY_MS) print(note);
    },
    say: (line) => void stream.write(`${withOptionNames(line)}\n`),
    stop: () => {},
  };
}

function bar(stream: NodeJS.WriteStream): Progress {
  let current: SingleBar | undefined;
  let startedMs = 0;
  let before = 0;
  let done = 0;
  const stop = (): void => {
    current?.stop();
    current = undefined;
  };
  return {
    start: (total, unit, already = 0) => {
      stop();
      [startedMs, before, done] = [performance.now(), already, already];
      const options: Options = {
        stream,
        format: `{bar} {value}/{total} ${unit} | {rate}/s | {left} left {note}`,
        barCompleteChar: '█',
        barIncompleteChar: '░',
        barsize: 28,
        hideCursor: true,
        linewrap: false,
        gracefulExit: false,
      };
      current = new SingleBar(options);
      current.start(total, already, { rate: '-', left: '-', note: '' });
    },
    advance: (by = 1, note = '') => {
      done += by;
      const rate = (done - before) / Math.max((performance.now() - startedMs) / 1000, 1e-3);
      const total = current?.getTotal() ?? 0;
      current?.increment(by, {
        rate: rate >= 1 ? rate.toFixed(1) : rate.toPrecision(2),
        left: rate > 0 ? formatDuration(((total - done) / rate) * 1000) : '-',
        note: note ? `| ${note}` : '',
      });
    },
    say: (line) => {
      stream.write(`\r\u001b[K${withOptionNames(line)}\n`);
    },
    stop,
  };
}

/** The progress display that suits the stream. */
export function createProgress(stream: NodeJS.WriteStream = process.stderr): Progress {
  return stream.isTTY ? bar(stream) : plain(stream);
}
