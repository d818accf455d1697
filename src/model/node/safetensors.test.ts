import { existsSync, readdirSync } from 'node:fs';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { RunError } from '../../common/errors.ts';
import { openSafetensors, readSafetensors, writeSafetensors } from './safetensors.ts';

let folder = '';
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'gvsl-safetensors-'));
});
afterEach(() => rm(folder, { recursive: true }));

/** A file made by hand: any header text, any bytes behind it. */
async function make(
  header: string | Buffer,
  data: Uint8Array = new Uint8Array(),
  announced = Buffer.byteLength(header),
): Promise<string> {
  const path = join(folder, 'made.safetensors');
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(announced));
  await writeFile(path, Buffer.concat([length, Buffer.from(header), data]));
  return path;
}
const entry = (dtype: string, shape: number[], range: number[]): string => JSON.stringify({ dtype, shape, data_offsets: range });

describe('safetensors', () => {
  it('gives back what was written, names in the given order, and equal bytes for equal tensors', async () => {
    const tensors = [
      { name: 'zeta.weight', shape: [2, 1, 3], data: Float32Array.of(1, -2, 3.5, 4, Number.NaN, 6) },
      { name: '7', shape: [], data: Float32Array.of(0.1) },
      { name: 'empty', shape: [0, 4], data: new Float32Array() },
      { name: 'shared', shape: [2], data: new Float32Array(new SharedArrayBuffer(12), 4).fill(5) },
    ];
    const [a, b] = [join(folder, 'a.safetensors'), join(folder, 'b.safetensors')];
    await writeSafetensors(a, tensors, { note: 'é' });
    await writeSafetensors(b, tensors, { note: 'é' });
    const bytes = await readFile(a);
    expect(bytes.equals(await readFile(b))).toBe(true);
    expect(Number(bytes.readBigUInt64LE()) % 8).toBe(0);
    const read = await readSafetensors(a);
    expect(read.metadata).toEqual({ note: 'é' });
    expect([...read.tensors.values()]).toEqual(tensors);
  });

  it('converts the other types as documented', async () => {
    const data = new DataView(new ArrayBuffer(60));
    data.setFloat64(0, 0.1, true);
    [0x3c00, 0xc000, 0x0001, 0x7c00].forEach((half, i) => void data.setUint16(8 + 2 * i, half, true));
    data.setUint16(16, 0x3fc0, true);
    data.setUint16(18, 0xff80, true);
    data.setBigInt64(20, -(2n ** 40n) - 1n, true);
    data.setBigInt64(28, 16777216n, true);
    data.setInt32(36, -7, true);
    data.setUint8(40, 255);
    data.setFloat32(41, 1.5, true);
    const header = `{"f64":${entry('F64', [1], [0, 8])},"f16":${entry('F16', [4], [8, 16])},"bf16":${entry('BF16', [2], [16, 20])},
      "i64":${entry('I64', [2], [20, 36])},"i32":${entry('I32', [1], [36, 40])},"u8":${entry('U8', [1], [40, 41])},
      "odd":${entry('F32', [1], [41, 45])},"rest":${entry('U8', [15], [45, 60])}}`;
    const { tensors } = await readSafetensors(await make(header, new Uint8Array(data.buffer)));
    const values = (name: string): number[] => [...tensors.get(name)!.data];
    expect(values('f64')).toEqual([Math.fround(0.1)]);
    expect(values('f16')).toEqual([1, -2, 2 ** -24, Number.POSITIVE_INFINITY]);
    expect(values('bf16')).toEqual([1.5, Number.NEGATIVE_INFINITY]);
    expect(values('i64')).toEqual([-(2 ** 40), 16777216]);
    expect(values('i32')).toEqual([-7]);
    expect(values('u8')).toEqual([255]);
    expect(values('odd')).toEqual([1.5]);
  });

  it.each<[string, string, number, number?]>([
    ['too few for a header', '', 0, 2],
    ['truncated', '{}', 0, 1000],
    ['truncated', '{}', 0, 2 ** 52],
    ['not valid JSON', '{"a":', 0],
    ['more than 8 deep', '['.repeat(100_000), 0],
    ['more than 8 deep', `{"a":{"dtype":"F32","shape":${'['.repeat(20_000)}${']'.repeat(20_000)},"data_offsets":[0,4]}}`, 4],
    ['more than 500000 values', `{"a":[${'1,'.repeat(500_000)}1]}`, 0],

    ["start with '{'", ' {}', 0],
    ['not valid JSON', '\ufeff{}', 0],
    ['not valid JSON', '{"__metadata__":{"loss":NaN}}', 0],
    ['many programs misread it', `{"__proto__":${entry('F32', [1], [0, 4])}}`, 4],
    ['more than once', `{"a":{"dtype":"F32","dtype":"F64","shape":[1],"data_offsets":[0,4]}}`, 4],
    ['so 1.5 bytes', `{"a":${entry('F4', [3], [0, 2])}}`, 2],
    ['not a JSON object', '[]', 0],
    ['more than once', `{"a":${entry('F32', [1], [0, 4])},"a":${entry('F32', [1], [0, 4])}}`, 4],
    ['more than once', `{"a":${entry('U8', [1], [0, 1])},"\\u0061"   :${entry('U8', [1], [0, 1])}}`, 1],
    ['has type "F8"', `{"a":${entry('F8', [1], [0, 1])}}`, 1],
    [`has type "${'F'.repeat(79)}...`, `{"a":${entry('F'.repeat(1_000_000), [1], [0, 1])}}`, 1],
    ['has type undefined', '{"a":null}', 0],
    ['has type "toString"', `{"a":${entry('toString', [1], [0, 1])}}`, 1],
    ['has the shape', `{"a":${entry('F32', [-1], [0, 4])}}`, 4],
    ['has the shape', `{"a":${entry('F32', [1.5], [0, 6])}}`, 6],
    ['has the shape', `{"a":${entry('F32', new Array(17).fill(1), [0, 4])}}`, 4],
    ['so 8 bytes', `{"a":${entry('F32', [2], [0, 4])}}`, 4],
    ['bytes; its offsets', `{"a":${entry('F32', [2 ** 50, 2 ** 50], [0, 4])}}`, 4],
    ['has the offsets', `{"a":${entry('F32', [1], [4, 0])}}`, 4],
    ['has the offsets', `{"a":${entry('F32', [1], [0])}}`, 4],
    ['overlaps', `{"a":${entry('F32', [2], [0, 8])},"b":${entry('F32', [1], [4, 8])}}`, 8],
    ['belong to no tensor', `{"a":${entry('F32', [1], [4, 8])}}`, 8],
    ['after the last tensor', `{"a":${entry('F32', [1], [0, 4])}}`, 5],
    ['truncated', `{"a":${entry('F32', [2], [0, 8])}}`, 7],
    ['must map names to strings', '{"__metadata__":{"a":1}}', 0],
  ])('refuses by name and reason: %s', async (reason, header, dataBytes, announced) => {
    const path = await make(header, new Uint8Array(dataBytes), announced);
    const failure = await openSafetensors(path).catch((error: unknown) => error);
    expect(failure).toBeInstanceOf(RunError);
    expect((failure as Error).message).toContain(path);
    expect((failure as Error).message).toContain(reason);
  });

  it('says so when there is no file, a folder, or no such tensor', async () => {
    await expect(openSafetensors(join(folder, 'none'))).rejects.toThrow('no such file');
    await expect(openSafetensors(folder)).rejects.toThrow(RunError);
    const file = await openSafetensors(await make('{}'));
    await expect(file.read('a')).rejects.toThrow('has no tensor "a"');
    await file.close();
  });

  it('writes nothing for a shape that disagrees or a repeated name', async () => {
    const one = { name: 'a', shape: [1], data: new Float32Array(1) };
    await expect(writeSafetensors(join(folder, 'x'), [one, one])).rejects.toThrow('duplicate name');
    await expect(writeSafetensors(join(folder, 'x'), [{ ...one, shape: [2] }])).rejects.toThrow('1 values');
    expect(readdirSync(folder)).toEqual([]);
  });

  const goldens = join(import.meta.dirname, '../../../shared/goldens/gvsl_small.safetensors');
  it.skipIf(!existsSync(goldens))('reads a file that PyTorch made (skipped without ../shared/goldens)', async () => {
    const file = await openSafetensors(goldens);
    const curve = await file.read('loss_curve');
    await file.close();
    expect(Number(file.metadata.steps)).toBe(curve.length);
    expect([...curve].every((loss) => loss > 0 && loss < 10)).toBe(true);
  });
});
