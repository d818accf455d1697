/** Ways to spoil a file: any file's bytes, and the fields of formats that are known (specimens.mjs says which). A mutation says what it did. */
import { crc32, gunzipSync, gzipSync } from 'node:zlib';

const LIMITS = {
  integer: [
    0,
    1,
    -1,
    2,
    7,
    8,
    127,
    128,
    255,
    256,
    32767,
    32768,
    -32768,
    65535,
    65536,
    2 ** 31 - 1,
    2 ** 31,
    -(2 ** 31),
    2 ** 32 - 1,
  ],
  wide: [0n, 1n, -1n, 2n ** 31n, 2n ** 32n, 2n ** 53n, 2n ** 62n, -(2n ** 62n), 2n ** 63n - 1n],
  real: [
    0,
    -0,
    1,
    -1,
    1e-45,
    1e-30,
    1e-8,
    1e8,
    1e30,
    3.4e38,
    -3.4e38,
    Number.NaN,
    Number.POSITIVE_INFINITY,
    Number.NEGATIVE_INFINITY,
  ],
  text: [
    '0',
    '1',
    '-1',
    '2147483647',
    '-2147483648',
    '4294967296',
    '9223372036854775807',
    '1e308',
    '-1e308',
    '1e-320',
    'nan',
    'inf',
    '-inf',
    '0x10',
    '',
    '1.5',
    '99999999999999999999',
  ],
};

/** Writes a limit of the type: a letter for signedness and order (capital: big-endian) and the bytes. @returns the value in words */
function writeLimit(bytes, at, type, random) {
  const size = Number(type[1]);
  if (at + size > bytes.length) return 'beyond the end';
  const big = type[0] !== type[0].toLowerCase();
  const order = big ? 'BE' : 'LE';
  if (type[0].toLowerCase() === 'f') {
    const value = random.pick(LIMITS.real);
    size === 8 ? bytes[`writeDouble${order}`](value, at) : bytes[`writeFloat${order}`](value, at);
    return String(value);
  }
  if (size === 8) {
    const value = random.pick(LIMITS.wide);
    bytes[`writeBigInt64${order}`](value, at);
    return String(value);
  }
  const value = random.pick(LIMITS.integer);
  const wrapped = ((value % 2 ** (8 * size)) + 2 ** (8 * size)) % 2 ** (8 * size);
  big ? bytes.writeUIntBE(wrapped, at, size) : bytes.writeUIntLE(wrapped, at, size);
  return String(value);
}

/** A place in a file: in its first 600 bytes half of the time, where headers are. */
const place = (length, random) => (length === 0 ? 0 : random.below(random.next() < 0.5 ? Math.min(600, length) : length));

/** Mutations of any bytes. */
const ANY = {
  bits: (bytes, random) => {
    const copy = Buffer.from(bytes);
    const places = Array.from({ length: random.between(1, 8) }, () => place(copy.length, random));
    for (const at of places) if (copy.length) copy[at] ^= 1 << random.below(8);
    return [copy, `bits flipped at ${places.join(', ')}`];
  },
  cut: (bytes, random) => {
    const length = random.next() < 0.2 ? random.below(Math.min(16, bytes.length + 1)) : place(bytes.length, random);
    return [bytes.subarray(0, length), `cut to ${length} of ${bytes.length} bytes`];
  },
  'cut a little': (bytes, random) => {
    const by = Math.min(bytes.length, random.between(1, 9));
    return [bytes.subarray(0, bytes.length - by), `${by} bytes short`];
  },
  remove: (bytes, random) => {
    const at = place(bytes.length, random);
    const length = random.between(1, 1 + random.below(64));
    return [Buffer.concat([bytes.subarray(0, at), bytes.subarray(at + length)]), `${length} bytes removed at ${at}`];
  },
  insert: (bytes, random) => {
    const at = place(bytes.length, random);
    const more = Buffer.from(Array.from({ length: random.between(1, 64) }, () => random.below(256)));
    return [Buffer.concat([bytes.subarray(0, at), more, bytes.subarray(at)]), `${more.length} bytes inserted at ${at}`];
  },
  fill: (bytes, random) => {
    const copy = Buffer.from(bytes);
    const at = place(copy.length, random);
    const [length, value] = [random.between(1, 256), random.pick([0, 255])];
    copy.fill(value, at, Math.min(copy.length, at + length));
    return [copy, `${length} bytes of ${value} at ${at}`];
  },
  swap: (bytes, random) => {
    const half = bytes.length >> 1;
    return random.next() < 0.5
      ? [Buffer.concat([bytes.subarray(half), bytes.subarray(0, half)]), 'halves swapped']
      : [Buffer.concat([bytes, bytes]), 'twice in a row'];
  },
  append: (bytes, random) => {
    const more = Buffer.alloc(random.between(1, 4096), random.pick([0, 10, 255]));
    return [Buffer.concat([bytes, more]), `${more.length} bytes appended`];
  },
  garbage: (_, random) => {
    const bytes = Buffer.from(Array.from({ length: random.below(4000) }, () => random.below(256)));
    return [bytes, `${bytes.length} random bytes`];
  },
  zeros: (bytes, random) => {
    const size = random.pick([bytes.length, 1 << 16]);
    return [Buffer.alloc(size), `${size} zero bytes`];
  },
  empty: () => [Buffer.alloc(0), 'empty'],
};

