/**
 * Whole and valid inputs of every kind that gvsl reads, small, written here byte by byte (or by gvsl itself, or by GDCM and PyTorch where they
 * are installed), to be mutated.
 *
 * A specimen is a folder; `open` is what a reader is given, relative to it; `parts` are the files that are mutated, each with its format.
 */
import { spawnSync } from 'node:child_process';
import { copyFileSync, cpSync, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { deflateRawSync, deflateSync, gzipSync } from 'node:zlib';
import { mustRun } from './support.mjs';

const SIZE = [12, 10, 8];
const COUNT = SIZE[0] * SIZE[1] * SIZE[2];

/** A blob on a slope: no value is zero, and no two neighbours are equal. */
const voxel = (i) => 40 + ((i * 37) % 1013) - (i % SIZE[0]) * 9;
const int16 = (big = false) => {
  const bytes = Buffer.alloc(2 * COUNT);
  for (let i = 0; i < COUNT; i++) big ? bytes.writeInt16BE(voxel(i), 2 * i) : bytes.writeInt16LE(voxel(i), 2 * i);
  return bytes;
};
const float32 = (big = false) => {
  const bytes = Buffer.alloc(4 * COUNT);
  for (let i = 0; i < COUNT; i++) big ? bytes.writeFloatBE(voxel(i) / 7, 4 * i) : bytes.writeFloatLE(voxel(i) / 7, 4 * i);
  return bytes;
};

/** Fields of binary headers: offset and type, for values at their limits. */
export const NIFTI1_FIELDS = [
  [0, 'i4'],
  ...[40, 42, 44, 46, 48, 50, 52, 54].map((at) => [at, 'i2']),
  [68, 'i2'],
  [70, 'i2'],
  [72, 'i2'],
  [74, 'i2'],
  ...[76, 80, 84, 88, 92].map((at) => [at, 'f4']),
  [108, 'f4'],
  [112, 'f4'],
  [116, 'f4'],
  [123, 'u1'],
  [252, 'i2'],
  [254, 'i2'],
  ...[256, 260, 264, 268, 272, 276, 280, 284, 300, 320].map((at) => [at, 'f4']),
  [344, 'u1'],
  [345, 'u1'],
  [346, 'u1'],
  [348, 'u1'],
];
export const NIFTI2_FIELDS = [
  [0, 'i4'],
  [4, 'u1'],
  [12, 'i2'],
  [14, 'i2'],
  ...[16, 24, 32, 40, 48, 56].map((at) => [at, 'i8']),
  ...[104, 112, 120, 128].map((at) => [at, 'f8']),
  [168, 'i8'],
  [176, 'f8'],
  [184, 'f8'],
  [344, 'i4'],
  [348, 'i4'],
  ...[352, 376, 400, 440].map((at) => [at, 'f8']),
  [500, 'i4'],
];
export const MGH_FIELDS = [
  ...[0, 4, 8, 12, 16, 20, 24].map((at) => [at, 'I4']),
  [28, 'I2'],
  ...[30, 34, 38, 42, 60, 78, 82].map((at) => [at, 'F4']),
];

function nifti1({ type = 4, bits = 16, data = int16(), slope = 1, inter = 0, pair = false } = {}) {
  const header = Buffer.alloc(pair ? 348 : 352);
  header.writeInt32LE(348, 0);
  [3, ...SIZE, 1, 1, 1, 1].forEach((n, k) => {
    header.writeInt16LE(n, 40 + 2 * k);
  });
  header.writeInt16LE(type, 70);
  header.writeInt16LE(bits, 72);
  [1, 1.5, 1.25, 2, 0, 0, 0, 0].forEach((n, k) => {
    header.writeFloatLE(n, 76 + 4 * k);
  });
  header.writeFloatLE(pair ? 0 : 352, 108);
  header.writeFloatLE(slope, 112);
  header.writeFloatLE(inter, 116);
  header[123] = 2;
  header.writeInt16LE(1, 252);
  header.writeInt16LE(1, 254);
  [1.5, 0, 0, -10, 0, 1.25, 0, 20, 0, 0, 2, 5].forEach((n, k) => {
    header.writeFloatLE(n, 280 + 4 * k);
  });
  [-10, 20, 5].forEach((n, k) => {
    header.writeFloatLE(n, 268 + 4 * k);
  });
  header.write(pair ? 'ni1\0' : 'n+1\0', 344, 'latin1');
  return pair ? [header, data] : Buffer.concat([header, data]);
}

function nifti2() {
  const header = Buffer.alloc(544);
  header.writeInt32LE(540, 0);
  header.write('n+2\0\r\n\x1a\n', 4, 'latin1');
  header.writeInt16LE(16, 12);
  header.writeInt16LE(32, 14);
  [3, ...SIZE, 1, 1, 1, 1].forEach((n, k) => {
    header.writeBigInt64LE(BigInt(n), 16 + 8 * k);
  });
  [1, 1.5, 1.25, 2, 0, 0, 0, 0].forEach((n, k) => {
    header.writeDoubleLE(n, 104 + 8 * k);
  });
  header.writeBigInt64LE(544n, 168);
  header.writeDoubleLE(1, 176);
  header.writeInt32LE(1, 348);
  [1.5, 0, 0, -10, 0, 1.25, 0, 20, 0, 0, 2, 5].forEach((n, k) => {
    header.writeDoubleLE(n, 400 + 8 * k);
  });
  header.writeInt32LE(2, 500);
  return Buffer.concat([header, float32()]);
}

function mgh() {
  const header = Buffer.alloc(284);
  [1, ...SIZE, 1, 3, 0].forEach((n, k) => {
    header.writeInt32BE(n, 4 * k);
  });
  header.writeInt16BE(1, 28);
  [1.5, 1.25, 2, -1, 0, 0, 0, 0, -1, 0, 1, 0, 4, 5, 6].forEach((n, k) => {
    header.writeFloatBE(n, 30 + 4 * k);
  });
  return Buffer.concat([header, float32(true)]);
}

const nrrdHeader = (type, encoding, more = '') =>
  `NRRD0005\n# a comment\ntype: ${type}\ndimension: 3\nspace: left-posterior-superior\nsizes: ${SIZE.join(' ')}\nspace directions: (1.5,0,0) (0,1.25,0) (0,0,2)\nkinds: domain domain domain\nendian: little\nencoding: ${encoding}\nspace origin: (-10,20,5)\n${more}\n`;
const metaHeader = (type, file, more = '') =>
  `ObjectType = Image\nNDims = 3\nBinaryData = True\nBinaryDataByteOrderMSB = False\n${more}TransformMatrix = 1 0 0 0 1 0 0 0 1\nOffset = -10 20 5\nCenterOfRotation = 0 0 0\nAnatomicalOrientation = RAI\nElementSpacing = 1.5 1.25 2\nDimSize = ${SIZE.join(' ')}\nElementType = ${type}\nElementDataFile = ${file}\n`;

// --- DICOM ------------------------------------------------------------------------------------------------------------------------------

const LONG = new Set(['OB', 'OW', 'OF', 'SQ', 'UN', 'UT', 'UC']);
export const SYNTAXES = {
  implicit: '1.2.840.10008.1.2',
  explicit: '1.2.840.10008.1.2.1',
  deflated: '1.2.840.10008.1.2.1.99',
  big: '1.2.840.10008.1.2.2',
  rle: '1.2.840.10008.1.2.5',
};

/** The bytes of an element's value. A sequence is a list of items, each a list of elements. */
function valueBytes(vr, value, mode) {
  if (Buffer.isBuffer(value)) return value;
  if (vr === 'SQ')
    return Buffer.concat(
      value.map((item) => {
        const content = dataSet(item, mode);
        const head = Buffer.alloc(8);
        const [two, four] = mode === 'big' ? ['writeUInt16BE', 'writeUInt32BE'] : ['writeUInt16LE', 'writeUInt32LE'];
        head[two](0xfffe, 0);
        head[two](0xe000, 2);
        head[four](content.length, 4);
        return Buffer.concat([head, content]);
      }),
    );
  if (vr === 'US' || vr === 'SS' || vr === 'UL' || vr === 'FD') {
    const values = [value].flat();
    const size = vr === 'UL' ? 4 : vr === 'FD' ? 8 : 2;
    const bytes = Buffer.alloc(size * values.length);
    const name =
      { US: 'writeUInt16', SS: 'writeInt16', UL: 'writeUInt32', FD: 'writeDouble' }[vr] + (mode === 'big' ? 'BE' : 'LE');
    values.forEach((n, k) => {
      bytes[name](n, k * size);
    });
    return bytes;
  }
  if (vr === 'AT') {
    const bytes = Buffer.alloc(4);
    bytes[mode === 'big' ? 'writeUInt16BE' : 'writeUInt16LE'](value >>> 16, 0);
    bytes[mode === 'big' ? 'writeUInt16BE' : 'writeUInt16LE'](value & 0xffff, 2);
    return bytes;
  }
  const text = [value].flat().join('\\');
  return Buffer.from(text.length % 2 ? text + (vr === 'UI' ? '\0' : ' ') : text, 'latin1');
}

/** Elements [tag, VR, value] in the order of their tags. */
function dataSet(elements, mode) {
  return Buffer.concat(
    [...elements]
      .sort(([a], [b]) => a - b)
      .map(([tag, vr, value]) => {
        const bytes = valueBytes(vr, value, mode);
        const encapsulated = mode === 'rle' && tag === 0x7fe00010;
        const length = encapsulated ? 0xffffffff : bytes.length;
        const long = mode !== 'implicit' && LONG.has(vr);
        const head = Buffer.alloc(long ? 12 : 8);
        const [two, four] = mode === 'big' ? ['writeUInt16BE', 'writeUInt32BE'] : ['writeUInt16LE', 'writeUInt32LE'];
        head[two](tag >>> 16, 0);
        head[two](tag & 0xffff, 2);
        if (mode !== 'implicit') head.write(vr, 4, 'latin1');
        if (mode === 'implicit') head[four](length, 4);
        else if (long) head[four](length, 8);
        else head[two](length, 6);
        return Buffer.concat([head, bytes]);
      }),
  );
}

/** A DICOM file (PS3.10): preamble, meta information, data set. */
function dicomFile(elements, mode, sopClass, sopInstance) {
  const meta = [
    [0x00020001, 'OB', Buffer.from([0, 1])],
    [0x00020002, 'UI', sopClass],
    [0x00020003, 'UI', sopInstance],
    [0x00020010, 'UI', SYNTAXES[mode]],
    [0x00020012, 'UI', '2.25.1'],
  ];
  const metaBytes = dataSet(meta, 'explicit');
  const content = dataSet(
    [[0x00080016, 'UI', sopClass], [0x00080018, 'UI', sopInstance], ...elements],
    mode === 'deflated' ? 'explicit' : mode,
  );
  return Buffer.concat([
    Buffer.alloc(128),
    Buffer.from('DICM'),
    dataSet([[0x00020000, 'UL', metaBytes.length]], 'explicit'),
    metaBytes,
    mode === 'deflated' ? deflateRawSync(content) : content,
  ]);
}

/** PackBits of the two byte planes of 16-bit pixels, as one fragment with an empty offset table (PS3.5 Annex G). */
function rleFrame(pixels) {
  const planes = [1, 0].map((plane) => {
    const bytes = Buffer.from(pixels.filter((_, k) => k % 2 === plane));
    const out = [];
    for (let at = 0; at < bytes.length; at += 128)
      out.push(Buffer.from([Math.min(128, bytes.length - at) - 1]), bytes.subarray(at, at + 128));
    const packed = Buffer.concat(out);
    return packed.length % 2 ? Buffer.concat([packed, Buffer.from([0])]) : packed;
  });
  const header = Buffer.alloc(64);
  header.writeUInt32LE(2, 0);
  header.writeUInt32LE(64, 4);
  header.writeUInt32LE(64 + planes[0].length, 8);
  const frame = Buffer.concat([header, ...planes]);
  const item = (bytes) => {
    const head = Buffer.from([0xfe, 0xff, 0x00, 0xe0, 0, 0, 0, 0]);
    head.writeUInt32LE(bytes.length, 4);
    return Buffer.concat([head, bytes]);
  };
  return Buffer.concat([item(Buffer.alloc(0)), item(frame), Buffer.from([0xfe, 0xff, 0xdd, 0xe0, 0, 0, 0, 0])]);
}

const CT = '1.2.840.10008.5.1.4.1.1.2';
const ENHANCED_CT = '1.2.840.10008.5.1.4.1.1.2.1';
const SEGMENTATION = '1.2.840.10008.5.1.4.1.1.66.4';
const patient = (series, modality) => [
  [0x00080060, 'CS', modality],
  [0x00100010, 'PN', 'Test^Patient'],
  [0x00100020, 'LO', 'p1'],
  [0x0020000d, 'UI', '2.25.11'],
  [0x0020000e, 'UI', series],
  [0x00200052, 'UI', '2.25.12'],
  [0x00200011, 'IS', '1'],
  [0x0008103e, 'LO', 'volume'],
  [0x00200012, 'IS', '1'],
];
const grid = [
  [0x00280002, 'US', 1],
  [0x00280004, 'CS', 'MONOCHROME2'],
  [0x00280010, 'US', SIZE[1]],
  [0x00280011, 'US', SIZE[0]],
];
const pixelsOf = (slice, mode) =>
  int16(mode === 'big').subarray(2 * slice * SIZE[0] * SIZE[1], 2 * (slice + 1) * SIZE[0] * SIZE[1]);

function ctSlice(slice, mode) {
  const pixels = pixelsOf(slice, mode);
  return dicomFile(
    [
      ...patient('2.25.21', 'CT'),
      ...grid,
      [0x00280100, 'US', 16],
      [0x00280101, 'US', 16],
      [0x00280102, 'US', 15],
      [0x00280103, 'US', 1],
      [0x00281052, 'DS', '-1024'],
      [0x00281053, 'DS', '1'],
      [0x00280030, 'DS', ['1.25', '1.5']],
      [0x00180050, 'DS', '2'],
      [0x00200013, 'IS', String(slice + 1)],
      [0x00200032, 'DS', ['-10', '20', String(5 + 2 * slice)]],
      [0x00200037, 'DS', ['1', '0', '0', '0', '1', '0']],
      [0x7fe00010, mode === 'rle' ? 'OB' : 'OW', mode === 'rle' ? rleFrame(pixels) : pixels],
    ],
    mode,
    CT,
    `2.25.3${slice}`,
  );
}

const macro = (slice) => [
  [
    0x00209111,
    'SQ',
    [
      [
        [0x00209057, 'UL', [1, slice + 1]],
        [0x00209056, 'SH', '1'],
      ],
    ],
  ],
  [0x00209113, 'SQ', [[[0x00200032, 'DS', ['-10', '20', String(5 + 2 * slice)]]]]],
];
const shared = [
  [0x00209116, 'SQ', [[[0x00200037, 'DS', ['1', '0', '0', '0', '1', '0']]]]],
  [
    0x00289110,
    'SQ',
    [
      [
        [0x00180050, 'DS', '2'],
        [0x00280030, 'DS', ['1.25', '1.5']],
      ],
    ],
  ],
];

function enhanced() {
  const frames = Array.from({ length: SIZE[2] }, (_, k) => k);
  return dicomFile(
    [
      ...patient('2.25.22', 'CT'),
      ...grid,
      [0x00280008, 'IS', String(SIZE[2])],
      [0x00280100, 'US', 16],
      [0x00280101, 'US', 16],
      [0x00280102, 'US', 15],
      [0x00280103, 'US', 1],
      [0x00080008, 'CS', ['ORIGINAL', 'PRIMARY', 'VOLUME', 'NONE']],
      [0x52009229, 'SQ', [shared]],
      [
        0x52009230,
        'SQ',
        frames.map((k) => [
          ...macro(k),
          [
            0x00289145,
            'SQ',
            [
              [
                [0x00281052, 'DS', '-1024'],
                [0x00281053, 'DS', String(1 + k / 8)],
                [0x00281054, 'LO', 'HU'],
              ],
            ],
          ],
        ]),
      ],
      [0x7fe00010, 'OW', int16()],
    ],
    'explicit',
    ENHANCED_CT,
    '2.25.41',
  );
}

function segmentation() {
  const bits = Buffer.alloc(Math.ceil(COUNT / 8));
  for (let i = 0; i < COUNT; i++) if (i % 3 === 0) bits[i >> 3] |= 1 << (i & 7);
  return dicomFile(
    [
      ...patient('2.25.23', 'SEG'),
      ...grid,
      [0x00280008, 'IS', String(SIZE[2])],
      [0x00280100, 'US', 1],
      [0x00280101, 'US', 1],
      [0x00280102, 'US', 0],
      [0x00280103, 'US', 0],
      [0x00620001, 'CS', 'BINARY'],
      [
        0x00620002,
        'SQ',
        [
          [
            [0x00620004, 'US', 1],
            [0x00620005, 'LO', 'heart'],
            [0x00620008, 'CS', 'AUTOMATIC'],
          ],
        ],
      ],
      [0x52009229, 'SQ', [shared]],
      [0x52009230, 'SQ', Array.from({ length: SIZE[2] }, (_, k) => [...macro(k), [0x0062000a, 'SQ', [[[0x0062000b, 'US', 1]]]]])],
      [0x7fe00010, 'OB', bits],
    ],
    'explicit',
    SEGMENTATION,
    '2.25.42',
  );
}

// --- all --------------------------------------------------------------------------------------------------------------------------------

/** Makes all specimens below `folder`, with the files of a world (world.mjs). @returns the list, and what was left out with the reason */
export function makeSpecimens(folder, world) {
  const specimens = [];
  const skipped = [];
  const add = (kind, reader, name, open, files) => {
    const path = join(folder, name);
    mkdirSync(path, { recursive: true });
    for (const [file, { bytes }] of Object.entries(files)) if (bytes !== undefined) writeFileSync(join(path, file), bytes);
    specimens.push({
      kind,
      reader,
      name,
      path,
      open,
      parts: Object.entries(files).map(([file, { format, ...rest }]) => ({ file, format, ...rest, bytes: undefined })),
    });
  };
  const binary = (bytes, fields) => ({ bytes, format: 'binary', fields });
  const gz = (bytes, fields) => ({ bytes: gzipSync(bytes), format: 'gz', inner: 'binary', fields });
  const text = (header, data) => ({
    bytes: Buffer.concat([Buffer.from(header), data ?? Buffer.alloc(0)]),
    format: 'text-header',
    headerBytes: header.length,
  });
  const raw = (bytes) => ({ bytes, format: 'binary', fields: [] });

  add('NIfTI', 'image', 'nii', 'a.nii', { 'a.nii': binary(nifti1(), NIFTI1_FIELDS) });
  add('NIfTI', 'image', 'nii-float', 'a.nii', {
    'a.nii': binary(nifti1({ type: 16, bits: 32, data: float32(), slope: 2, inter: -3 }), NIFTI1_FIELDS),
  });
  add('NIfTI', 'image', 'nii-gz', 'a.nii.gz', { 'a.nii.gz': gz(nifti1(), NIFTI1_FIELDS) });
  add('NIfTI', 'image', 'nii-2', 'a.nii', { 'a.nii': binary(nifti2(), NIFTI2_FIELDS) });
  const [header, data] = nifti1({ pair: true });
  add('NIfTI', 'image', 'pair', 'a.hdr', { 'a.hdr': binary(header, NIFTI1_FIELDS), 'a.img': raw(data) });
  add('NRRD', 'image', 'nrrd', 'a.nrrd', { 'a.nrrd': text(nrrdHeader('short', 'raw'), int16()) });
  add('NRRD', 'image', 'nrrd-gzip', 'a.nrrd', { 'a.nrrd': text(nrrdHeader('float', 'gzip'), gzipSync(float32())) });
  add('NRRD', 'image', 'nrrd-text', 'a.nrrd', {
    'a.nrrd': text(nrrdHeader('short', 'ascii'), Buffer.from(Array.from({ length: COUNT }, (_, i) => voxel(i)).join(' '))),
  });
  add('NRRD', 'image', 'nhdr', 'a.nhdr', {
    'a.nhdr': text(nrrdHeader('short', 'raw', 'data file: a.raw\n')),
    'a.raw': raw(int16()),
  });
  add('MetaImage', 'image', 'mha', 'a.mha', { 'a.mha': text(metaHeader('MET_SHORT', 'LOCAL'), int16()) });
  add('MetaImage', 'image', 'mha-zlib', 'a.mha', {
    'a.mha': text(
      metaHeader('MET_FLOAT', 'LOCAL', `CompressedData = True\nCompressedDataSize = ${deflateSync(float32()).length}\n`),
      deflateSync(float32()),
    ),
  });
  add('MetaImage', 'image', 'mhd', 'a.mhd', { 'a.mhd': text(metaHeader('MET_SHORT', 'a.raw')), 'a.raw': raw(int16()) });
  add('MGH', 'image', 'mgh', 'a.mgh', { 'a.mgh': binary(mgh(), MGH_FIELDS) });
  add('MGH', 'image', 'mgz', 'a.mgz', { 'a.mgz': gz(mgh(), MGH_FIELDS) });

  const dicom = (bytes) => ({ bytes, format: 'dicom' });
  const slices = (mode) => Object.fromEntries(Array.from({ length: SIZE[2] }, (_, k) => [`s${k}.dcm`, dicom(ctSlice(k, mode))]));
  for (const mode of Object.keys(SYNTAXES)) add('DICOM', 'image', `dicom-${mode}`, '.', slices(mode));
  add('DICOM enhanced', 'image', 'dicom-enhanced', 'e.dcm', { 'e.dcm': dicom(enhanced()) });
  add('DICOM SEG', 'image', 'dicom-seg', 's.dcm', { 's.dcm': dicom(segmentation()) });
  add('DICOM SEG', 'image', 'dicom-seg-beside', '.', { ...slices('explicit'), 'zseg.dcm': dicom(segmentation()) });
  for (const [name, option] of [
    ['jpeg', '--jpeg'],
    ['jpegls', '--jpegls'],
    ['j2k', '--j2k'],
  ]) {
    const path = join(folder, `dicom-${name}`);
    mkdirSync(path);
    const files = Object.keys(slices('explicit'));
    const made = files.every(
      (file) => spawnSync('gdcmconv', [option, join(folder, 'dicom-explicit', file), join(path, file)]).status === 0,
    );
    if (made) add('DICOM', 'image', `dicom-${name}`, '.', Object.fromEntries(files.map((file) => [file, { format: 'dicom' }])));
    else skipped.push(`DICOM in ${name}: needs gdcmconv`);
  }

  // weights
  const weights = join(folder, 'made');
  mkdirSync(weights);
  mustRun(['export', world.model, '--pth', join(weights, 'a.pth'), '--safetensors', join(weights, 'a.safetensors')]);
  const tensors = readFileSync(join(weights, 'a.safetensors'));
  add('safetensors', 'weights', 'safetensors', 'a.safetensors', { 'a.safetensors': { bytes: tensors, format: 'safetensors' } });
  add('safetensors', 'weights', 'shards', '.', shardsOf(tensors));
  add('PyTorch', 'weights', 'pth', 'a.pth', { 'a.pth': { bytes: readFileSync(join(weights, 'a.pth')), format: 'zip' } });
  const legacy = join(weights, 'legacy.pth');
  const script = `import torch; torch.save(torch.load('${join(weights, 'a.pth')}'), '${legacy}', _use_new_zipfile_serialization=False)`;
  if (['/usr/bin/python3', 'python3'].some((python) => spawnSync(python, ['-c', script]).status === 0))
    add('PyTorch', 'weights', 'pth-legacy', 'a.pth', { 'a.pth': { bytes: readFileSync(legacy), format: 'pickle' } });
  else skipped.push('PyTorch files from before 1.6: need python3 with torch');

  // folders that gvsl itself makes
  const copied = (kind, reader, name, source, open, format) => {
    const path = join(folder, name);
    cpSync(source, path, { recursive: true });
    const names = readdirSync(path, { recursive: true }).filter((file) => format(file) !== undefined);
    specimens.push({ kind, reader, name, path, open, parts: names.map((file) => ({ file, format: format(file) })) });
  };
  const byName = (file) =>
    /\.json$/.test(file)
      ? 'json'
      : /\.npy$/.test(file)
        ? 'npy'
        : /\.safetensors$/.test(file)
          ? 'safetensors'
          : /\.csv$/.test(file)
            ? 'csv'
            : undefined;
  copied('cohort folder', 'cohort', 'cohort', world.cohort, '.', byName);
  copied('model folder', 'model', 'model', join(world.model, 'last'), '.', byName);
  copied('model folder', 'checkpoint', 'run', world.model, '.', (file) =>
    /^(last|best)\//.test(file) || file === 'run.json' ? byName(file) : undefined,
  );
  copied('data set folder', 'dataset', 'dataset', world.source, '.', (file) =>
    /dataset\.json|\.mrk\.json|labels\.csv/.test(file) ? byName(file) : undefined,
  );

  const json = (value) => ({ bytes: Buffer.from(JSON.stringify(value, null, 1)), format: 'json' });
  const csv = (value) => ({ bytes: Buffer.from(value), format: 'csv' });
  add('JSON', 'datalist', 'datalist', 'list.json', {
    'list.json': json({
      training: [
        { image: './a.nii', label: './a.nii' },
        { image: 'b.nii.gz', fold: 1 },
      ],
      validation: [{ image: 'c.nii' }],
      testing: ['d.nii.gz'],
    }),
  });
  for (const name of ['a.nii', 'c.nii']) writeFileSync(join(folder, 'datalist', name), nifti1());
  for (const name of ['b.nii.gz', 'd.nii.gz']) writeFileSync(join(folder, 'datalist', name), gzipSync(nifti1()));
  const mark = readdirSync(join(world.source, 'landmarksTr'))[0];
  add('JSON', 'landmarks', 'landmarks', 'a.mrk.json', {
    'a.mrk.json': { bytes: readFileSync(join(world.source, 'landmarksTr', mark)), format: 'json' },
  });
  add('JSON', 'configuration', 'configuration', 'c.json', {
    'c.json': json({
      steps: 5,
      batch: 1,
      learningRate: 0.001,
      model: { width: 0.125 },
      data: { patch: [8, 8, 8], heldOut: 2 },
      log: { everySteps: 1 },
    }),
  });
  add('JSON', 'configuration', 'configuration-yaml', 'c.yaml', {
    'c.yaml': { bytes: readFileSync(world.often), format: 'lines' },
  });
  add('JSON', 'study', 'study', 'study.yaml', {
    'study.yaml': { bytes: readFileSync(world.study), format: 'lines' },
  });
  add('JSON', 'run-configuration', 'run-json', '.', {
    'run.json': { bytes: readFileSync(join(world.model, 'run.json')), format: 'json' },
  });
  const classes = `case,label\n${Array.from({ length: 12 }, (_, k) => `heart_${k},${k % 2 ? 'ill' : 'healthy'}`).join('\n')}\n`;
  const probabilities = `case,healthy,ill\n${Array.from({ length: 12 }, (_, k) => `heart_${k},${(k % 5) / 5},${1 - (k % 5) / 5}`).join('\n')}\n`;
  add('CSV', 'classes', 'classes', 'labels.csv', { 'labels.csv': csv(classes) });
  add('CSV', 'scores', 'scores', '.', { 'predictions.csv': csv(probabilities), 'references.csv': csv(classes) });
  return { specimens, skipped };
}

/** A file of safetensors in two shards, with the index that Hugging Face's libraries write. */
function shardsOf(bytes) {
  const length = Number(bytes.readBigUInt64LE(0));
  const header = JSON.parse(bytes.subarray(8, 8 + length));
  const names = Object.keys(header).filter((name) => name !== '__metadata__');
  const map = {};
  const files = {};
  for (const k of [0, 1]) {
    const mine = names.filter((_, i) => i % 2 === k);
    const file = `model-0000${k + 1}-of-00002.safetensors`;
    let at = 0;
    const own = {};
    const parts = mine.map((name) => {
      const {
        data_offsets: [from, to],
        ...rest
      } = header[name];
      own[name] = { ...rest, data_offsets: [at, at + to - from] };
      at += to - from;
      map[name] = file;
      return bytes.subarray(8 + length + from, 8 + length + to);
    });
    const text = Buffer.from(JSON.stringify(own));
    const size = Buffer.alloc(8);
    size.writeBigUInt64LE(BigInt(text.length));
    files[file] = { bytes: Buffer.concat([size, text, ...parts]), format: 'safetensors' };
  }
  const index = { metadata: { total_size: bytes.length - 8 - length }, weight_map: map };
  return { ...files, 'model.safetensors.index.json': { bytes: Buffer.from(JSON.stringify(index)), format: 'json' } };
}

/** Copies a specimen to where it may be spoilt. */
export function copySpecimen(specimen, to) {
  for (const name of readdirSync(specimen.path, { recursive: true, withFileTypes: true })) {
    if (!name.isFile()) continue;
    const below = join(name.parentPath ?? name.path).slice(specimen.path.length);
    mkdirSync(join(to, below), { recursive: true });
    copyFileSync(join(specimen.path, below, name.name), join(to, below, name.name));
  }
  return existsSync(to);
}
