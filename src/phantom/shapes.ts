/**
 * Bodies described by a signed distance in mm: negative inside, zero on the surface.
 *
 * The distances of ellipsoids and of combined shapes are first-order approximations, exact on the surface and good near it, which is
 * where edges are drawn. Every shape knows a box that holds it, so that drawing a small vessel touches few voxels.
 * Further reading: I. Quilez, "Distance functions" (iquilezles.org), from where the ellipsoid's estimate and the smooth union are known.
 */
import type { Matrix3, Xyz } from '../geometry/volume.ts';
import { add, normalise, subtract, transform, transpose } from './vectors.ts';
import { type Waves, waveAt } from './waves.ts';

/** Corners of an axis-aligned box; the sides may be infinite. */
export interface Box {
  readonly low: Xyz;
  readonly high: Xyz;
}

/** Beyond this, a distance need only be a lower bound: nothing is drawn or rounded so far from a surface. */
const FAR_MM = 25;

export interface Shape {
  /** Signed distance in mm. */
  readonly distance: (x: number, y: number, z: number) => number;
  /** Holds every point whose distance is negative. */
  readonly box: Box;
}

const boxAround = (centre: Xyz, half: Xyz): Box => ({ low: subtract(centre, half), high: add(centre, half) });
const grown = (box: Box, by: number): Box => ({ low: add(box.low, [-by, -by, -by]), high: add(box.high, [by, by, by]) });
const pick = (f: (...values: number[]) => number, a: Xyz, b: Xyz): Xyz => [f(a[0], b[0]), f(a[1], b[1]), f(a[2], b[2])];
const boxOfBoth = (a: Box, b: Box): Box => ({ low: pick(Math.min, a.low, b.low), high: pick(Math.max, a.high, b.high) });
const boxShared = (a: Box, b: Box): Box => ({ low: pick(Math.max, a.low, b.low), high: pick(Math.min, a.high, b.high) });

/** A lower bound of the distance to anything inside the box; negative inside. */
const toBox = ({ low, high }: Box, x: number, y: number, z: number): number =>
  Math.max(low[0] - x, x - high[0], low[1] - y, y - high[1], low[2] - z, z - high[2]);

export function ellipsoid(centre: Xyz, radii: Xyz): Shape {
  const [cx, cy, cz] = centre;
  const [ix, iy, iz] = [1 / radii[0], 1 / radii[1], 1 / radii[2]];
  return {
    box: boxAround(centre, radii),
    distance: (x, y, z) => {
      const px = (x - cx) * ix;
      const py = (y - cy) * iy;
      const pz = (z - cz) * iz;
      const k0 = Math.sqrt(px * px + py * py + pz * pz);
      const k1 = Math.sqrt(px * ix * px * ix + py * iy * py * iy + pz * iz * pz * iz);
      // At the very centre the estimate is 0 / 0.
      return k1 > 1e-9 ? (k0 * (k0 - 1)) / k1 : -Math.min(radii[0], radii[1], radii[2]);
    },
  };
}

/** An upright cylinder of elliptical cross-section without ends. */
export function ellipticCylinder(centre: readonly [number, number], radii: readonly [number, number]): Shape {
  const flat = ellipsoid([centre[0], centre[1], 0], [radii[0], radii[1], 1]);
  return {
    box: {
      low: [flat.box.low[0], flat.box.low[1], Number.NEGATIVE_INFINITY],
      high: [flat.box.high[0], flat.box.high[1], Number.POSITIVE_INFINITY],
    },
    distance: (x, y) => flat.distance(x, y, 0),
  };
}

/** Everything behind the plane through `point`: the distance grows along `outward`. */
export function halfSpace(point: Xyz, outward: Xyz): Shape {
  const [nx, ny, nz] = normalise(outward);
  const offset = nx * point[0] + ny * point[1] + nz * point[2];
  const infinite = Number.POSITIVE_INFINITY;
  return {
    box: { low: [-infinite, -infinite, -infinite], high: [infinite, infinite, infinite] },
    distance: (x, y, z) => nx * x + ny * y + nz * z - offset,
  };
}

