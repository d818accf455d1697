import { describe, expect, it } from 'vitest';
import { noWebGpu } from '../../engine/testing/backends.ts';
import { createBackend } from './backends.ts';
import { nodeWebGpuHost } from './webgpu-host.ts';

describe('createBackend', () => {
  it('gives what is asked for by name', async () => {
    expect((await createBackend('cpu', 1)).name).toBe('cpu');
    expect((await createBackend('reference')).name).toBe('reference');
    await expect(createBackend('cuda')).rejects.toThrow(
      "`backend`: expected one of cpu, webgpu, webgpu-f16, auto, reference, got 'cuda'",
    );
  });

  it.skipIf(noWebGpu !== undefined)(
    `gives the GPU in both precisions${noWebGpu === undefined ? '' : `: ${noWebGpu}`}`,
    async () => {
      expect(await createBackend('webgpu')).toMatchObject({ name: 'webgpu', half: false });
      expect(await createBackend('webgpu-f16')).toMatchObject({ name: 'webgpu-f16', half: true });
    },
  );

  it('chooses the processor where there is no GPU, or none but a driver in software', async () => {
    const software = noWebGpu !== undefined || (await nodeWebGpuHost()).software;
    // by rule, so always the same
    for (let i = 0; i < 2; i++) expect((await createBackend('auto', 1)).name).toBe(software ? 'cpu' : 'webgpu');
  });
});
