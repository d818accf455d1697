import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { type ClaimTiming, openClaims, writeFirst } from './claims.ts';

const QUICK: ClaimTiming = { beatMs: 20, silenceMs: 150, waitMs: 5 };
/** Holds claims, and never beats: as a process that is paused. */
const PAUSED: ClaimTiming = { ...QUICK, beatMs: 1e6 };
const NAME = 'runs/gvsl-linear-4-seed1';

let out: string;
const at = (...names: string[]): string => join(out, ...names);
const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
beforeEach(() => {
  out = mkdtempSync(join(tmpdir(), 'gvsl-claims-'));
});
afterEach(() => rmSync(out, { recursive: true, force: true }));

it('of many that claim at once one has it; published, nothing of the claim is left', async () => {
  const claims = Array.from({ length: 12 }, () => openClaims(out, QUICK));
  const held = (await Promise.all(claims.map((each) => each.claim(NAME)))).filter((claim) => claim !== undefined);
  expect(held).toHaveLength(1);
  expect(await claims[0].holders()).toEqual([expect.stringMatching(`^${NAME} by process ${process.pid} on `)]);
  mkdirSync(held[0].folder);
  writeFileSync(join(held[0].folder, 'test.json'), '1');
  expect(await held[0].publish(at(NAME))).toBe(true);
  await held[0].release();
  expect(readdirSync(out)).toEqual(['runs']);
  expect(readFileSync(at(NAME, 'test.json'), 'utf8')).toBe('1');
});

it('a holder that beats keeps its claim; what is let go of unfinished is gone on with at once', async () => {
  // so long a silence that a machine that stands still for a second does not make one
  const patient = { ...QUICK, silenceMs: 2000 };
  const [first, second] = [openClaims(out, patient), openClaims(out, patient)];
  const held = (await first.claim(NAME))!;
  mkdirSync(held.folder);
  writeFileSync(join(held.folder, 'step'), '7');
  for (const startedMs = performance.now(); performance.now() - startedMs < 1.5 * patient.silenceMs; await sleep(20))
    expect(await second.claim(NAME)).toBeUndefined();
  await held.release();
  const next = (await second.claim(NAME))!;
  expect(readFileSync(join(next.folder, 'step'), 'utf8')).toBe('7');
  expect(await first.claim(NAME)).toBeUndefined();
});

it('one that was paused is taken over by one, notices it, and can write into nothing of its follower', async () => {
  const paused = (await openClaims(out, PAUSED).claim(NAME))!;
  mkdirSync(paused.folder);
  writeFileSync(join(paused.folder, 'step'), '7');
  writeFileSync(join(paused.folder, '.lock'), 'of a machine that is gone');
  const others = Array.from({ length: 6 }, () => openClaims(out, QUICK));
  for (const each of others) expect(await each.claim(NAME)).toBeUndefined();
  await sleep(200);
  const held = (await Promise.all(others.map((each) => each.claim(NAME)))).filter((claim) => claim !== undefined);
  expect(held).toHaveLength(1);
  const [follower] = held;
  expect(readdirSync(follower.folder)).toEqual(['step']);
  // it wakes up, and writes a checkpoint, which makes its folder again
  mkdirSync(paused.folder, { recursive: true });
  writeFileSync(join(paused.folder, 'step'), '8');
  expect(await paused.publish(at(NAME))).toBe(false);
  expect(paused.signal.aborted).toBe(true);
  await paused.release();
  expect(readFileSync(join(follower.folder, 'step'), 'utf8')).toBe('7');
  expect(await follower.publish(at(NAME))).toBe(true);
  await follower.release();
  expect(readdirSync(out)).toEqual(['runs']);
});

it('one whose process is gone from this machine is taken over at once', async () => {
  const claims = openClaims(out, PAUSED);
  const dead = (await claims.claim(NAME))!;
  const path = join(dead.folder, '..', 'holder.json');
  writeFileSync(path, JSON.stringify({ ...JSON.parse(readFileSync(path, 'utf8')), pid: 2 ** 22 + 1 }));
  expect(await openClaims(out, PAUSED).claim(NAME)).toBeDefined();
  expect(dead.signal.aborted).toBe(false);
});

it('the first of several that write a file has written all of it', async () => {
  const written = await Promise.all(['a', 'b', 'c'].map((text) => writeFirst(at('declared.json'), text)));
  expect(written.filter(Boolean)).toHaveLength(1);
  expect(readFileSync(at('declared.json'), 'utf8')).toBe(['a', 'b', 'c'][written.indexOf(true)]);
  expect(readdirSync(out)).toEqual(['declared.json']);
});

it('claims that are made while others release their last fail for nobody', async () => {
  const worker = async (name: string): Promise<number> => {
    const claims = openClaims(out, PAUSED);
    let count = 0;
    for (let k = 0; k < 60; k++) {
      const claim = await claims.claim(`${name}-${k}`);
      if (claim) count++;
      await claim?.release();
    }
    return count;
  };
  expect(await Promise.all(['a', 'b', 'c', 'd'].map(worker))).toEqual([60, 60, 60, 60]);
  expect(readdirSync(out)).toEqual([]);
});
