/**
 * TensorBoard's event files of a run. A resumed run begins a new file in the same folder and says in it from which step on the
 * earlier ones no longer hold. The clock is the caller's: nothing here asks for the time.
 */
import { closeSync, fsyncSync, mkdirSync, openSync, readdirSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { type EventContent, encodeEvent } from './event-encoding.ts';

/** An open event file; `close` it. Times are in seconds since 1970. */
export interface EventLog {
  readonly path: string;
  /** Values by tag; a slash in a tag groups its curves ('loss/ncc'). */
  scalars(step: number, values: Readonly<Record<string, number>>, wallTimeSeconds: number): void;
  /** A picture in RGBA, encoded as PNG. */
  image(step: number, tag: string, picture: { png: Uint8Array; width: number; height: number }, wallTimeSeconds: number): void;
  close(): void;
}

const NAME = /^events\.out\.tfevents\.(\d{10})\.gvsl$/;

/**
 * Begins an event file in `folder`. TensorBoard reads the files of a folder in the order of their names, where others put the
 * time; ours count, so that the order holds whatever the clock does.
 * @param resumedStep what earlier files say of later steps no longer holds (as in metrics.jsonl); -1 for a new run
 */
export function openEventLog(folder: string, resumedStep: number, wallTimeSeconds: number): EventLog {
  mkdirSync(folder, { recursive: true });
  const numbers = readdirSync(folder).flatMap((name) => NAME.exec(name)?.slice(1).map(Number) ?? []);
  const path = join(folder, `events.out.tfevents.${String(Math.max(-1, ...numbers) + 1).padStart(10, '0')}.gvsl`);
  const file = openSync(path, 'wx');
  const write = (step: number, content: EventContent, timeSeconds: number): void => {
    const bytes = encodeEvent({ wallTimeSeconds: timeSeconds, step, content });
    for (let done = 0; done < bytes.length; ) done += writeSync(file, bytes, done);
  };
  write(0, { fileVersion: 'brain.Event:2' }, wallTimeSeconds);
  if (numbers.length > 0) write(resumedStep + 1, { start: true }, wallTimeSeconds);
  return {
    path,
    scalars: (step, scalars, timeSeconds) => write(step, { scalars }, timeSeconds),
    image: (step, tag, picture, timeSeconds) => write(step, { tag, ...picture }, timeSeconds),
    close: () => {
      fsyncSync(file);
      closeSync(file);
    },
  };
}
