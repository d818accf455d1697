/**
 * TensorBoard's event files of a run. A resumed run begins a new file in the same folder and says in it from which step on the
 * earlier ones no longer hold. The clock is the caller's: nothing here asks for the time.
 */
import { closeSync, fstatSync, fsyncSync, ftruncateSync, mkdirSync, openSync, readdirSync, readSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { withMachineTroubleSync } from '../../../platform/node/machine.ts';
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

/** Keeps nothing. */
export const NO_EVENTS: EventLog = { path: '', scalars: () => {}, image: () => {}, close: () => {} };

const NAME = /^events\.out\.tfevents\.(\d{10})\.gvsl$/;

/** Cuts off the half record with which a killed process, or a full disk, left a file. */
function repairEvents(path: string): void {
  const file = openSync(path, 'r+');
  try {
    const { size } = fstatSync(file);
    const length = Buffer.alloc(8);
    let end = 0;
    // a record: its length, the length's checksum, the message, the message's checksum
    while (end + 8 <= size && readSync(file, length, 0, 8, end) === 8) {
      const next = end + 8 + 4 + Number(length.readBigUInt64LE()) + 4;
      if (next > size) break;
      end = next;
    }
    if (end < size) ftruncateSync(file, end);
  } finally {
    closeSync(file);
  }
}

/**
 * Begins an event file in `folder`. TensorBoard reads the files of a folder in the order of their names, where others put the
 * time; ours count, so that the order holds whatever the clock does.
 * @param resumedStep what earlier files say of later steps no longer holds (as in metrics.jsonl); -1 for a new run
 * @throws MachineError naming the file, as its methods do: disk full, no permission, ...
 */
export function openEventLog(folder: string, resumedStep: number, wallTimeSeconds: number): EventLog {
  const numbers = withMachineTroubleSync(folder, () => {
    mkdirSync(folder, { recursive: true });
    const names = readdirSync(folder).filter((name) => NAME.test(name));
    for (const name of names) repairEvents(join(folder, name));
    return names.map((name) => Number(NAME.exec(name)![1]));
  });
  const path = join(folder, `events.out.tfevents.${String(Math.max(-1, ...numbers) + 1).padStart(10, '0')}.gvsl`);
  const file = withMachineTroubleSync(path, () => openSync(path, 'wx'));
  const write = (step: number, content: EventContent, timeSeconds: number): void =>
    withMachineTroubleSync(path, () => {
      const bytes = encodeEvent({ wallTimeSeconds: timeSeconds, step, content });
      for (let done = 0; done < bytes.length; ) done += writeSync(file, bytes, done);
    });
  write(0, { fileVersion: 'brain.Event:2' }, wallTimeSeconds);
  if (numbers.length > 0) write(resumedStep + 1, { start: true }, wallTimeSeconds);
  return {
    path,
    scalars: (step, scalars, timeSeconds) => write(step, { scalars }, timeSeconds),
    image: (step, tag, picture, timeSeconds) => write(step, { tag, ...picture }, timeSeconds),
    close: () => {
      try {
        fsyncSync(file);
      } catch {
        // an error on the way out must not hide the one that led there
      }
      closeSync(file);
    },
  };
}
