import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { pretrainConfigurationSchema } from '../../methods/gvsl/configuration.ts';
import { nodeCpuBackend } from '../../platform/node/cpu-host.ts';
import { writeTinyCohort } from '../testing/tiny-cohort.ts';
import { measureStepSeconds } from './speed.ts';

const folder = mkdtempSync(join(tmpdir(), 'gvsl-speed-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe('measureStepSeconds', () => {
  it.each([1, 2, 3])('takes no more examples than a training of %i steps has', async (steps) => {
    await writeTinyCohort(folder);
    const data = { patch: 16, heldOut: 0 };
    const configuration = pretrainConfigurationSchema.parse({ steps, model: { width: 0.125 }, data });
    const job = { cohort: folder, training: ['tiny_0', 'tiny_1', 'tiny_2'], configuration };
    expect(await measureStepSeconds(nodeCpuBackend(1), job)).toBeGreaterThan(0);
    const stopped = AbortSignal.abort();
    expect(await measureStepSeconds(nodeCpuBackend(1), job, stopped)).toBeGreaterThan(0);
  });
});
