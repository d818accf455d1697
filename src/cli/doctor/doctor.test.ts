/** The doctor's checks on this machine, and how a failure is told. */
import { availableParallelism, totalmem } from 'node:os';
import { describe, expect, it } from 'vitest';
import { version } from '../../common/version.ts';
import type { Backend } from '../../engine/backend.ts';
import { referenceBackend } from '../../engine/backends/reference/backend.ts';
import { bestBuild, CPU_BUILDS } from '../../platform/node/cpu-host.ts';
import { installedVersion } from '../../platform/node/optional-packages.ts';
import { agreement } from './agreement.ts';
import { type Check, checksText, runChecks } from './check.ts';
import { judgeCores, judgeNode, probesOf } from './probes.ts';
import { reportOf } from './report.ts';

const NAMES = [
  'gvsl',
  'Node',
  'V8',
  'system',
  'cores',
  'memory',
  'build avx2',
  'build relaxed',
  'build portable',
  'threads',
  'speed',
  'GPU',
];

/** The reference, with every result changed. */
function changed(change: (value: number) => number): Backend {
  const reference = referenceBackend();
  return {
    ...reference,
    open: async (program) => {
      const session = await reference.open(program);
      return { ...session, run: async (...call) => ({ y: (await session.run(...call)).y.map(change) }) };
    },
  };
}

describe('gvsl doctor', () => {
  it('finds nothing missing here', async () => {
    const checks = await runChecks(probesOf());
    expect(checks.filter(({ status }) => status === 'fail')).toEqual([]);
    expect(checks.map(({ name }) => name)).toEqual([...NAMES, 'temp folder', 'images']);
    for (const { status, advice } of checks) expect(advice === null).toBe(status === 'ok');
    expect(checks.filter(({ found }) => found.endsWith('; used')).map(({ name }) => name)).toEqual([`build ${bestBuild()}`]);
    expect(checksText(checks).split('\n').at(-1)).toBe('gvsl works here');
    const report = reportOf(checks, bestBuild());
    expect(report).toMatchObject({ ok: true, build: bestBuild() });
    expect(report.gflops).toBeGreaterThan(0);
  });

  it('tells a temporary folder that cannot be written with what to do, and goes on', async () => {
    const checks = await runChecks(probesOf('/nowhere/at all'));
    const failed = checks.filter(({ status }) => status === 'fail');
    expect(failed.map(({ name }) => name)).toEqual(['temp folder', 'images']);
    expect(failed[0].advice).toContain('make /nowhere/at all writable');
    expect(failed[1].advice).toContain('if the temporary folder is writable');
    expect(reportOf(checks, 'portable').ok).toBe(false);
  });

  it('prints one line a check, advice below it, the verdict last', () => {
    const checks: Check[] = [
      { name: 'Node', status: 'ok', found: 'v24.0.0', advice: null },
      { name: 'cores', status: 'warn', found: '1', advice: 'more would help' },
      { name: 'speed', status: 'ok', found: '99 GFLOPS', advice: null, gflops: 99 },
      { name: 'images', status: 'fail', found: 'no module', advice: 'install it' },
    ];
    expect(checksText(checks).split('\n')).toEqual([
      'ok    Node    v24.0.0',
      'note  cores   1',
      '              more would help',
      'ok    speed   99 GFLOPS',
      'FAIL  images  no module',
      '              install it',
      '1 of 4 checks failed: fix these first; gvsl cannot work here without them',
    ]);
    expect(reportOf(checks, 'relaxed')).toMatchObject({ ok: false, checks, build: 'relaxed', gflops: 99 });
    expect(reportOf(checks.slice(0, 2), 'avx2')).toMatchObject({ ok: true, gflops: null });
  });

  it('reports what somebody who helps would ask for', () => {
    const gpu: Check = { name: 'GPU', status: 'warn', found: 'none', advice: 'get one', adapters: [] };
    expect(reportOf([gpu], 'portable').environment).toEqual({
      gvsl: version,
      node: process.version,
      v8: process.versions.v8,
      system: expect.stringContaining(process.arch),
      platform: process.platform,
      arch: process.arch,
      cpu: expect.any(String),
      cores: availableParallelism(),
      usableThreads: { threads: expect.any(Number), limit: expect.any(String) },
      memoryBytes: totalmem(),
      availableMemory: { bytes: expect.any(Number), limit: expect.any(String) },
      builds: CPU_BUILDS.map((build) => ({ build, available: expect.any(Boolean), why: expect.any(String) })),
      packages: { koffi: installedVersion('koffi'), webgpu: installedVersion('webgpu') },
      webgpu: { adapters: [], state: 'none: get one' },
    });
  });

  it('makes of what a probe throws a failure with its remedy', async () => {
    const run = async (): Promise<never> => {
      throw new Error('broken');
    };
    expect(await runChecks([{ name: 'it', remedy: 'fix it', run }])).toEqual([
      { name: 'it', status: 'fail', found: 'broken', advice: 'fix it' },
    ]);
  });

  it('notices a backend that computes wrongly', async () => {
    expect(await agreement(changed((value) => value))).toBe('agrees with the reference to 0.0e+0');
    await expect(agreement(changed((value) => value * 1.001))).rejects.toThrow(
      'wrong results: differs from the reference by 1.0e-3',
    );
    await expect(agreement(changed(() => Number.NaN))).rejects.toThrow('wrong results');
  });

  it('judges Node', () => {
    expect(judgeNode('v20.18.1', true).status).toBe('fail');
    expect(judgeNode('v18.20.0', false).advice).toBe('install Node 20.19 or newer');
    expect(judgeNode('v20.19.0', true)).toMatchObject({ status: 'warn', advice: expect.stringContaining('Node 24') });
    expect(judgeNode('v20.19.0', false).status).toBe('ok');
    expect(judgeNode('v24.0.0', true).status).toBe('ok');
  });

  it('judges cores by what the container grants', () => {
    const limit = 'a limit';
    expect(judgeCores(8, { threads: 8, limit })).toMatchObject({ status: 'ok', found: '8 available (a limit)' });
    expect(judgeCores(8, { threads: 2, limit })).toMatchObject({ status: 'warn', found: '2 available (a limit) of 8' });
    expect(judgeCores(1, { threads: 1, limit }).status).toBe('warn');
  });
});
