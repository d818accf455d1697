/**
 * NumPy's .npy files, version 1.0, C order: what a cohort stores its voxels in, so that numpy can map them into memory.
 * Format: numpy.lib.format. Only the element types below; anything else is refused by name.
 */
import { constants } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { RunError } from '../../common/errors.ts';
import type { Zyx } from '../../geometry/volume.ts';
import { isMachineTrouble, machineError } from '../../platform/node/machine.ts';
import type { LabelArray } from '../reader.ts';

/** Element types by NumPy's description, with their size in bytes. */
export const NPY_TYPES = { '<f2': 2, '|u1': 1, '|i1': 1, '<u2': 2, '<i2': 2, '<u4': 4, '<i4': 4 } as const;
export type NpyType = keyof typeof NPY_TYPES;

/** Arrays of the types of integers. */
export const INTEGER_ARRAYS = {
  '|u1': Uint8Array,
  '|i1': Int8Array,
  '<u2': Uint16Array,
  '<i2': Int16Array,
  '<u4': Uint32Array,
  '<i4': Int32Array,
} as const satisfies { readonly [Type in NpyType]?: unknown };

export const npyTypeOf = (data: LabelArray): NpyType =>
  Object.entries(INTEGER_ARRAYS).find(([, Type]) => data instanceof Type)![0] as NpyType;

const MAGIC = '\x93NUMPY';

/** The bytes before the voxels. Padded so that the data start at a multiple of 64, as the format asks. */
export function npyHeader(type: NpyType, shape: readonly number[]): Uint8Array {
  const text = `{'descr': '${type}', 'fortran_order': False, 'shape': (${shape.join(', ')}), }`;
  const total = Math.ceil((10 + text.length + 1) / 64) * 64;
  const header = Buffer.alloc(total, ' ');
  header.write(MAGIC, 0, 'latin1');
  header[6] = 1;
  header[7] = 0;
  header.writeUInt16LE(total - 10, 8);
  header.write(text, 10, 'latin1');
  header[total - 1] = 0x0a;
  return header;
}

/** An .npy file opened for reading pieces of it. Close it. */
export interface NpyFile {
  readonly path: string;
  readonly type: NpyType;
  /** Of a channel. */
  readonly shape: Zyx;
  /** How many channels there are, the first axis of a file with four; 1 with three. */
  readonly channels: number;
  /** Byte offset of the first element. */
  readonly dataOffset: number;
  readonly handle: FileHandle;
}

/** Opens an .npy file of three axes, or of four with the channels first, and checks its header against the file's length. @throws RunError naming the file and what is wrong */
export async function openNpy(path: string): Promise<NpyFile> {
  const refuse = (why: string): RunError => new RunError(`${path}: ${why}; prepare the cohort again`);
  let handle: FileHandle;
  try {
    // opening a pipe would otherwise wait for somebody to write into it; Windows knows no such flag
    handle = await open(path, constants.O_RDONLY | (constants.O_NONBLOCK ?? 0));
  } catch (error) {
    throw isMachineTrouble(error) ? machineError(path, error) : refuse(`cannot be opened (${(error as Error).message})`);
  }
  try {
    const facts = await handle.stat();
    if (!facts.isFile()) throw refuse('not a file');
    const head = Buffer.alloc(1024);
    const { bytesRead } = await handle.read(head, 0, head.length, 0);
    if (bytesRead < 10 || head.toString('latin1', 0, 6) !== MAGIC) throw refuse('not an .npy file (its magic bytes are missing)');
    if (head[6] !== 1) throw refuse(`.npy version ${head[6]}, expected 1`);
    const dataOffset = 10 + head.readUInt16LE(8);
    if (dataOffset > bytesRead) throw refuse(`header of ${dataOffset} bytes in ${bytesRead} bytes read`);
    const text = head.toString('latin1', 10, dataOffset);
    const type = /'descr':\s*'([^']*)'/.exec(text)?.[1] ?? '?';
    if (!Object.hasOwn(NPY_TYPES, type))
      throw refuse(`element type ${type}, expected one of ${Object.keys(NPY_TYPES).join(' ')}`);
    if (!/'fortran_order':\s*False/.test(text)) throw refuse('Fortran order, expected C order');
    const shape = (/'shape':\s*\(([^)]*)\)/.exec(text)?.[1] ?? '')
      .split(',')
      .flatMap((s) => (s.trim() ? [/^\s*\d+\s*$/.test(s) ? Number(s) : Number.NaN] : []));
    if (![3, 4].includes(shape.length) || !shape.every((n) => Number.isSafeInteger(n) && n > 0))
      throw refuse(`shape (${shape.join(', ')}), expected three sizes (z, y, x)`);
    const expected = dataOffset + shape.reduce((product, n) => product * n, NPY_TYPES[type as NpyType]);
    const { size } = facts;
    if (size !== expected)
      throw refuse(`${size} bytes, but its header says ${expected}: ${size < expected ? 'truncated' : 'too long'}`);
    const [channels, z, y, x] = shape.length === 4 ? shape : [1, ...shape];
    return { path, type: type as NpyType, shape: [z, y, x], channels, dataOffset, handle };
  } catch (error) {
    await handle.close();
    throw error;
  }
}
