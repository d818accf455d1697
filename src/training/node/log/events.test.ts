import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { bytesOf, decodeMessage, double, float, type Message, readRecords, text } from '../../testing/event-records.ts';
import { crc32c, encodeEvent } from './event-encoding.ts';
import { openEventLog } from './events.ts';

let folder = '';
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'gvsl-events-'));
});
afterEach(() => rm(folder, { recursive: true }));

describe('event files', () => {
  it('have the published checksum', () => {
    expect(crc32c(new TextEncoder().encode('123456789'))).toBe(0xe3069283);
    expect(crc32c(new Uint8Array(32))).toBe(0x8a9136aa);
  });

  it('say what was logged, read by another decoder', () => {
    const log = openEventLog(folder, -1, 1700000000.25);
    log.scalars(3, { 'loss/ncc': 0.5, 'rate/größe': -1.25 }, 1700000001.5);
    log.scalars(2 ** 33 + 1, { 'loss/ncc': Number.NaN }, 1700000002);
    const png = Uint8Array.from({ length: 300 }, (_, i) => i);
    log.image(4, 'pair', { png, width: 20, height: 10 }, 1700000003);
    log.close();

    const [version, scalars, late, image] = readRecords(log.path) as [Message, Message, Message, Message];
    expect(double(bytesOf(version, 1))).toBe(1700000000.25);
    expect(text(bytesOf(version, 3))).toBe('brain.Event:2');
    expect(scalars.get(2)).toEqual([3n]);
    const values = decodeMessage(bytesOf(scalars, 5))
      .get(1)!
      .map((value) => decodeMessage(value as Uint8Array));
    expect(values.map((value) => [text(bytesOf(value, 1)), float(bytesOf(value, 2))])).toEqual([
      ['loss/ncc', 0.5],
      ['rate/größe', -1.25],
    ]);
    expect(late.get(2)).toEqual([2n ** 33n + 1n]);
    const value = decodeMessage(bytesOf(decodeMessage(bytesOf(image, 5)), 1));
    const picture = decodeMessage(bytesOf(value, 4));
    expect(text(bytesOf(value, 1))).toBe('pair');
    expect([1, 2, 3].map((field) => picture.get(field))).toEqual([[10n], [20n], [4n]]);
    expect(Uint8Array.from(bytesOf(picture, 4))).toEqual(png);
  });

  it('go on in a new file that takes back what comes after the resumed step', () => {
    openEventLog(folder, -1, 0).close();
    const second = openEventLog(folder, 10, 0);
    second.scalars(11, { loss: 1 }, 0);
    second.close();
    expect(readdirSync(folder).sort()).toEqual(['events.out.tfevents.0000000000.gvsl', 'events.out.tfevents.0000000001.gvsl']);
    const [, start] = readRecords(second.path) as [Message, Message];
    expect(start.get(2)).toEqual([11n]);
    expect(decodeMessage(bytesOf(start, 7)).get(1)).toEqual([1n]);
  });

  it('lose the half record that a killed process left, and nothing else', () => {
    const first = openEventLog(folder, -1, 0);
    first.scalars(1, { loss: 1 }, 0);
    first.close();
    const whole = readFileSync(first.path);
    const half = encodeEvent({ wallTimeSeconds: 1, step: 2, content: { scalars: { loss: 2 } } });
    for (const bytes of [1, 7, 8, 11, 12, half.length - 1]) {
      writeFileSync(first.path, Buffer.concat([whole, half.subarray(0, bytes)]));
      openEventLog(folder, 1, 0).close();
      expect(readFileSync(first.path).equals(whole), `${bytes} bytes`).toBe(true);
    }
  });

  it('depend on nothing but what they are given', () => {
    const event = { wallTimeSeconds: 1, step: 2, content: { scalars: { a: 1 } } };
    expect(encodeEvent(event)).toEqual(encodeEvent(event));
  });
});
