/** The synthetic CT that the benchmarks of large scans read: int16, a body in air; as NIfTI and as a DICOM series. */
import { createWriteStream, existsSync, mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { createGzip } from 'node:zlib';

/** Noise of -20 to 20 HU that depends on the voxel alone. */
function noise(i, seed) {
  let h = Math.imul(i ^ seed, 0x9e3779b1);
  h = Math.imul(h ^ (h >>> 15), 0x85ebca6b);
  return ((h ^ (h >>> 13)) % 21) | 0;
}

/** One plane of a body in air with two lungs, a spine and vessels, `shift` mm off the middle. HU. */
function ctPlane({ size, spacing }, z, shift, seed) {
  const [nx, ny] = size;
  const plane = new Int16Array(nx * ny);
  const zMm = z * spacing[2];
  for (let y = 0, i = 0; y < ny; y++) {
    const b = (y - (ny - 1) / 2) * spacing[1];
    for (let x = 0; x < nx; x++, i++) {
      const a = (x - (nx - 1) / 2) * spacing[0] - shift;
      let value = -1000;
      if ((a / 164) ** 2 + (b / 114) ** 2 < 1) {
        value = 40 + 30 * Math.sin(a / 17 + zMm / 40) * Math.sin(b / 13);
        const lung = ((Math.abs(a) - 75) / 55) ** 2 + ((b + 10) / 75) ** 2 + ((zMm - 230 - shift) / 120) ** 2;
        if (lung < 1) value = -850 + 400 * Math.max(0, Math.sin(a / 6) * Math.sin(b / 7) * Math.sin(zMm / 8)) ** 4;
        if ((a / 18) ** 2 + ((b - 70) / 18) ** 2 < 1) value = 500 + 200 * Math.sin(zMm / 9);
      }
      plane[i] = value + noise(i + z * plane.length, seed);
    }
  }
  return plane;
}

/** A scan as .nii.gz, plane by plane, if it is not there. @param grid size (voxels) and spacing (mm) along x, y, z; @param shift mm */
export async function makeScan(path, grid, shift, seed) {
  const { size, spacing } = grid;
  if (existsSync(path)) return;
  console.error(`making ${path}`);
  const header = new DataView(new ArrayBuffer(352));
  header.setInt32(0, 348, true);
  header.setInt16(40, 3, true);
  for (let k = 0; k < 7; k++) header.setInt16(42 + 2 * k, size[k] ?? 1, true);
  header.setInt16(70, 4, true);
  header.setInt16(72, 16, true);
  for (let k = 0; k < 4; k++) header.setFloat32(76 + 4 * k, [1, ...spacing][k], true);
  header.setFloat32(108, 352, true);
  header.setFloat32(112, 1, true);
  header.setUint8(123, 2);
  header.setInt16(254, 1, true);
  // as DICOM scans are stored: x to the left, y to the back
  for (let k = 0; k < 3; k++) header.setFloat32(280 + 16 * k + 4 * k, (k < 2 ? -1 : 1) * spacing[k], true);
  header.setUint32(344, 0x6e2b3100, false);
  async function* bytes() {
    yield new Uint8Array(header.buffer);
    for (let z = 0; z < size[2]; z++) yield new Uint8Array(ctPlane(grid, z, shift, seed).buffer);
  }
  await pipeline(Readable.from(bytes()), createGzip({ level: 1 }), createWriteStream(`${path}.part`));
  renameSync(`${path}.part`, path);
}

/** The same scan as a DICOM series, one file a slice, values as stored (HU + 1024). */
export async function makeSeries(path, grid, shift, seed) {
  const { size, spacing } = grid;
  if (existsSync(path)) return;
  console.error(`making ${path}`);
  rmSync(`${path}.part`, { recursive: true, force: true });
  mkdirSync(`${path}.part`);
  const { encodeElements, encodeMeta } = await import('../dist/images/dicom/write.js');
  const [ctStorage, root] = ['1.2.840.10008.5.1.4.1.1.2', `2.25.${5120004001n + BigInt(seed)}`];
  for (let z = 0; z < size[2]; z++) {
    const plane = ctPlane(grid, z, shift, seed).map((value) => value + 1024);
    const elements = [
      ['00080016', 'UI', ctStorage],
      ['00080018', 'UI', `${root}.3.${z + 1}`],
      ['00080060', 'CS', 'CT'],
      ['00100010', 'PN', 'Bench^Memory'],
      ['00100020', 'LO', 'bench'],
      ['0020000d', 'UI', `${root}.1`],
      ['0020000e', 'UI', `${root}.2`],
      ['00200052', 'UI', `${root}.4`],
      ['00200013', 'IS', String(z + 1)],
      ['00200032', 'DS', [-204.4, -204.4, z * spacing[2]]],
      ['00200037', 'DS', [1, 0, 0, 0, 1, 0]],
      ['00280002', 'US', 1],
      ['00280004', 'CS', 'MONOCHROME2'],
      ['00280010', 'US', size[1]],
      ['00280011', 'US', size[0]],
      ['00280030', 'DS', [spacing[1], spacing[0]]],
      ['00180050', 'DS', [spacing[2]]],
      ['00280100', 'US', 16],
      ['00280101', 'US', 16],
      ['00280102', 'US', 15],
      ['00280103', 'US', 1],
      ['00281052', 'DS', [-1024]],
      ['00281053', 'DS', [1]],
      ['7fe00010', 'OW', new Uint8Array(plane.buffer)],
    ];
    const bytes = Buffer.concat([...encodeMeta(ctStorage, `${root}.3.${z + 1}`), ...encodeElements(elements)]);
    writeFileSync(join(`${path}.part`, `slice-${String(z).padStart(4, '0')}.dcm`), bytes);
  }
  renameSync(`${path}.part`, path);
}
