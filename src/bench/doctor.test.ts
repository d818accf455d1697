/** The doctor's checks on this machine, and how a failure is told. */
import { describe, expect, it } from 'vitest';
import { checksText, judgeNode, probesOf, runChecks } from './doctor.ts';

describe('gvsl doctor', () => {
  it('finds nothing missing here', async () => {
    const checks = await runChecks(probesOf());
    expect(checks.filter(({ status }) => status === 'fail')).toEqual([]);
    expect(checks.map(({ name }) => name)).toEqual(
      expect.arrayContaining(['Node', 'memory', 'build avx2', 'build relaxed', 'build portable', 'speed', 'images']),
    );
    for (const { status, advice } of checks) expect(advice === null).toBe(status === 'ok');
    expect(checksText(checks).split('\n').at(-1)).toBe('gvsl works here');
  });
  it('tells a check that fails with what to do, and goes on', async () => {
    const checks = await runChecks(probesOf('/nowhere/at all'));
    const failed = checks.filter(({ status }) => status === 'fail');
    expect(failed.map(({ name }) => name)).toEqual(['images']);
    expect(failed[0]!.advice).toContain('make /nowhere/at all writable');
    expect(checksText(checks)).toContain('FAIL  images');
    expect(checksText(checks)).toContain(`1 of ${checks.length} checks failed`);
  });
  it('judges Node', () => {
    expect(judgeNode('v20.18.1', 'x64').status).toBe('fail');
    expect(judgeNode('v18.20.0', 'arm64').advice).toBe('install Node 20.19 or newer');
    expect(judgeNode('v20.19.0', 'x64')).toMatchObject({ status: 'warn', advice: expect.stringContaining('Node 24') });
    expect(judgeNode('v20.19.0', 'arm64').status).toBe('ok');
    expect(judgeNode('v24.0.0', 'x64').status).toBe('ok');
  });
});
