/**
 * The text headers of NRRD and MetaImage: what must be checked before ITK reads the voxels (a damaged size would make it try to allocate
 * anything; a damaged gzip stream gives an error without words). The voxels and the grid are ITK's.
 */
import { readFile } from 'node:fs/promises';
import { promisify } from 'node:util';
import { gunzip, inflate } from 'node:zlib';
import { WorkError } from '../../errors/errors.ts';
import { MAX_IMAGE_BYTES } from '../nifti.ts';
import { describeZlib } from './gunzip.ts';

export interface TextHeader {
  readonly fields: ReadonlyMap<string, string>;
  readonly dims: readonly number[];
  readonly storedType: string;
}

const HEADER_LIMIT_BYTES = 2 ** 20;

const TYPE_BYTES: readonly (readonly [RegExp, string, number])[] = [
  [/^(unsigned char|uchar|uint8|uint8_t|met_uchar)$/i, 'uint8', 1],
  [/^(signed char|char|int8|int8_t|met_char)$/i, 'int8', 1],
  [/^(unsigned short|unsigned short int|ushort|uint16|uint16_t|met_ushort)$/i, 'uint16', 2],
  [/^(short|short int|signed short|signed short int|int16|int16_t|met_short)$/i, 'int16', 2],
  [/^(unsigned int|uint|uint32|uint32_t|met_uint|met_ulong)$/i, 'uint32', 4],
  [/^(int|signed int|int32|int32_t|met_int|met_long)$/i, 'int32', 4],
  [/^(unsigned long long|unsigned long long int|ulonglong|uint64|uint64_t|met_ulong_long)$/i, 'uint64', 8],
  [/^(long long|long long int|signed long long|longlong|int64|int64_t|met_long_long)$/i, 'int64', 8],
  [/^(float|met_float)$/i, 'float32', 4],
  [/^(double|met_double)$/i, 'float64', 8],
];

/** Reads and checks the header of a .nrrd, .nhdr, .mha or .mhd file. @throws WorkError with the reason, without the file's name */
export async function readTextHeader(path: string, kind: 'NRRD' | 'MetaImage'): Promise<TextHeader> {
  const bytes = await readFile(path).catch((error: NodeJS.ErrnoException) => {
    throw new WorkError(`cannot be opened (${error.code ?? error.message})`);
  });
  if (bytes.length === 0) throw new WorkError('it is empty (0 bytes)');
  const text = bytes.toString('latin1', 0, HEADER_LIMIT_BYTES);
  const nrrd = kind === 'NRRD';
  if (nrrd && !text.startsWith('NRRD')) throw new WorkError('not NRRD: its first line does not begin with NRRD');
  const end = nrrd ? /\r?\n\r?\n/.exec(text) : /^ElementDataFile\s*=.*$\n?/im.exec(text);
  if (!end && !nrrd) throw new WorkError('not MetaImage: no line "ElementDataFile = ..."');
  const dataAt = end ? end.index + end[0].length : bytes.length;
  const fields = new Map<string, string>();
  for (const line of text.slice(0, dataAt).split(/\r?\n/)) {
    const match = nrrd ? /^([^#:]+):=?\s*(.*)$/.exec(line) : /^(\w+)\s*=\s*(.*)$/.exec(line);
    if (match) fields.set(match[1].trim().toLowerCase(), match[2].trim());
  }
  const field = (name: string): string => {
    const value = fields.get(name);
    if (value === undefined) throw new WorkError(`its header has no "${name}"`);
    return value;
  };
  const dims = field(nrrd ? 'sizes' : 'dimsize')
    .split(/\s+/)
    .map(Number);
  if (!dims.every((n) => Number.isSafeInteger(n) && n > 0)) throw new WorkError(`its size is ${dims.join(' x ')}: damaged`);
  const typeText = field(nrrd ? 'type' : 'elementtype').replace(/_ARRAY$/i, '');
  const type = TYPE_BYTES.find(([pattern]) => pattern.test(typeText));
  if (!type) throw new WorkError(`its voxel type is ${typeText}, which cannot be read here`);
  const channels = nrrd ? 1 : Number(fields.get('elementnumberofchannels') ?? 1);
  const bytesNeeded = dims.reduce((a, b) => a * b, 1) * type[2] * channels;
  if (bytesNeeded > MAX_IMAGE_BYTES)
    throw new WorkError(`its size ${dims.join(' x ')} (${bytesNeeded} bytes) is more than can be read here`);

  const detached = nrrd ? fields.has('data file') || fields.has('datafile') : !/^LOCAL$/i.test(field('elementdatafile'));
  const compressed = nrrd ? /^gz/i.test(field('encoding')) : /^true$/i.test(fields.get('compresseddata') ?? '');
  const raw = nrrd ? /^raw$/i.test(field('encoding')) : !compressed && !/^false$/i.test(fields.get('binarydata') ?? 'true');
  if (!detached) {
    const stored = bytes.subarray(dataAt);
    let found = stored.length;
    if (compressed) {
      try {
        found = (await promisify(nrrd ? gunzip : inflate)(stored, { maxOutputLength: MAX_IMAGE_BYTES })).length;
      } catch (error) {
        throw new WorkError(describeZlib(error as NodeJS.ErrnoException));
      }
    }
    if ((compressed || raw) && found < bytesNeeded)
      throw new WorkError(`its header announces ${bytesNeeded} bytes of voxels, but ${found} are there: truncated or damaged`);
  }
  return { fields, dims, storedType: type[1] };
}