/** A line of balls of changing radius: the union of the segments between neighbouring points. */
export function tube(points: readonly Xyz[], radii: readonly number[]): Shape {
  const segments = points.length - 1;
  // Nine numbers a segment: start, vector along, 1 / its squared length, radius at the start, what the radius gains.
  const line = new Float64Array(9 * segments);
  for (let i = 0; i < segments; i++) {
    const [a, along] = [points[i], subtract(points[i + 1], points[i])];
    const squared = along[0] ** 2 + along[1] ** 2 + along[2] ** 2;
    if (squared === 0) throw new Error('tube: two neighbouring points are equal');
    line.set([...a, ...along, 1 / squared, radii[i], radii[i + 1] - radii[i]], 9 * i);
  }
  const box = points.map((p, i) => boxAround(p, [radii[i], radii[i], radii[i]])).reduce(boxOfBoth);
  return {
    box,
    distance: (x, y, z) => {
      const far = toBox(box, x, y, z);
      if (far > FAR_MM) return far;
      let nearest = Number.POSITIVE_INFINITY;
      for (let i = 0; i < line.length; i += 9) {
        const px = x - line[i];
        const py = y - line[i + 1];
        const pz = z - line[i + 2];
        const ax = line[i + 3];
        const ay = line[i + 4];
        const az = line[i + 5];
        const t = Math.min(1, Math.max(0, (px * ax + py * ay + pz * az) * line[i + 6]));
        const dx = px - t * ax;
        const dy = py - t * ay;
        const dz = pz - t * az;
        const distance = Math.sqrt(dx * dx + dy * dy + dz * dz) - line[i + 7] - t * line[i + 8];
        if (distance < nearest) nearest = distance;
      }
      return nearest;
    },
  };
}

/** A smooth curve through the points (Catmull-Rom), `steps` pieces between neighbours; further columns (radii) follow alike. */
export function curve(points: readonly Xyz[], radii: readonly number[], steps = 4): { points: Xyz[]; radii: number[] } {
  const at = (list: readonly number[][], i: number): number[] => list[Math.min(list.length - 1, Math.max(0, i))];
  const rows = points.map((p, i) => [p[0], p[1], p[2], radii[i]]);
  const fine: number[][] = [];
  for (let i = 0; i + 1 < rows.length; i++) {
    const [p0, p1, p2, p3] = [at(rows, i - 1), at(rows, i), at(rows, i + 1), at(rows, i + 2)];
    for (let step = 0; step < steps; step++) {
      const t = step / steps;
      fine.push(
        p1.map((v, k) => {
          const [a, c, d] = [p0[k], p2[k], p3[k]];
          return v + 0.5 * t * (c - a + t * (2 * a - 5 * v + 4 * c - d + t * (3 * (v - c) + d - a)));
        }),
      );
    }
  }
  fine.push(rows[rows.length - 1]);
  return { points: fine.map((r) => [r[0], r[1], r[2]] as const), radii: fine.map((r) => Math.max(r[3], 0.3)) };
}

/** A tube along the smooth curve through the points. */
export function curvedTube(points: readonly Xyz[], radii: readonly number[], steps = 4): Shape {
  const fine = curve(points, radii, steps);
  return tube(fine.points, fine.radii);
}

/** The union of shapes, with edges between them rounded over about `roundMm` (0: sharp). */
export function union(shapes: readonly Shape[], roundMm = 0): Shape {
  return {
    box: grown(shapes.map((shape) => shape.box).reduce(boxOfBoth), (shapes.length - 1) * (roundMm / 4)),
    distance: (x, y, z) => {
      let nearest = Number.POSITIVE_INFINITY;
      for (const shape of shapes) {
        // A shape whose box is farther than this changes nothing.
        if (toBox(shape.box, x, y, z) > nearest + roundMm) continue;
        const distance = shape.distance(x, y, z);
        const overlap = Math.max(roundMm - Math.abs(nearest - distance), 0);
        nearest = Math.min(nearest, distance) - (overlap > 0 ? (overlap * overlap) / (4 * roundMm) : 0);
      }
      return nearest;
    },
  };
}

