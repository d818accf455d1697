import { spawnSync } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { MachineError } from '../../common/errors.ts';
import { IDENTITY_3, type Volume, type Xyz } from '../../geometry/volume.ts';
import { writeImage } from '../../images/node/write.ts';
import { prepareCohort } from './prepare.ts';

let root: string;
const at = (...names: string[]): string => join(root, ...names);
const size: Xyz = [40, 36, 32];
const scan = (seed: number): Volume => ({
  geometry: { size, spacingMm: [1, 1, 1], originMm: [0, 0, 0], direction: IDENTITY_3 },
  data: Int16Array.from({ length: 40 * 36 * 32 }, (_, i) => ((i * (37 + 2 * seed) + seed * 11) % 1500) - 1000),
});
const options = { modality: 'ct', spacingMm: [1, 1, 1], size: null, crop: 'none', intensity: 'minmax' } as const;
const prepare = (out: string) => prepareCohort({ source: at('source'), out, options });

/** Every file of a folder, by name. */
const filesOf = (folder: string): Record<string, string> =>
  Object.fromEntries(
    (readdirSync(folder, { recursive: true }) as string[])
      .sort()
      .flatMap((name) => (/\./.test(name) ? [[name, readFileSync(join(folder, name)).toString('base64')]] : [])),
  );

beforeAll(async () => {
  root = mkdtempSync(join(tmpdir(), 'gvsl-trouble-'));
  for (let k = 0; k < 4; k++) await writeImage(at('source', `s${k}.nii.gz`), scan(k));
  await prepare(at('whole'));
});
afterAll(() => rmSync(root, { recursive: true, force: true }));

describe('trouble while preparing', () => {
  it('a second call in the same folder is refused, and the first is as if it had been alone', async () => {
    const results = await Promise.allSettled([prepare(at('twice')), prepare(at('twice'))]);
    expect(results.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected']);
    const refused = results.find((result) => result.status === 'rejected');
    expect(String(refused?.reason)).toMatch(/another process is writing there/);
    expect(filesOf(at('twice'))).toEqual(filesOf(at('whole')));
  });

  const mount = (folder: string, options_: string): boolean => {
    mkdirSync(folder, { recursive: true });
    return process.platform === 'linux' && spawnSync('mount', ['-t', 'tmpfs', '-o', options_, 'tmpfs', folder]).status === 0;
  };

  it('a full disk stops it with the path; nothing half written stays, and the same call goes on (skipped where nothing can be mounted)', async (context) => {
    if (!mount(at('small'), 'size=400k')) return context.skip();
    try {
      writeFileSync(at('small', 'fill'), new Uint8Array(150_000));
      const error = await prepare(at('small', 'cohort')).catch((reason: unknown) => reason);
      expect(error).toBeInstanceOf(MachineError);
      expect(String(error)).toMatch(
        /s\d\.npy: no space left on the disk.*\d of 4 images are prepared; run the same command to continue/,
      );
      expect(Object.keys(filesOf(at('small', 'cohort'))).filter((name) => /part$|lock|cohort\.json/.test(name))).toEqual([]);
      rmSync(at('small', 'fill'));
      spawnSync('mount', ['-o', 'remount,size=8m', at('small')]);
      const { kept } = await prepare(at('small', 'cohort'));
      expect(kept).toBeGreaterThan(0);
      expect(filesOf(at('small', 'cohort'))).toEqual(filesOf(at('whole')));
    } finally {
      spawnSync('umount', [at('small')]);
    }
  });

  it('a folder without permission is named; a file without it is that file alone (skipped for a user who may everything)', async (context) => {
    if (process.getuid?.() === 0) return context.skip();
    mkdirSync(at('closed'));
    chmodSync(at('closed'), 0o555);
    await expect(prepare(at('closed', 'cohort'))).rejects.toThrow(/closed.*no permission/);
    chmodSync(at('source', 's0.nii.gz'), 0);
    try {
      const { cohort } = await prepare(at('without'));
      expect(cohort.subjects).toHaveLength(3);
      expect(cohort.problems.find(({ kind }) => kind === 'refused')?.message).toMatch(/no permission/);
    } finally {
      chmodSync(at('source', 's0.nii.gz'), 0o644);
    }
  });

  it('a damaged file is listed, and the others are prepared', async () => {
    writeFileSync(at('source', 'bad.nii.gz'), 'no image');
    try {
      const { cohort } = await prepare(at('bad'));
      expect(cohort.subjects).toHaveLength(4);
      expect(cohort.problems.filter(({ kind }) => kind === 'refused').map(({ source }) => source)).toEqual([
        at('source', 'bad.nii.gz'),
      ]);
      expect(existsSync(at('bad', '.lock'))).toBe(false);
    } finally {
      rmSync(at('source', 'bad.nii.gz'));
    }
  });
});