/** Sets one or two fields of a binary header to a limit. */
function fieldLimits(bytes, fields, random) {
  const copy = Buffer.from(bytes);
  const done = Array.from({ length: random.between(1, 2) }, () => {
    const [at, type] = random.pick(fields);
    return `field at ${at} (${type}) = ${writeLimit(copy, at, type, random)}`;
  });
  return [copy, done.join(', ')];
}

/** Spoils a line of a text header: a number, the line itself, its key. The data behind stay. */
function headerLine(bytes, headerBytes, random) {
  const lines = bytes.subarray(0, headerBytes).toString('latin1').split('\n');
  const k = random.below(lines.length);
  const line = lines[k];
  const way = random.pick(['number', 'number', 'number', 'number', 'delete', 'duplicate', 'key', 'value', 'long']);
  if (way === 'number') {
    const numbers = [...line.matchAll(/-?\d+(\.\d+)?(e[+-]?\d+)?/gi)];
    if (numbers.length === 0) lines.splice(k, 1);
    else {
      const { index, 0: number } = random.pick(numbers);
      lines[k] = line.slice(0, index) + random.pick(LIMITS.text) + line.slice(index + number.length);
    }
  } else if (way === 'delete') lines.splice(k, 1);
  else if (way === 'duplicate') lines.splice(k, 0, line);
  else if (way === 'key')
    lines[k] = line.replace(
      /^\w+/,
      random.pick(['Unknown', '', 'DATA FILE', 'ElementDataFile', 'byte skip', 'line skip', 'HeaderSize']),
    );
  else if (way === 'value')
    lines[k] = line.replace(
      /([:=]\s*).*$/,
      `$1${random.pick(['LIST', 'LOCAL', '/etc/passwd', '../../..', '.', 'a%03d.raw 1 9 1', 'raw', 'bzip2', 'hex', 'ascii', 'double', 'unsigned long long', 'True', '(1,0,0) none (0,0,0)', ''])}`,
    );
  else lines[k] = line + 'x'.repeat(100_000);
  return [
    Buffer.concat([Buffer.from(lines.join('\n'), 'latin1'), bytes.subarray(headerBytes)]),
    `header line ${k + 1} (${way}): ${lines[k]?.slice(0, 60)}`,
  ];
}

const JSON_VALUES = [
  null,
  true,
  false,
  0,
  -1,
  1,
  0.5,
  1e308,
  -1e308,
  2 ** 31,
  2 ** 53,
  '',
  'x',
  '../../../etc/passwd',
  '/dev/zero',
  'x'.repeat(70_000),
  [],
  {},
  [[]],
  [null],
  { a: 1 },
  [1e9, 1e9, 1e9],
  '\u0000',
  'NaN',
  '__proto__',
];

const DEEP = 'many brackets';

/** Replaces, removes or doubles something in a JSON document. */
function jsonNode(text, random) {
  let document;
  try {
    document = JSON.parse(text);
  } catch {
    return undefined;
  }
  const places = [];
  const walk = (value, path) => {
    if (typeof value !== 'object' || value === null) return;
    for (const key of Object.keys(value)) {
      places.push([value, key, `${path}.${key}`]);
      walk(value[key], `${path}.${key}`);
    }
  };
  walk(document, '');
  if (places.length === 0) return undefined;
  const [parent, key, path] = random.pick(places);
  const way = random.pick(['replace', 'replace', 'replace', 'delete', 'double', 'deep', 'extra']);
  if (way === 'replace') parent[key] = random.pick(JSON_VALUES);
  else if (way === 'delete') Array.isArray(parent) ? parent.splice(Number(key), 1) : delete parent[key];
  else if (way === 'double') {
    if (Array.isArray(parent)) parent.splice(Number(key), 0, parent[key]);
    else parent[`${key}2`] = parent[key];
  } else if (way === 'extra') {
    if (Array.isArray(parent)) parent.push(...Array(1000).fill(parent[key]));
    else parent.constructor2 = parent[key];
  } else parent[key] = DEEP;
  // written as text, since JSON.stringify itself does not go so deep
  const written = JSON.stringify(document).replace(`"${DEEP}"`, `${'['.repeat(5000)}${']'.repeat(5000)}`);
  return [written, `JSON ${way} ${path}${way === 'replace' ? ` = ${JSON.stringify(parent[key])?.slice(0, 40)}` : ''}`];
}

