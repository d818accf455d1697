import { mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Command } from 'commander';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import type { Xyz } from '../../geometry/volume.ts';
import { readImage } from '../../images/node/read.ts';
import { voxelPosition } from '../../phantom/paint.ts';
import { renderSubject } from '../../phantom/subject.ts';
import { length, subtract } from '../../phantom/vectors.ts';
import { registerPhantom } from './phantom.ts';

/** Runs `gvsl phantom ...` in this process. */
async function phantom(...args: string[]): Promise<{ exitCode: number; stdout: string; stderr: string }> {
  const written = { stdout: '', stderr: '' };
  const spies = (['stdout', 'stderr'] as const).map((stream) =>
    vi.spyOn(process[stream], 'write').mockImplementation((text) => {
      written[stream] += String(text);
      return true;
    }),
  );
  const program = new Command('gvsl').exitOverride();
  registerPhantom(program);
  for (const command of program.commands) command.exitOverride();
  process.exitCode = undefined;
  try {
    await program.parseAsync(['phantom', ...args], { from: 'user' });
    return { ...written, exitCode: Number(process.exitCode ?? 0) };
  } catch {
    return { ...written, exitCode: 2 };
  } finally {
    process.exitCode = undefined;
    for (const spy of spies) spy.mockRestore();
  }
}

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'gvsl-phantom-'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

/** Mean position of a label's voxels, LPS mm, from the file alone. */
async function centroidMm(path: string, code: number): Promise<Xyz> {
  const { volume } = await readImage(path);
  const [nx, ny] = volume.geometry.size;
  let [count, x, y, z] = [0, 0, 0, 0];
  for (const [i, label] of volume.data.entries()) {
    if (label !== code) continue;
    count++;
    x += i % nx;
    y += Math.floor(i / nx) % ny;
    z += Math.floor(i / (nx * ny));
  }
  return voxelPosition(volume.geometry, [x / count, y / count, z / count]);
}

describe('gvsl phantom', () => {
  it.each([
    ['heart-ct', 'heart', { 'left atrium centre': [420, 14], 'right atrium centre': [550, 16] }],
    ['brain-mr', 'brain', { 'left thalamus centre': [10, 4], 'right thalamus centre': [49, 4], 'right putamen centre': [51, 4] }],
  ] as const)(
    'writes %s in nnU-Net layout, and read back the landmarks are where the labels are',
    async (kind, name, centres) => {
      const out = join(folder, kind);
      const done = await phantom(out, '--kind', kind, '--subjects', '3', '--seed', '4', '--spacing', '4', '--json');
      expect(done.exitCode).toBe(0);
      expect(JSON.parse(done.stdout)).toMatchObject({ kind, seed: 4, subjects: 3, written: 3, kept: 0 });
      const dataset = JSON.parse(await readFile(join(out, 'dataset.json'), 'utf8'));
      expect(dataset).toMatchObject({ numTraining: 3, file_ending: '.nii.gz', labels: { background: 0 } });
      expect((await readdir(join(out, 'imagesTr'))).sort()).toEqual([0, 1, 2].map((i) => `${name}_00${i}_0000.nii.gz`));
      for (let subject = 0; subject < 3; subject++) {
        const id = `${name}_00${subject}`;
        const made = renderSubject({ kind, seed: 4, subject, spacingMm: 4 });
        const image = await readImage(join(out, 'imagesTr', `${id}_0000.nii.gz`));
        expect(image.volume.data).toEqual(made.image.data);
        expect(image.volume.geometry.size).toEqual(made.image.geometry.size);
        for (const corner of [[0, 0, 0], made.image.geometry.size] as const)
          expect(
            length(subtract(voxelPosition(image.volume.geometry, corner), voxelPosition(made.image.geometry, corner))),
          ).toBeLessThan(0.01);
        const markups = JSON.parse(await readFile(join(out, 'landmarksTr', `${id}.mrk.json`), 'utf8')).markups[0];
        expect(markups.coordinateSystem).toBe('LPS');
        for (const [label, [code, withinMm]] of Object.entries(centres)) {
          const point = markups.controlPoints.find((p: { label: string }) => p.label === label);
          const centroid = await centroidMm(join(out, 'labelsTr', `${id}.nii.gz`), code);
          expect(length(subtract(point.position, centroid)), `${id} ${label}`).toBeLessThan(withinMm);
        }
      }
    },
  );

  it('continues a folder begun with the same options and leaves what is there', async () => {
    const out = join(folder, 'continued');
    const options = [out, '--kind', 'heart-ct', '--spacing', '8', '--json'];
    await phantom(...options, '--subjects', '1');
    const before = await stat(join(out, 'imagesTr', 'heart_000_0000.nii.gz'));
    const more = await phantom(...options, '--subjects', '2');
    expect(JSON.parse(more.stdout)).toMatchObject({ written: 1, kept: 1, numTraining: 2 });
    expect((await stat(join(out, 'imagesTr', 'heart_000_0000.nii.gz'))).mtimeMs).toBe(before.mtimeMs);
    const other = await phantom(...options, '--subjects', '2', '--seed', '9');
    expect(other.exitCode).toBe(1);
    expect(other.stderr).toContain('made with other options (--seed 1, here 9); choose');
    const several = await phantom(out, '--kind', 'brain-mr', '--pose', '0.5', '--subjects', '2');
    expect(several.stderr).toContain('(--kind heart-ct, here brain-mr; --spacing 8, here none; --pose 1, here 0.5)');
    await writeFile(join(out, 'phantom.json'), '{');
    const damaged = await phantom(...options, '--subjects', '2');
    expect([damaged.exitCode, damaged.stderr]).toEqual([1, expect.stringContaining('its phantom.json is damaged')]);
  });

  it.each([
    [['--kind', 'knee-mr', '--subjects', '2'], 2, 'heart-ct'],
    [['--kind', 'heart-ct'], 2, '--subjects'],
    [['--kind', 'heart-ct', '--subjects', '0'], 2, '--subjects: expected a whole number from 1'],
    [['--kind', 'heart-ct', '--subjects', '1.5'], 2, '--subjects: expected a whole number'],
    [['--kind', 'heart-ct', '--subjects', 'many'], 2, "got 'many'"],
    [['--kind', 'heart-ct', '--subjects', '1', '--spacing=-1'], 2, '--spacing: expected a number from 0.5 to 8'],
    [['--kind', 'heart-ct', '--subjects', '1', '--spacing', '0.01'], 2, '--spacing'],
    [['--kind', 'heart-ct', '--subjects', '1', '--seed', 'x'], 2, '--seed: expected a whole number'],
  ])('refuses %j', async (args, exitCode, message) => {
    const out = join(folder, 'refused');
    const result = await phantom(out, ...args);
    expect(result.exitCode).toBe(exitCode);
    expect(result.stderr).toContain(message);
    await expect(stat(out)).rejects.toThrow();
  });

  it("leaves other people's folders and files alone", async () => {
    const out = join(folder, 'theirs');
    await mkdir(out);
    await writeFile(join(out, 'thesis.txt'), 'x');
    const args = ['--kind', 'heart-ct', '--subjects', '1'];
    const result = await phantom(out, ...args);
    expect(result.exitCode).toBe(1);
    expect(result.stderr).toContain('not empty');
    expect(await readdir(out)).toEqual(['thesis.txt']);
    const file = await phantom(join(out, 'thesis.txt'), ...args);
    expect(file.exitCode).toBe(1);
    expect(file.stderr).toContain('found a file');
  });
});