/** What lies in both shapes, the new edge rounded over about `roundMm`. */
export function intersection(a: Shape, b: Shape, roundMm = 0): Shape {
  return {
    box: boxShared(a.box, b.box),
    distance: (x, y, z) => {
      const da = a.distance(x, y, z);
      const db = b.distance(x, y, z);
      const overlap = Math.max(roundMm - Math.abs(da - db), 0);
      return Math.max(da, db) + (roundMm > 0 ? (overlap * overlap) / (4 * roundMm) : 0);
    },
  };
}

/** `a` without `b`. */
export const without = (a: Shape, b: Shape): Shape => ({
  box: a.box,
  distance: (x, y, z) => {
    const distance = a.distance(x, y, z);
    return toBox(b.box, x, y, z) >= -distance ? distance : Math.max(distance, -b.distance(x, y, z));
  },
});

/** The shape grown by `byMm` (shrunk where negative). */
export const offset = (shape: Shape, byMm: number): Shape => ({
  box: grown(shape.box, byMm),
  distance: (x, y, z) => shape.distance(x, y, z) - byMm,
});

/** The shape with an uneven surface: moved in and out by `depthMm` (one standard deviation). */
export const rough = (shape: Shape, waves: Waves, depthMm: number): Shape => ({
  box: grown(shape.box, 3 * depthMm),
  distance: (x, y, z) => {
    const distance = shape.distance(x, y, z);
    // Far from the surface the exact value is of no use, and the waves cost time.
    return Math.abs(distance) > 4 * depthMm + 6 ? distance : distance - depthMm * waveAt(waves, x, y, z);
  },
});

/** The mirror image at the plane x = 0. */
export const mirrored = (shape: Shape): Shape => ({
  box: {
    low: [-shape.box.high[0], shape.box.low[1], shape.box.low[2]],
    high: [-shape.box.low[0], shape.box.high[1], shape.box.high[2]],
  },
  distance: (x, y, z) => shape.distance(-x, y, z),
});

/** A right-handed place: own coordinates are scaled per axis, rotated, and moved. */
export interface Frame {
  readonly rotation: Matrix3;
  readonly scale: Xyz;
  readonly origin: Xyz;
}

/** A point of the frame's own coordinates in the surrounding ones. */
export const place = (frame: Frame, p: Xyz): Xyz =>
  add(frame.origin, transform(frame.rotation, [p[0] * frame.scale[0], p[1] * frame.scale[1], p[2] * frame.scale[2]]));

/** A shape given in the frame's own coordinates, in the surrounding ones. */
export function placed(shape: Shape, frame: Frame): Shape {
  const [ox, oy, oz] = frame.origin;
  const r = transpose(frame.rotation);
  const [ix, iy, iz] = [1 / frame.scale[0], 1 / frame.scale[1], 1 / frame.scale[2]];
  const mean = Math.cbrt(frame.scale[0] * frame.scale[1] * frame.scale[2]);
  const { low, high } = shape.box;
  const corners = Array.from({ length: 8 }, (_, i) =>
    place(frame, [i & 1 ? high[0] : low[0], i & 2 ? high[1] : low[1], i & 4 ? high[2] : low[2]]),
  );
  return {
    box: corners.map((corner): Box => ({ low: corner, high: corner })).reduce(boxOfBoth),
    distance: (x, y, z) => {
      const px = x - ox;
      const py = y - oy;
      const pz = z - oz;
      return (
        mean *
        shape.distance(
          (r[0] * px + r[1] * py + r[2] * pz) * ix,
          (r[3] * px + r[4] * py + r[5] * pz) * iy,
          (r[6] * px + r[7] * py + r[8] * pz) * iz,
        )
      );
    },
  };
}