/** A DICOM element whose length, VR or value is at a limit; elements are found by their tags' bytes. */
function dicomElement(bytes, random) {
  const copy = Buffer.from(bytes);
  const places = [];
  for (let at = 132; at + 12 < copy.length; at += 2) {
    const [group, vr] = [copy.readUInt16LE(at), copy.toString('latin1', at + 4, at + 6)];
    if (
      [0x0002, 0x0008, 0x0018, 0x0020, 0x0028, 0x0062, 0x5200, 0x7fe0].includes(group) &&
      (/^[A-Z]{2}$/.test(vr) || copy.readUInt32LE(at + 4) < copy.length)
    )
      places.push(at);
  }
  if (places.length === 0) return ANY.bits(bytes, random);
  const at = random.pick(places);
  const tag = `(${copy.readUInt16LE(at).toString(16)},${copy.readUInt16LE(at + 2).toString(16)})`;
  const explicit = /^[A-Z]{2}$/.test(copy.toString('latin1', at + 4, at + 6));
  const way = random.pick(['length', 'length', 'value', 'value', 'value', 'number', 'number', 'vr', 'tag']);
  if (way === 'vr') copy.write(random.pick(['SQ', 'UN', 'OB', 'OW', 'US', 'ZZ', 'UT', 'FD']), at + 4, 'latin1');
  else if (way === 'tag') copy.writeUInt16LE(random.below(65536), at + 2);
  else if (way === 'length')
    return [copy, `${tag} length = ${writeLimit(copy, explicit ? at + 6 : at + 4, explicit ? 'u2' : 'u4', random)}`];
  else {
    const [from, length] = explicit ? [at + 8, copy.readUInt16LE(at + 6)] : [at + 8, copy.readUInt32LE(at + 4)];
    if (way === 'number' && length === 2) return [copy, `${tag} = ${writeLimit(copy, from, 'u2', random)}`];
    const end = Math.min(copy.length, from + Math.min(length, 64));
    const value = random.pick([
      ...LIMITS.text,
      '1\\0\\0\\0\\0\\0',
      '1\\1\\1',
      '\\\\',
      'MONOCHROME1',
      'RGB',
      'PALETTE COLOR',
      'MR',
      'PT',
      'SEG',
      '1.2.840.10008.1.2.4.50',
      '1.2.840.10008.1.2.4.100',
    ]);
    copy.fill(0x20, from, end);
    copy.write(value.slice(0, end - from), from, 'latin1');
    return [copy, `${tag} = '${value.slice(0, end - from)}'`];
  }
  return [copy, `${tag} ${way}`];
}

/** The header of a safetensors file: its length, its text. */
function safetensorsHeader(bytes, random) {
  const length = Number(bytes.readBigUInt64LE(0));
  if (random.next() < 0.25) {
    const copy = Buffer.from(bytes);
    return [copy, `header length = ${writeLimit(copy, 0, random.pick(['i8', 'i4']), random)}`];
  }
  const mutated = jsonNode(bytes.toString('utf8', 8, 8 + length), random);
  if (!mutated) return ANY.bits(bytes, random);
  const text = Buffer.from(mutated[0]);
  const size = Buffer.alloc(8);
  size.writeBigUInt64LE(BigInt(text.length));
  return [Buffer.concat([size, text, bytes.subarray(8 + length)]), mutated[1]];
}

/** The records of a zip archive without compression. */
function zipEntries(bytes) {
  const end = bytes.lastIndexOf(Buffer.from('PK\x05\x06', 'latin1'));
  const entries = [];
  for (let n = 0, at = bytes.readUInt32LE(end + 16); n < bytes.readUInt16LE(end + 10); n++) {
    const [size, nameLength, more, comment, local] = [
      bytes.readUInt32LE(at + 24),
      bytes.readUInt16LE(at + 28),
      bytes.readUInt16LE(at + 30),
      bytes.readUInt16LE(at + 32),
      bytes.readUInt32LE(at + 42),
    ];
    const from = local + 30 + bytes.readUInt16LE(local + 26) + bytes.readUInt16LE(local + 28);
    entries.push({
      name: bytes.toString('utf8', at + 46, at + 46 + nameLength),
      bytes: bytes.subarray(from, from + size),
      central: at,
    });
    at += 46 + nameLength + more + comment;
  }
  return entries;
}

