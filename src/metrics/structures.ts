/**
 * What is measured of the structures of a label map: volume, place, and the intensities of the image in them. Planes are looked at one after
 * another, so that neither image nor label map need be in memory. Positions are those of ITK and DICOM: mm, LPS.
 */
import { applyAffine, voxelToPhysical, voxelVolumeMm3 } from '../geometry/affine.ts';
import { runEnds } from '../geometry/runs.ts';
import { type Geometry, perAxis, type VoxelArray, type Xyz } from '../geometry/volume.ts';

/** The lowest whole number of 16 bits. */
const LOWEST = -(2 ** 15);

/** The percentiles that are measured. */
export const PERCENTILES = [5, 25, 50, 75, 95] as const;

export interface Intensities {
  readonly mean: number;
  /** Of the voxels (divided by their number). */
  readonly standardDeviation: number;
  /** In the order of `PERCENTILES`, linear between voxels as NumPy has them. */
  readonly percentiles: readonly number[];
}

export interface StructureMeasures {
  readonly code: number;
  readonly voxels: number;
  readonly volumeMl: number;
  /** In the image's own values; null for a structure without voxels (or none with a finite value). */
  readonly intensity: Intensities | null;
  /** Mean position of its voxels, mm, LPS; null without voxels. */
  readonly centroidMm: Xyz | null;
  /** The box around its voxels along the axes of the patient, mm, LPS: lowest corner and size; null without voxels. */
  readonly box: { readonly lowMm: Xyz; readonly sizeMm: Xyz } | null;
}

/** Values of a structure's voxels: whole ones of up to 16 bits are counted, others kept. */
class Values {
  /** By value, from LOWEST on. */
  private readonly counts: Float64Array | null;
  private kept = new Float64Array(0);
  private length = 0;

  constructor(countable: boolean) {
    this.counts = countable ? new Float64Array(2 ** 16 - LOWEST) : null;
  }

  add(value: number): void {
    if (!Number.isFinite(value)) return;
    if (this.counts) this.counts[value - LOWEST]++;
    else if (this.length === this.kept.length) {
      const more = new Float64Array(Math.max(1024, 2 * this.length));
      more.set(this.kept);
      this.kept = more;
    }
    if (!this.counts) this.kept[this.length] = value;
    this.length++;
  }

  measure(): Intensities | null {
    const { counts, length } = this;
    if (length === 0) return null;
    const kept = this.kept.subarray(0, length).sort();
    let sum = 0;
    if (counts) for (let bin = 0; bin < counts.length; bin++) sum += counts[bin] * (bin + LOWEST);
    else for (let i = 0; i < length; i++) sum += kept[i];
    const mean = sum / length;
    let squares = 0;
    if (counts) for (let bin = 0; bin < counts.length; bin++) squares += counts[bin] * (bin + LOWEST - mean) ** 2;
    else for (let i = 0; i < length; i++) squares += (kept[i] - mean) ** 2;
    /** The k-th value, ascending. */
    const at = (k: number): number => {
      if (!counts) return kept[k];
      let bin = 0;
      for (let left = k; left >= counts[bin]; bin++) left -= counts[bin];
      return bin + LOWEST;
    };
    return {
      mean,
      standardDeviation: Math.sqrt(squares / length),
      percentiles: PERCENTILES.map((percent) => {
        const place = (percent / 100) * (length - 1);
        const low = Math.floor(place);
        const value = at(low);
        return place === low ? value : value + (place - low) * (at(low + 1) - value);
      }),
    };
  }
}

interface Sums {
  voxels: number;
  /** Of the indices along x, y, z. */
  readonly indices: [number, number, number];
  /** Of the voxels' centres, mm. */
  readonly low: [number, number, number];
  readonly high: [number, number, number];
  values: Values | null;
}

const isCountable = (data: VoxelArray): boolean =>
  data instanceof Int8Array || data instanceof Uint8Array || data instanceof Int16Array || data instanceof Uint16Array;

/** Measures structures plane by plane. */
export class StructureMeter {
  private readonly sums: ReadonlyMap<number, Sums>;
  private readonly geometry: Geometry;

  /** @param codes of the structures, each of which is in the result, found or not */
  constructor(geometry: Geometry, codes: readonly number[]) {
    this.geometry = geometry;
    const far = Number.POSITIVE_INFINITY;
    this.sums = new Map(
      codes.map((code) => [
        code,
        { voxels: 0, indices: [0, 0, 0], low: [far, far, far], high: [-far, -far, -far], values: null },
      ]),
    );
  }

  /** Adds plane z. @param image its intensities; without them none are measured */
  add(z: number, labels: VoxelArray, image?: VoxelArray): void {
    const [nx, ny] = this.geometry.size;
    const toPhysical = voxelToPhysical(this.geometry);
    const countable = image !== undefined && isCountable(image);
    const endOf = runEnds(labels);
    for (let y = 0, at = 0; y < ny; y++)
      for (const [row, end] = [at, at + nx]; at < end; ) {
        const code = labels[at];
        const from = at;
        at = endOf(at, end);
        const sums = this.sums.get(code);
        if (!sums) continue;
        const count = at - from;
        sums.voxels += count;
        sums.indices[0] += (count * (from - row + at - 1 - row)) / 2;
        sums.indices[1] += count * y;
        sums.indices[2] += count * z;
        // along a line the extreme positions are those of its ends
        for (const x of [from - row, at - 1 - row]) {
          const place = applyAffine(toPhysical, [x, y, z]);
          for (let k = 0; k < 3; k++) {
            sums.low[k] = Math.min(sums.low[k], place[k]);
            sums.high[k] = Math.max(sums.high[k], place[k]);
          }
        }
        if (!image) continue;
        sums.values ??= new Values(countable);
        for (let i = from; i < at; i++) sums.values.add(image[i]);
      }
  }

  /** What was measured, in the order of the codes. */
  measures(): StructureMeasures[] {
    const { spacingMm, direction } = this.geometry;
    const voxelMl = voxelVolumeMm3(this.geometry) / 1000;
    // how far a voxel reaches from its centre along each axis of the patient
    const reach = perAxis([0, 1, 2], (row) =>
      spacingMm.reduce((sum, side, k) => sum + (Math.abs(direction[row * 3 + k]) * side) / 2, 0),
    );
    return [...this.sums].map(([code, { voxels, indices, low, high, values }]) => ({
      code,
      voxels,
      volumeMl: voxels * voxelMl,
      intensity: values?.measure() ?? null,
      centroidMm:
        voxels === 0
          ? null
          : applyAffine(
              voxelToPhysical(this.geometry),
              perAxis(indices, (sum) => sum / voxels),
            ),
      box:
        voxels === 0
          ? null
          : {
              lowMm: perAxis(reach, (half, k) => low[k] - half),
              sizeMm: perAxis(reach, (half, k) => high[k] - low[k] + 2 * half),
            },
    }));
  }
}
