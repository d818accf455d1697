/**
 * Training with the MPIs of this machine, and over TCP between processes. Needs `npm run build`, which `npm test` does. scripts/try-mpi.mjs has the
 * long versions.
 */
import { spawn, spawnSync } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { writeTinyCohort } from '../src/training/testing/tiny-cohort.ts';

const MAIN = fileURLToPath(new URL('../dist/cli/main.js', import.meta.url));
/** Without what a launcher of these tests may have left, and what Open MPI asks of root and of small machines. */
const environment = {
  ...Object.fromEntries(Object.entries(process.env).filter(([name]) => !/^(OMPI|PMIX?|GVSL)_/.test(name))),
  OMPI_ALLOW_RUN_AS_ROOT: '1',
  OMPI_ALLOW_RUN_AS_ROOT_CONFIRM: '1',
  OMPI_MCA_rmaps_base_oversubscribe: '1',
  OMPI_MCA_hwloc_base_binding_policy: 'none',
};

const there = (name: string): boolean => spawnSync(name, ['--version']).status === 0;
const LAUNCHERS = ['mpirun.mpich', 'mpirun.openmpi'].map((name) => ({ name, skipped: !there(name) }));
const named = ({ name, skipped }: (typeof LAUNCHERS)[number]): string => (skipped ? `${name} (not installed)` : name);

let folder: string;
const at = (...names: string[]): string => join(folder, ...names);
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'gvsl-mpi-'));
  await writeTinyCohort(at('cohort'));
  const configuration = {
    ...{ steps: 3, batch: 3, threads: 1, learningRate: 1e-3, model: { width: 0.125 }, data: { patch: 16, heldOut: 2 } },
    log: { everySteps: 1, evaluateEverySteps: 0, picturesEverySteps: 0, checkpointEverySteps: 0 },
  };
  await writeFile(at('configuration.json'), JSON.stringify(configuration));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

interface Ended {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}
/** A call; with a launcher it is what `-n RANKS` starts. */
const call = (command: readonly string[], out: string, variables: Readonly<Record<string, string>> = {}): Promise<Ended> =>
  new Promise((resolve) => {
    const [program, ...args] = [
      ...command,
      ...[process.execPath, MAIN, 'pretrain', at('cohort'), '--out', at(out), '--config', at('configuration.json')],
    ];
    const child = spawn(program, args, { env: { ...environment, ...variables }, stdio: ['ignore', 'pipe', 'pipe'] });
    const ended = { stdout: '', stderr: '' };
    child.stdout.on('data', (chunk) => {
      ended.stdout += chunk;
    });
    child.stderr.on('data', (chunk) => {
      ended.stderr += chunk;
    });
    child.on('close', (code) => resolve({ code, ...ended }));
  });

const bytesOf = (out: string): Promise<Buffer[]> =>
  Promise.all(['model.safetensors', 'state.safetensors', 'config.json'].map((name) => readFile(at(out, 'last', name))));

it('one process, for comparison', async () => {
  expect(await call([], 'alone')).toMatchObject({ code: 0 });
});

describe.each(LAUNCHERS.map((launcher) => [named(launcher), launcher] as const))('%s', (_, { name, skipped }) => {
  it.skipIf(skipped)('gives the bytes of one process, and one result', async () => {
    const { code, stdout, stderr } = await call([name, '-n', '2'], name);
    expect(code, stderr).toBe(0);
    expect(stdout.match(/3 steps done/g)).toHaveLength(1);
    expect(stderr).toMatch(/ranks {6}2 on one machine, (MPICH|Open MPI) \d/);
    expect(await bytesOf(name)).toEqual(await bytesOf('alone'));
    const lines = (await readFile(at(name, 'metrics.jsonl'), 'utf8')).trim().split('\n');
    expect(JSON.parse(lines[0]).sharing).toMatchObject({ ranks: 2 });
  });

  it.skipIf(skipped)('says once what is wrong, and ends with its exit code', async () => {
    const { code, stderr } = await call([name, '-n', '2'], name);
    expect(code).toBe(2);
    expect(stderr.match(/already contains a run/g)).toHaveLength(1);
  });

  it.skipIf(skipped || LAUNCHERS.some((other) => other.skipped))('says that the library is of another MPI', async () => {
    const other = name === 'mpirun.mpich' ? 'libmpi.so.40' : 'libmpich.so.12';
    const { code, stderr } = await call([name, '-n', '2'], 'other', { GVSL_MPI_LIBRARY: other });
    expect(code).not.toBe(0);
    expect(stderr).toMatch(
      /the launcher started 2 ranks, but (MPICH|Open MPI) .* sees 1: mpirun and the library are of different MPIs/,
    );
  });
});

it('says what to do where the launcher is MPI and no library is found', async () => {
  const { code, stderr } = await call([], 'none', { PMI_SIZE: '2', PMI_RANK: '0', GVSL_MPI_LIBRARY: '/nowhere/libmpi.so' });
  expect(code).toBe(2);
  expect(stderr).toMatch(
    /no MPI library could be opened \(.*\/nowhere\/libmpi\.so.*\); install MPICH or Open MPI.*GVSL_MPI_LIBRARY/,
  );
});

it('ranks over TCP give the bytes of one process', async () => {
  const port = await new Promise<number>((resolve) => {
    const server = createServer().listen(0, '127.0.0.1', () => {
      const { port: free } = server.address() as { port: number };
      server.close(() => resolve(free));
    });
  });
  const ended = await Promise.all(
    [0, 1, 2].map((rank) => call([], 'tcp', { GVSL_TCP: `127.0.0.1:${port}`, GVSL_RANK: String(rank), GVSL_RANKS: '3' })),
  );
  expect(
    ended.map(({ code }) => code),
    ended[0].stderr,
  ).toEqual([0, 0, 0]);
  expect(ended.map(({ stdout }) => /3 steps done/.test(stdout))).toEqual([true, false, false]);
  expect(await bytesOf('tcp')).toEqual(await bytesOf('alone'));
});