function zipOf(entries) {
  const locals = [];
  const directory = [];
  let at = 0;
  for (const { name, bytes } of entries) {
    const head = Buffer.alloc(30);
    head.write('PK\x03\x04', 0, 'latin1');
    head.writeUInt16LE(20, 4);
    head.writeUInt32LE(crc32(bytes), 14);
    head.writeUInt32LE(bytes.length, 18);
    head.writeUInt32LE(bytes.length, 22);
    head.writeUInt16LE(name.length, 26);
    const central = Buffer.alloc(46);
    central.write('PK\x01\x02', 0, 'latin1');
    head.copy(central, 6, 4, 30);
    central.writeUInt32LE(at, 42);
    locals.push(head, Buffer.from(name), bytes);
    directory.push(central, Buffer.from(name));
    at += 30 + name.length + bytes.length;
  }
  const middle = Buffer.concat(directory);
  const end = Buffer.alloc(22);
  end.write('PK\x05\x06', 0, 'latin1');
  end.writeUInt16LE(entries.length, 8);
  end.writeUInt16LE(entries.length, 10);
  end.writeUInt32LE(middle.length, 12);
  end.writeUInt32LE(at, 16);
  return Buffer.concat([...locals, middle, end]);
}

/** Opcodes and arguments of a pickle: bytes that are likely to mean something. */
function pickleBytes(bytes, random) {
  const copy = Buffer.from(bytes);
  const done = Array.from({ length: random.between(1, 4) }, () => {
    const at = random.below(Math.min(copy.length, 20_000));
    const value =
      random.next() < 0.7
        ? random.pick(
            [...'(.012FIJKLMNQRSTUVXabcdeghijlopqrstu}])\x80\x81\x85\x86\x87\x88\x89\x8a\x8b\x8c\x8d\x95'].map((c) =>
              c.charCodeAt(0),
            ),
          )
        : random.below(256);
    copy[at] = value;
    return `${at} = ${value}`;
  });
  return [copy, `pickle ${done.join(', ')}`];
}

function zipRecords(bytes, random) {
  const entries = zipEntries(bytes);
  const way = random.pick(['pickle', 'pickle', 'pickle', 'directory', 'directory', 'missing', 'storage', 'name']);
  if (way === 'directory') {
    const copy = Buffer.from(bytes);
    const { central, name } = random.pick(entries);
    const [at, type] = random.pick([
      [8, 'u2'],
      [10, 'u2'],
      [16, 'u4'],
      [20, 'u4'],
      [24, 'u4'],
      [28, 'u2'],
      [30, 'u2'],
      [42, 'u4'],
    ]);
    return [copy, `zip directory of ${name}, field at ${at} = ${writeLimit(copy, central + at, type, random)}`];
  }
  const pickle = entries.findIndex(({ name }) => name.endsWith('data.pkl'));
  const k = way === 'pickle' ? pickle : random.below(entries.length);
  const { name } = entries[k];
  if (way === 'missing') entries.splice(k, 1);
  else if (way === 'name') entries[k] = { ...entries[k], name: random.pick(['../x', 'archive/data.pkl', 'archive/data/0', '']) };
  else if (way === 'storage')
    entries[k] = { name, bytes: random.pick([ANY.cut, ANY.empty, ANY.append])(entries[k].bytes, random)[0] };
  else {
    const [mutated, what] = pickleBytes(entries[k].bytes, random);
    entries[k] = { name, bytes: mutated };
    return [zipOf(entries), what];
  }
  return [zipOf(entries), `zip ${way}: ${name}`];
}

/** The header of a .npy file is a Python literal; its shape and type are changed within the same length. */
function npyHeader(bytes, random) {
  const copy = Buffer.from(bytes);
  const length = copy.readUInt16LE(8);
  const before = copy.toString('latin1', 10, 10 + length);
  const after = random.pick([
    () =>
      before.replace(
        /\(([^)]*)\)/,
        `(${Array.from({ length: random.between(0, 4) }, () => random.pick(LIMITS.text)).join(', ')})`,
      ),
    () => before.replace(/'[<|>][a-z]\d'/, `'${random.pick(['<f4', '<f8', '>f2', '|O', '<i8', '|b1', '<u2', '<U4', 'f2'])}'`),
    () => before.replace('False', random.pick(['True', 'None', '1'])),
    () => before.replace(/'descr'|'shape'|'fortran_order'/, "'other'"),
  ])();
  copy.write(after.padEnd(length).slice(0, length), 10, 'latin1');
  if (random.next() < 0.2) return [copy, `npy header length = ${writeLimit(copy, 8, 'u2', random)}`];
  return [copy, `npy header ${after.trim().slice(0, 80)}`];
}

