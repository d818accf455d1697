/**
 * Outlines of a mask in a plane, as closed polygons through the points half-way between voxels inside and outside (marching squares). A voxel is inside
 * the polygons exactly if its centre is, so that the mask comes back from them. Voxels that touch at a corner alone have outlines of their own.
 */

/** A closed polygon: x and y of its corners in voxels (voxel centres are whole numbers), one after the other. */
export type Polygon = Float64Array;

/**
 * The next point on the outline within a square of four voxels a b / d c, by which of them are inside (bits 1, 2, 4, 8): from one of the square's
 * sides to another, both as (x, y) in half voxels from a. What is inside lies on one side of all.
 */
const [LEFT, TOP, RIGHT, BOTTOM] = [
  [0, 1],
  [1, 0],
  [2, 1],
  [1, 2],
] as const;
type Side = readonly [number, number];
const STEPS: readonly (readonly (readonly [Side, Side])[])[] = [
  [],
  [[LEFT, TOP]],
  [[TOP, RIGHT]],
  [[LEFT, RIGHT]],
  [[RIGHT, BOTTOM]],
  [
    [LEFT, TOP],
    [RIGHT, BOTTOM],
  ],
  [[TOP, BOTTOM]],
  [[LEFT, BOTTOM]],
  [[BOTTOM, LEFT]],
  [[BOTTOM, TOP]],
  [
    [TOP, RIGHT],
    [BOTTOM, LEFT],
  ],
  [[BOTTOM, RIGHT]],
  [[RIGHT, LEFT]],
  [[RIGHT, TOP]],
  [[TOP, LEFT]],
  [],
];

/** Twice the area that a polygon encloses; negative for outlines of what is inside, positive for those of holes. */
function signedArea(polygon: Polygon): number {
  let sum = 0;
  for (let i = 0, j = polygon.length - 2; i < polygon.length; j = i, i += 2)
    sum += polygon[j] * polygon[i + 1] - polygon[i] * polygon[j + 1];
  return sum;
}

/** Whether a point is inside polygons, by the even-odd rule; of a point on an edge nothing is said. */
export function isInside(x: number, y: number, polygons: readonly Polygon[]): boolean {
  let inside = false;
  for (const polygon of polygons)
    for (let i = 0, j = polygon.length - 2; i < polygon.length; j = i, i += 2) {
      const [ax, ay, bx, by] = [polygon[j], polygon[j + 1], polygon[i], polygon[i + 1]];
      if (ay > y !== by > y && x < ax + ((y - ay) / (by - ay)) * (bx - ax)) inside = !inside;
    }
  return inside;
}

/** Without corners on straight lines. */
function simplified(corners: readonly number[]): Polygon {
  const n = corners.length / 2;
  const kept: number[] = [];
  for (let i = 0; i < n; i++) {
    const [before, after] = [(i + n - 1) % n, (i + 1) % n];
    const [ax, ay] = [corners[2 * i] - corners[2 * before], corners[2 * i + 1] - corners[2 * before + 1]];
    const [bx, by] = [corners[2 * after] - corners[2 * i], corners[2 * after + 1] - corners[2 * i + 1]];
    if (ax * by !== ay * bx) kept.push(corners[2 * i] / 2, corners[2 * i + 1] / 2);
  }
  return Float64Array.from(kept);
}

/** Outer outlines with the holes in each. @param isIn whether a voxel is inside; asked within the plane only */
function outlines(
  width: number,
  height: number,
  isIn: (x: number, y: number) => boolean,
): { readonly outer: Polygon; readonly holes: Polygon[] }[] {
  // where the outline goes on from each of its points, in half voxels from the middle of the voxel before the first
  const stride = 2 * width + 3;
  const next = new Map<number, number>();
  const at = (x: number, y: number): number => (x >= 0 && y >= 0 && x < width && y < height && isIn(x, y) ? 1 : 0);
  for (let y = -1; y < height; y++)
    for (let x = -1; x < width; x++) {
      const inside = at(x, y) | (at(x + 1, y) << 1) | (at(x + 1, y + 1) << 2) | (at(x, y + 1) << 3);
      const place = 2 * (y + 1) * stride + 2 * (x + 1);
      for (const [[fromX, fromY], [toX, toY]] of STEPS[inside])
        next.set(place + fromY * stride + fromX, place + toY * stride + toX);
    }
  const outer: { outer: Polygon; holes: Polygon[] }[] = [];
  const holes: Polygon[] = [];
  while (next.size > 0) {
    const [first] = next.keys();
    const corners: number[] = [];
    for (let point: number | undefined = first; point !== undefined; ) {
      corners.push((point % stride) - 2, Math.floor(point / stride) - 2);
      const following: number | undefined = next.get(point);
      next.delete(point);
      point = following === first ? undefined : following;
    }
    const polygon = simplified(corners);
    if (signedArea(polygon) < 0) outer.push({ outer: polygon, holes: [] });
    else holes.push(polygon);
  }
  for (const hole of holes) {
    const around = outer
      .filter((one) => isInside(hole[0], hole[1], [one.outer]))
      .reduce((best, one) => (Math.abs(signedArea(one.outer)) < Math.abs(signedArea(best.outer)) ? one : best));
    around.holes.push(hole);
  }
  return outer;
}

/** A polygon with a hole cut into it from the nearest corner by a channel without width ("keyhole"). */
function keyhole(outer: Polygon, hole: Polygon): Polygon {
  let [from, to, least] = [0, 0, Number.POSITIVE_INFINITY];
  for (let i = 0; i < outer.length; i += 2)
    for (let k = 0; k < hole.length; k += 2) {
      const distance = (outer[i] - hole[k]) ** 2 + (outer[i + 1] - hole[k + 1]) ** 2;
      if (distance < least) [from, to, least] = [i, k, distance];
    }
  return Float64Array.from([
    ...outer.subarray(0, from + 2),
    ...hole.subarray(to),
    ...hole.subarray(0, to + 2),
    ...outer.subarray(from),
  ]);
}

/** The outlines of a mask in a plane, one polygon for each connected part (at faces); holes are joined to what they lie in. */
export const contoursOf = (width: number, height: number, isIn: (x: number, y: number) => boolean): Polygon[] =>
  outlines(width, height, isIn).map(({ outer, holes }) => holes.reduce(keyhole, outer));
