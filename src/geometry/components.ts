/**
 * Connected parts of a label map's structures: voxels of one code that touch at a face, an edge or a corner (26 neighbours, as nnU-Net counts them).
 * Rows are looked at as runs of equal voxels, so that memory follows the structures' surface and not the volume.
 */
import { runEnds } from './runs.ts';
import type { VoxelArray, Xyz } from './volume.ts';

/** A connected part of a structure. */
export interface Component {
  readonly code: number;
  readonly voxels: number;
}

/** Runs of equal codes along x, and to which component each belongs. */
export interface Components {
  /** In the order of their first voxel. */
  readonly components: readonly Component[];
  /** By run: index of its first voxel, how many voxels, index of its component. */
  readonly starts: Int32Array;
  readonly lengths: Int32Array;
  readonly of: Int32Array;
}

/** A list of numbers that grows. */
class Numbers {
  values = new Int32Array(1024);
  length = 0;
  push(value: number): void {
    if (this.length === this.values.length) {
      const more = new Int32Array(2 * this.length);
      more.set(this.values);
      this.values = more;
    }
    this.values[this.length++] = value;
  }
  done(): Int32Array {
    return this.values.slice(0, this.length);
  }
}

/** The connected parts of all structures; voxels of code 0 belong to none. @param size x, y, z */
export function componentsOf(data: VoxelArray, [nx, ny, nz]: Xyz): Components {
  const [starts, lengths] = [new Numbers(), new Numbers()];
  const firstOfRow = new Int32Array(ny * nz + 1);
  const endOf = runEnds(data);
  for (let row = 0, at = 0; row < ny * nz; row++) {
    firstOfRow[row] = starts.length;
    for (const end = at + nx; at < end; ) {
      const code = data[at];
      const from = at;
      at = endOf(at, end);
      if (code === 0) continue;
      starts.push(from);
      lengths.push(at - from);
    }
  }
  firstOfRow[ny * nz] = starts.length;
  const [start, length] = [starts.done(), lengths.done()];

  // union-find in which a root is the first run of its component
  const parent = Int32Array.from(start, (_, run) => run);
  const rootOf = (run: number): number => {
    let root = run;
    while (parent[root] !== root) root = parent[root];
    for (let at = run; parent[at] !== root; ) [at, parent[at]] = [parent[at], root];
    return root;
  };
  const join = (a: number, b: number): void => {
    const [ra, rb] = [rootOf(a), rootOf(b)];
    if (ra < rb) parent[rb] = ra;
    else parent[ra] = rb;
  };
  const joinRows = (row: number, other: number): void => {
    // where the other row's runs would lie in this row
    const shift = (row - other) * nx;
    const last = firstOfRow[other + 1];
    let first = firstOfRow[other];
    for (let a = firstOfRow[row]; a < firstOfRow[row + 1]; a++) {
      const [from, to] = [start[a], start[a] + length[a]];
      // ends are exclusive, and corners touch too
      while (first < last && start[first] + shift + length[first] < from) first++;
      for (let b = first; b < last && start[b] + shift <= to; b++) if (data[from] === data[start[b]]) join(a, b);
    }
  };
  for (let z = 0; z < nz; z++)
    for (let y = 0; y < ny; y++) {
      const row = z * ny + y;
      if (firstOfRow[row] === firstOfRow[row + 1]) continue;
      if (y > 0) joinRows(row, row - 1);
      for (let dy = -1; z > 0 && dy <= 1; dy++) if (y + dy >= 0 && y + dy < ny) joinRows(row, row - ny + dy);
    }

  const of = new Int32Array(start.length);
  const voxels: number[] = [];
  const codes: number[] = [];
  for (let run = 0; run < start.length; run++) {
    const root = rootOf(run);
    if (root === run) {
      of[run] = voxels.length;
      voxels.push(0);
      codes.push(data[start[run]]);
    } else of[run] = of[root];
    voxels[of[run]] += length[run];
  }
  return { components: voxels.map((n, k) => ({ code: codes[k], voxels: n })), starts: start, lengths: length, of };
}