/** Cells, rows and quotes of a table. */
function csvCells(bytes, random) {
  const rows = bytes
    .toString('utf8')
    .split('\n')
    .map((line) => line.split(','));
  const row = random.pick(rows);
  const k = random.below(row.length);
  const way = random.pick([
    'cell',
    'cell',
    'quote',
    'drop cell',
    'more cells',
    'drop row',
    'double row',
    'separator',
    'mark',
    'crlf',
    'no header',
  ]);
  if (way === 'cell') row[k] = random.pick([...LIMITS.text, 'x'.repeat(200_000), '\u0000', '=1+1', 'case', 'label']);
  else if (way === 'quote') row[k] = `"${row[k]}`;
  else if (way === 'drop cell') row.splice(k, 1);
  else if (way === 'more cells') row.push('a', 'b', 'c');
  else if (way === 'drop row') rows.splice(rows.indexOf(row), 1);
  else if (way === 'double row') rows.push(row);
  else if (way === 'no header') rows.shift();
  let text = rows.map((cells) => cells.join(way === 'separator' ? ';' : ',')).join(way === 'crlf' ? '\r' : '\n');
  if (way === 'mark') text = `\ufeff${text}`;
  return [Buffer.from(text), `table: ${way}`];
}

/** A line of a text file: its number, itself, its indentation. */
function textLine(bytes, random) {
  const text = bytes.toString('utf8');
  const numbers = [...text.matchAll(/\d+(\.\d+)?/g)];
  if (random.next() < 0.5 && numbers.length > 0) {
    const { index, 0: number } = random.pick(numbers);
    const value = random.pick(LIMITS.text);
    return [Buffer.from(text.slice(0, index) + value + text.slice(index + number.length)), `number at ${index} = ${value}`];
  }
  const value = random.pick([
    '&a [*a]',
    '!!binary x',
    '? ',
    '- - - -',
    '{',
    '[',
    '"',
    '\t',
    '%YAML 9.9',
    '---',
    '<<: *x',
    '!!js/function x',
    'steps: 1\nsteps: 2',
    '&a [&b [*a, *b]]',
  ]);
  const at = random.below(text.length);
  return [Buffer.from(`${text.slice(0, at)}\n${value}\n${text.slice(at)}`), `'${value}' at ${at}`];
}

/** Spoils a part of a specimen. @returns bytes, and what was done in words */
export function mutated(bytes, part, random) {
  const any = () => ANY[random.pick(Object.keys(ANY))](bytes, random);
  // half of the mutations know the format
  if (random.next() < 0.45 || bytes.length < 16) return any();
  try {
    return ofFormat(bytes, part, random, any);
  } catch {
    // spoilt before, so that its format is none any more
    return any();
  }
}

function ofFormat(bytes, part, random, any) {
  switch (part.format) {
    case 'binary':
      return part.fields.length > 0 ? fieldLimits(bytes, part.fields, random) : any();
    case 'gz': {
      if (random.next() < 0.04) {
        // a small file that claims to be very large once it is unpacked
        const zeros = gzipSync(Buffer.alloc(1 << 24));
        return [Buffer.concat([bytes, ...Array(100).fill(zeros)]), '1.6 GB of zeros behind, compressed'];
      }
      const [inner, what] = mutated(gunzipSync(bytes), { ...part, format: part.inner }, random);
      return [gzipSync(inner), `compressed: ${what}`];
    }
    case 'text-header':
      return headerLine(bytes, part.headerBytes, random);
    case 'dicom':
      return dicomElement(bytes, random);
    case 'safetensors':
      return safetensorsHeader(bytes, random);
    case 'json': {
      const done = jsonNode(bytes.toString('utf8'), random);
      return done ? [Buffer.from(done[0]), done[1]] : any();
    }
    case 'zip':
      return zipRecords(bytes, random);
    case 'pickle':
      return pickleBytes(bytes, random);
    case 'npy':
      return npyHeader(bytes, random);
    case 'csv':
      return csvCells(bytes, random);
    case 'lines':
      return textLine(bytes, random);
    default:
      return any();
  }
}
