/** How registration is planned on a device that allows only so much for one tensor, as GPUs do. */
import { describe, expect, it } from 'vitest';
import type { Backend } from '../../engine/backend.ts';
import { compileProgram } from '../../engine/backends/webgpu/compile.ts';
import { ALL_HEADS, scaledArchitecture } from '../../model/architecture.ts';
import { initialParameters, parameterTable } from '../../model/parameters.ts';
import { type MatchingNetwork, planMatch } from './match.ts';

const architecture = scaledArchitecture(0.125, ALL_HEADS);
const network: MatchingNetwork = {
  architecture,
  parameters: initialParameters(parameterTable(architecture), 1),
  trainedPatch: [48, 64, 64],
};

/** A GPU that plans as WebGPU does, with bindings of at most so many bytes. */
const gpu = (pageBytes: number): Backend => ({
  name: 'webgpu',
  description: 'none',
  memoryLimitBytes: Number.MAX_SAFE_INTEGER,
  ownMemory: true,
  memoryBytes: (program) => compileProgram(program, { pageBytes, half: false }).totalBytes,
  open: () => Promise.reject(new Error('nothing is computed here')),
});

const plan = (mebibytes: number, tile?: number) =>
  planMatch(
    network,
    gpu(mebibytes * 2 ** 20),
    [150, 100, 80],
    [120, 110, 90],
    { bytes: Number.MAX_SAFE_INTEGER, limit: 'GPU memory' },
    tile,
  );

describe('planMatch on a device of small buffers', () => {
  it('takes whole images where each tensor fits', () => {
    expect(plan(4096)).toMatchObject({ size: [150, 110, 90], reason: '' });
  });

  it('tiles where one does not, with the tiles of training, else smaller ones', () => {
    const tiled = plan(32);
    expect(tiled.size).toEqual([64, 64, 48]);
    expect(tiled.tiles.length).toBeGreaterThan(1);
    expect(tiled.reason).toBe('whole images (150 x 110 x 90 voxels) need a tensor larger than the device allows');
    const sizes = [32, 28, 24, 20, 16, 12].map((mebibytes) => plan(mebibytes).size.join(' x '));
    expect([...new Set(sizes)]).toEqual(['64 x 64 x 48', '48 x 48 x 48', '32 x 32 x 32']);
  });

  it('says so where nothing fits, or tiles that were asked for do not', () => {
    expect(() => plan(0.1)).toThrow(/^not enough memory: .*tiles of 32 x 32 x 32 need a tensor larger than the device allows/);
    expect(() => plan(5, 64)).toThrow(/^`tile` 64 needs a tensor larger than the device allows: choose smaller tiles/);
  });
});
