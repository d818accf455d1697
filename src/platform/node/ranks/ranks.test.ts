/** What ranks do with one another, over a transport within this process and over TCP. */
import { createServer } from 'node:net';
import { describe, expect, it } from 'vitest';
import { OtherRankError, RunError, UsageError } from '../../../common/errors.ts';
import { libraryNames, settleUcx, shortVersion } from './mpi-library.ts';
import { launchOf, openRanks } from './open-ranks.ts';
import { ALONE, type Ranks, ranksOn } from './ranks.ts';
import { openTcp } from './tcp.ts';
import { memoryRanks } from './testing/memory-transport.ts';

/** A port that nobody listens at, just now. */
const freePort = (): Promise<number> =>
  new Promise((resolve) => {
    const server = createServer().listen(0, '127.0.0.1', () => {
      const { port } = server.address() as { port: number };
      server.close(() => resolve(port));
    });
  });

const tcpRanks = async (size: number): Promise<Ranks[]> => {
  const address = { host: '127.0.0.1', port: await freePort() };
  return Promise.all(Array.from({ length: size }, async (_, rank) => ranksOn(await openTcp({ rank, size, address }))));
};

describe.each([
  ['in one process', memoryRanks],
  ['over TCP', tcpRanks],
])('ranks %s', (_, open) => {
  it('hear what each of them tells, however long it is, with the bits of its numbers', async () => {
    const ranks = await open(3);
    const long = 'x'.repeat(10_000);
    const values = Float32Array.of(Number.NaN, -0, Number.POSITIVE_INFINITY, 0.1);
    const told = await Promise.all(
      ranks.map((each) => each.gather({ data: { from: each.rank, text: each.rank === 1 ? long : 'short' }, values })),
    );
    for (const all of told) {
      expect(all.map(({ data }) => data.from)).toEqual([0, 1, 2]);
      expect(all[1].data.text).toBe(long);
      for (const { values: came } of all)
        expect(came!.map((value) => (Object.is(value, -0) ? -7 : value))).toEqual(
          values.map((value) => (Object.is(value, -0) ? -7 : value)),
        );
    }
    await Promise.all(ranks.map((each) => each.end()));
  });

  it('have what rank 0 has, and exchange parts of long vectors', async () => {
    const ranks = await open(3);
    const length = 9_000_001;
    const copies = ranks.map(({ rank }) => new Uint8Array(length).fill(rank === 0 ? 7 : 1));
    await Promise.all(ranks.map((each, i) => each.broadcast(copies[i])));
    for (const copy of copies) expect(copy.every((value) => value === 7)).toBe(true);
    const right = await Promise.all(
      ranks.map(async (each) => {
        const into = new Uint8Array(1_000_000);
        const transfers = [
          each.receive((each.rank + 2) % 3, 5, into),
          each.send((each.rank + 1) % 3, 5, new Uint8Array(1_000_000).fill(each.rank)),
        ];
        await each.finish(transfers);
        return into.every((value) => value === (each.rank + 2) % 3);
      }),
    );
    expect(right).toEqual([true, true, true]);
    await Promise.all(ranks.map((each) => each.end()));
  });

  it('all end when one fails, and one of them has the message', async () => {
    const ranks = await open(3);
    const ended = await Promise.all(
      ranks.map(async (each) => {
        try {
          if (each.rank === 1) throw new UsageError('no such cohort');
          await each.gather({ data: null });
          return 'went on';
        } catch (error) {
          return each.fail(error);
        }
      }),
    );
    expect(ended[1]).toBeInstanceOf(UsageError);
    for (const other of [ended[0], ended[2]]) {
      expect(other).toBeInstanceOf(OtherRankError);
      expect((other as Error).message).toBe('rank 1 of 3: no such cohort');
    }
  });

  it('fail together with one message, where all fail alike', async () => {
    const ranks = await open(2);
    const errors = await Promise.all(ranks.map((each) => each.fail(new RunError('full'))));
    expect(errors.map((error) => error instanceof OtherRankError)).toEqual([false, true]);
  });
});

it('TCP: a rank that is gone without a word is noticed by those who wait for it', async () => {
  const address = { host: '127.0.0.1', port: await freePort() };
  const [first, second] = await Promise.all([0, 1].map((rank) => openTcp({ rank, size: 2, address })));
  const waiting = ranksOn(first);
  second.end();
  await expect(waiting).rejects.toThrow('rank 1 of 2 has ended; the others cannot go on');
});

describe('what the launcher says', () => {
  it.each([
    ['nothing', {}, { kind: 'alone' }],
    ['mpirun of Open MPI', { OMPI_COMM_WORLD_SIZE: '4' }, { kind: 'mpi', size: 4, family: 'openmpi' }],
    ['one rank', { OMPI_COMM_WORLD_SIZE: '1' }, { kind: 'alone' }],
    ['mpirun of MPICH', { PMI_SIZE: '3', PMI_RANK: '0', MPI_LOCALNRANKS: '3' }, { kind: 'mpi', size: 3, family: 'mpich' }],
    ['srun with PMI-2', { PMI_SIZE: '3', PMI_RANK: '0' }, { kind: 'mpi', size: 3, family: undefined }],
    ['srun with PMIx', { SLURM_STEP_NUM_TASKS: '8', PMIX_RANK: '2' }, { kind: 'mpi', size: 8, family: undefined }],
    ['an allocation of Slurm, outside srun', { SLURM_NTASKS: '8' }, { kind: 'alone' }],
    [
      'ranks over TCP',
      { GVSL_TCP: 'node7:4000', GVSL_RANK: '1', GVSL_RANKS: '2' },
      { kind: 'tcp', rank: 1, size: 2, address: { host: 'node7', port: 4000 } },
    ],
  ])('%s', async (_, environment, launch) => {
    expect(launchOf(environment as Record<string, string>)).toEqual(launch);
    if (launch.kind === 'alone') expect(await openRanks(environment as Record<string, string>)).toBe(ALONE);
  });

  it('refuses what cannot be meant', () => {
    expect(() => launchOf({ GVSL_TCP: 'node7' })).toThrow("GVSL_TCP: expected HOST:PORT of rank 0; found 'node7'");
    expect(() => launchOf({ GVSL_TCP: 'node7:1', GVSL_RANKS: '2', GVSL_RANK: '2' })).toThrow(
      "GVSL_RANK: expected a whole number from 0 to 1 beside GVSL_TCP; found '2'",
    );
  });
});

it('libraries of the family of the launcher are tried first', () => {
  expect(libraryNames('openmpi').slice(0, 2)).toEqual(['libmpi.so.40', 'libmpi.40.dylib']);
  expect(libraryNames('mpich')[0]).toBe('libmpi.so.12');
  expect(libraryNames(undefined)[0]).toBe('libmpi.so');
});

it('versions are told in a few words', () => {
  expect(shortVersion('Open MPI v4.1.4, package: Debian OpenMPI, ident: 4.1.4')).toBe('Open MPI 4.1.4');
  expect(shortVersion('MPICH Version:      4.0.2\nMPICH Release date: x')).toBe('MPICH 4.0.2');
  expect(shortVersion('Intel(R) MPI Library 2021.9 for Linux* OS')).toBe('Intel(R) MPI Library 2021.9');
});

it('keeps UCX from patching memory and from taking V8\u2019s signals, unless the environment says otherwise', () => {
  const environment: Record<string, string | undefined> = { UCX_MEM_EVENTS: 'y' };
  settleUcx(environment);
  expect(environment.UCX_MEM_EVENTS).toBe('y');
  expect(environment.UCX_ERROR_SIGNALS).not.toContain('SEGV');
});
