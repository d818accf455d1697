import { execFileSync } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { RunError } from '../../common/errors.ts';
import { npyHeader, openNpy } from './npy.ts';

let folder = '';
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'gvsl-npy-'));
});
afterEach(() => rm(folder, { recursive: true }));

/** A file with any text as its header, and so many bytes of voxels. */
function made(
  text: string,
  voxels: number,
  { version = 1, length = text.length }: { version?: number; length?: number } = {},
): Buffer {
  const start = Buffer.from('\x93NUMPY\x01\x00\x00\x00', 'latin1');
  start[6] = version;
  start.writeUInt16LE(length, 8);
  return Buffer.concat([start, Buffer.from(text, 'latin1'), Buffer.alloc(voxels)]);
}
const header = (shape: string, descr = '<f2', order = 'False'): string =>
  `{'descr': '${descr}', 'fortran_order': ${order}, 'shape': (${shape}), }\n`;

describe('npy', () => {
  it('opens what it writes', async () => {
    const path = join(folder, 'a.npy');
    await writeFile(path, Buffer.concat([npyHeader('<i2', [2, 3, 4]), Buffer.alloc(48)]));
    const { handle, ...file } = await openNpy(path);
    await handle.close();
    expect(file).toEqual({ path, type: '<i2', shape: [2, 3, 4], channels: 1, dataOffset: 128 });
  });

  it.each<[string, Buffer]>([
    ['magic bytes', Buffer.alloc(0)],
    ['magic bytes', Buffer.from('\x93NUMPZ\x01\x00\x00\x00', 'latin1')],
    ['version 2, expected 1', made(header('1, 1, 1'), 2, { version: 2 })],
    ['header of 65545 bytes in', made(header('1, 1, 1'), 2, { length: 65535 })],
    ['element type ?', made('{}', 2)],
    ['element type >f2', made(header('1, 1, 1', '>f2'), 2)],
    ['element type |O', made(header('1, 1, 1', '|O'), 2)],
    ['element type toString', made(header('1, 1, 1', 'toString'), 2)],
    ['Fortran order', made(header('1, 1, 1', '<f2', 'True'), 2)],
    ['expected three sizes', made(header('2, 1'), 4)],
    ['expected three sizes', made(header('1, 1, 1, 1, 1'), 2)],
    ['truncated', made(header('2, 1, 1, 1'), 2)],
    ['expected three sizes', made(header('-1, -1, 1'), 2)],
    ['expected three sizes', made(header('0, 1, 1'), 0)],
    ['expected three sizes', made(header('0x1, 1, 1'), 2)],
    ['expected three sizes', made(header('1e0, 1, 1'), 2)],
    ['expected three sizes', made(header('9007199254740993, 1, 1'), 2)],
    ['truncated', made(header('94906267, 94906267, 1'), 2)],
    ['truncated', made(header('1, 1, 2'), 2)],
    ['too long', made(header('1, 1, 1'), 3)],
  ])('refuses by name and reason: %s', async (reason, bytes) => {
    const path = join(folder, 'a.npy');
    await writeFile(path, bytes);
    const failure = await openNpy(path).catch((error: unknown) => error);
    expect(failure).toBeInstanceOf(RunError);
    expect((failure as Error).message).toContain(path);
    expect((failure as Error).message).toContain(reason);
  });

  it('does not wait for a pipe, nor open a folder', async () => {
    mkdirSync(join(folder, 'b'));
    await expect(openNpy(join(folder, 'b'))).rejects.toThrow('not a file');
    await expect(openNpy(join(folder, 'none'))).rejects.toThrow('cannot be opened');
    if (process.platform === 'win32') return;
    execFileSync('mkfifo', [join(folder, 'pipe')]);
    await expect(openNpy(join(folder, 'pipe'))).rejects.toThrow('not a file');
  });
});
