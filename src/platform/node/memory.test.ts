import { describe, expect, it } from 'vitest';
import { RunError } from '../../common/errors.ts';
import { formatBytes } from '../../common/format-bytes.ts';
import type { Zyx } from '../../geometry/volume.ts';
import type { AvailableMemory } from './limits.ts';
import { type MemoryRequest, requireMemory } from './memory.ts';

describe('memory', () => {
  it('counts bytes as people read them', () => {
    expect([0, 512, 1023, 1024, 1.5 * 2 ** 20, 12.34 * 2 ** 30, 2 ** 30 - 1, 2 ** 50].map(formatBytes)).toEqual([
      '0 B',
      '512 B',
      '1023 B',
      '1 KiB',
      '1.5 MiB',
      '12.3 GiB',
      '1 GiB',
      '1024 TiB',
    ]);
  });
});

describe('requireMemory', () => {
  const sessionBytes = ([z, y, x]: Zyx, width: number, batch: number): number => z * y * x * width * batch * 1000;
  const request: MemoryRequest = {
    patch: [96, 96, 96],
    width: 1,
    batch: 2,
    neededBytes: (...of) => ({ session: sessionBytes(...of) }),
  };
  const refusal = (of: MemoryRequest, bytes: number, all?: AvailableMemory): string => {
    try {
      requireMemory(of, { session: { bytes, limit: 'address space of WebAssembly' }, ...(all && { all }) });
    } catch (error) {
      expect(error).toBeInstanceOf(RunError);
      return (error as Error).message;
    }
    return '';
  };

  it('says nothing when it fits, to the byte', () => {
    expect(refusal(request, sessionBytes([96, 96, 96], 1, 2))).toBe('');
  });

  it('names what would fit, the largest of each', () => {
    expect(refusal(request, 1e9)).toBe(
      'not enough memory: patch 96, batch 2 and width 1 need 1.65 GiB; available: 954 MiB (address space of WebAssembly). ' +
        'These would fit: `patch` 64 (500 MiB), or `batch` 1 (844 MiB), or `width` 0.5 (844 MiB)',
    );
    expect(refusal({ ...request, patch: [32, 96, 64], width: 0.125, batch: 1 }, 1e7)).toContain(
      'These would fit: `patch` 16,64,48',
    );
  });

  it('says so when no single change is enough', () => {
    expect(refusal(request, 4e6)).toContain(
      'No single change is enough: combine several (`patch` 16 `batch` 1 `width` 0.125 needs 500 KiB)',
    );
  });

  it('counts what lies beside the session in the memory of the machine, not in that of the session', () => {
    const beside: MemoryRequest = { ...request, neededBytes: (...of) => ({ session: sessionBytes(...of), beside: 3e9 }) };
    const session = sessionBytes([96, 96, 96], 1, 2);
    expect(refusal(beside, session, { bytes: session + 3e9, limit: 'free memory of this machine' })).toBe('');
    expect(refusal(beside, session, { bytes: session + 2.5e9, limit: 'free memory of this machine' })).toBe(
      'not enough memory: patch 96, batch 2 and width 1 need 4.44 GiB; available: 3.98 GiB (free memory of this machine). ' +
        'These would fit: `patch` 80 (3.75 GiB), or `batch` 1 (3.62 GiB), or `width` 0.5 (3.62 GiB)',
    );
  });
});
