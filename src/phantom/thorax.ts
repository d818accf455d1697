/**
 * The chest round the heart: wall with skin, fat, muscle, ribs, sternum and spine; lungs with branching vessels; airways, oesophagus,
 * descending aorta, mediastinal fat; liver, stomach and spleen under the diaphragm's domes.
 *
 * Body frame: x = 0 is the midline, y posterior, z superior, the heart's crux near the origin. Ribs and vertebrae are periodic along the
 * body, so one distance draws them all.
 */

import type { RandomStream } from '../common/random.ts';
import type { Xyz } from '../geometry/volume.ts';
import { about, type NamedPoint, rounded } from './anatomy.ts';
import { type Layer, solid } from './paint.ts';
import { type Box, curvedTube, ellipsoid, ellipticCylinder, offset, rough, type Shape, tube, union, without } from './shapes.ts';
import { add, combine, normalise, scale } from './vectors.ts';
import { randomVector, randomWaves, waveAt } from './waves.ts';

const INFINITE = Number.POSITIVE_INFINITY;
const CAVITY_Y = 12;
const CAVITY: readonly [number, number] = [130, 90];
/** From one rib or vertebra to the next. */
const SEGMENT_MM = 25;

/** The thorax in two parts: what lies under the heart's layers and what covers them. */
export interface Thorax {
  readonly behindHeart: readonly Layer[];
  readonly overHeart: readonly Layer[];
  readonly landmarks: readonly NamedPoint[];
  readonly facts: Readonly<Record<string, number>>;
}

/** `t` brought into (-period / 2, period / 2]. */
const wrapped = (t: number, period: number): number => t - period * Math.round(t / period);
const wallBox = (low: Xyz, high: Xyz): Box => ({ low, high });

/** All ribs of both sides: an oval bar in the wall, sinking from the spine to the front; `cartilage` draws their front ends. */
function ribs(cavity: Shape, phaseMm: number, cartilage: boolean): Shape {
  const [ax, ay] = CAVITY;
  return {
    box: wallBox([-ax - 12, CAVITY_Y - ay - 12, -INFINITE], [ax + 12, CAVITY_Y + ay + 12, INFINITE]),
    distance: (x, y, z) => {
      const across = cavity.distance(x, y, z) - 5.5;
      if (Math.abs(across) > 12) return Math.abs(across) - 6;
      // 0 at the spine, 1 at the sternum.
      const round = Math.atan2(Math.abs(x) / ax, (y - CAVITY_Y) / ay) / Math.PI;
      const drop = round < 0.72 ? 82 * round * (1 - 0.35 * round) : 44 - 60 * (round - 0.72);
      const along = wrapped(z - phaseMm + drop, SEGMENT_MM);
      const bar = Math.hypot(across / 4.2, along / 7) - 1;
      const end = cartilage
        ? Math.max((0.74 - round) * 300, (round - 0.955) * 300)
        : Math.max((0.1 - round) * 300, (round - 0.74) * 300);
      return Math.max(bar * 4.5, end);
    },
  };
}

/** Vertebral bodies with their discs left out, the arch round the canal, transverse and spinous processes. */
function vertebrae(centreY: number, phaseMm: number): Shape {
  const body = ellipsoid([0, 0, 0], [17, 14.5, 1]);
  const canal = ellipsoid([0, 0, 0], [9.5, 8.5, 1]);
  return {
    box: wallBox([-40, centreY - 18, -INFINITE], [40, centreY + 62, INFINITE]),
    distance: (x, y, z) => {
      const along = wrapped(z - phaseMm, SEGMENT_MM);
      // The body is waisted between its end plates.
      const waist = 1.6 * (1 - (along / 9) ** 2);
      const inBody = Math.max(body.distance(x, y - centreY, 0) + waist, Math.abs(along) - 10.2);
      const ring = canal.distance(x, y - centreY - 23, 0);
      const arch = Math.max(Math.abs(ring - 3) - 3, Math.abs(along - 1) - 8, centreY + 12 - y);
      const side = Math.abs(x);
      const transverse =
        Math.hypot(Math.max(0, Math.abs(side - 23) - 12), y - centreY - 24 - 0.35 * (side - 12), along - 3) - 4.5;
      const spinous = Math.max(
        Math.abs(x) - 2.8,
        Math.hypot(Math.max(0, Math.abs(y - centreY - 44) - 10), along + 6 + 0.4 * (y - centreY - 34)) - 5.5,
      );
      return Math.min(inBody, arch, transverse, spinous) + (ring < -0.5 ? 20 : 0);
    },
  };
}

/** Vessels that branch inside the lungs, as one tapered piece each. */
function vesselTrees(
  random: RandomStream,
  roots: readonly { at: Xyz; towards: Xyz; radius: number }[],
  lung: (p: Xyz) => boolean,
): Shape[] {
  const pieces: Shape[] = [];
  const grow = (at: Xyz, direction: Xyz, radius: number, lengthMm: number, left: number): void => {
    if (left === 0 || radius < 0.55) return;
    for (let attempt = 0; attempt < 4; attempt++) {
      const heading = normalise(add(direction, randomVector(random, 0.25 + 0.3 * attempt)));
      const end = add(at, scale(heading, lengthMm * random.uniform(0.8, 1.2)));
      if (!lung(end)) continue;
      pieces.push(tube([at, end], [radius, radius * 0.88]));
      const aside = randomVector(random, random.uniform(0.5, 0.8));
      grow(end, normalise(add(heading, aside)), radius * random.uniform(0.68, 0.8), lengthMm * 0.86, left - 1);
      grow(end, normalise(combine([1, heading], [-0.8, aside])), radius * random.uniform(0.72, 0.84), lengthMm * 0.86, left - 1);
      return;
    }
  };
  for (const { at, towards, radius } of roots) grow(at, normalise(towards), radius, 19, 7);
  return pieces;
}

/** Draws a chest whose heart has the given centre; `aorta` is the blood's intensity in the descending aorta, `veins` in the lungs. */
export function createThorax(
  random: RandomStream,
  heart: Xyz,
  hu: { aorta: number; lungVessels: number; liver: number; spleen: number },
): Thorax {
  const fatMm = about(random, 18, 10);
  const ribPhase = about(random, 0, SEGMENT_MM / 2);
  const vertebraPhase = about(random, 6, 8);
  const domeMm = about(random, 0, 7);
  const marrow = about(random, 170, 60);
  const cortex = about(random, 650, 150);

  const cavity = ellipticCylinder([0, CAVITY_Y], CAVITY);
  const muscleWaves = randomWaves(random, 6, 30, 80);
  const muscle = rough(offset(cavity, 19), muscleWaves, 2);
  // Hollow where later layers cover them: their texture costs time.
  const skin = rough(offset(cavity, 19 + fatMm), randomWaves(random, 4, 80, 160), 1.5);
  const spineY = 81;

  const liver = ellipsoid([-58, 14, -132 + domeMm], [104, 84, 92]);
  const leftDome = ellipsoid([74, 22, -132 + domeMm], [60, 74, 82]);
  const spleen = ellipsoid([100, 58, -105 + domeMm], [26, 36, 44]);
  const stomach = ellipsoid([62, 6, -112 + domeMm], [36, 38, 40]);
  const domes = union([liver, leftDome], 20);

  // The mediastinum: wide round the great vessels and the spine, narrow behind the sternum.
  const mediastinum = union(
    [
      ellipticCylinder([0, 30], [24, 52]),
      ellipticCylinder([2, -52], [9, 40]),
      ellipticCylinder([4, 76], [26, 22]),
      curvedTube(
        [
          [-8, 5, 30],
          [-6, 8, 70],
          [-2, 12, 130],
        ],
        [34, 38, 32],
      ),
    ],
    18,
  );
  const lungWaves = randomWaves(random, 5, 6, 20);
  const lung = (_x: number, y: number, z: number): number => -872 + 0.45 * y - 0.2 * z + 10 * waveAt(lungWaves, _x, y, z);
  const inLung = ([x, y, z]: Xyz): boolean =>
    cavity.distance(x, y, z) < -5 && domes.distance(x, y, z) > 6 && mediastinum.distance(x, y, z) > 2;

  const hila: readonly { at: Xyz; towards: Xyz; radius: number }[] = [-1, 1].flatMap((side) => {
    const at = (x: number, y: number, z: number): Xyz => [side * x + heart[0] * 0.5, y + heart[1], z + heart[2]];
    return [
      { at: at(62, 30, 46), towards: [side, -0.4, 0.9] as const, radius: 4.6 },
      { at: at(64, 26, 38), towards: [side, -1, 0.1] as const, radius: 4.2 },
      { at: at(62, 34, 24), towards: [side * 0.9, 0.2, -0.6] as const, radius: 4.8 },
      { at: at(60, 40, 16), towards: [side * 0.5, 0.8, -0.9] as const, radius: 4.6 },
      { at: at(60, 40, 34), towards: [side * 0.7, 0.9, 0.2] as const, radius: 4 },
      { at: at(66, 18, 12), towards: [side, -0.7, -0.5] as const, radius: 3.8 },
    ];
  });
  const trees = vesselTrees(random, hila, inLung).map((piece) => solid(piece, hu.lungVessels));

  const airwayPaths: readonly (readonly [readonly Xyz[], readonly number[]])[] = [
    [
      [
        [2, 36, 130],
        [1, 38, 92],
        [0, 40, 76],
      ],
      [8, 8, 8],
    ],
    [
      [
        [0, 40, 76],
        [-22, 42, 58],
        [-40, 44, 46],
        [-58, 46, 22],
      ],
      [7, 6.5, 5, 3.5],
    ],
    [
      [
        [0, 40, 76],
        [28, 46, 58],
        [46, 50, 48],
        [60, 54, 24],
      ],
      [6.5, 6, 4.5, 3.2],
    ],
    [
      [
        [-30, 43, 52],
        [-54, 38, 56],
        [-72, 32, 66],
      ],
      [4.5, 3.5, 2.5],
    ],
    [
      [
        [40, 48, 52],
        [58, 40, 62],
        [72, 32, 74],
      ],
      [4, 3.2, 2.4],
    ],
  ];
  const airways = airwayPaths.map(([points, radii]) => curvedTube(points, radii));

  const sternumTop: Xyz = [0, CAVITY_Y - CAVITY[1] - 4, 0];
  const sternum: Shape = {
    box: wallBox([-19, sternumTop[1] - 8, -46], [19, sternumTop[1] + 8, INFINITE]),
    distance: (x, y, z) => {
      const width = 15 + 2 * Math.sin(z / 9);
      return Math.max(Math.hypot(Math.max(0, Math.abs(x) - width + 5), y - sternumTop[1]) - 5.5, -44 - z);
    },
  };
  const tissue = (value: number, spread: number) => (x: number, y: number, z: number) =>
    value + spread * waveAt(muscleWaves, 3 * x, 3 * y, 3 * z);
  const bone = (shape: Shape, cortexMm: number, hardness = 1): Layer => ({
    shape,
    shells: [
      { insetMm: 0, value: cortex * hardness, label: 0 },
      { insetMm: cortexMm, value: tissue(marrow, 25), label: 0 },
    ],
  });

  return {
    behindHeart: [
      {
        shape: without(skin, offset(cavity, 12)),
        shells: [
          { insetMm: 0, value: 30 },
          { insetMm: 2, value: tissue(-103, 6) },
        ],
      },
      // Sheets of fat part the muscles.
      {
        shape: without(muscle, offset(cavity, -3)),
        shells: [
          {
            insetMm: 0,
            value: (x, y, z) => 55 - 110 * Math.max(0, 1 - 7 * Math.abs(waveAt(muscleWaves, 1.3 * x, 1.3 * y, 0.6 * z))),
          },
        ],
      },
      {
        shape: offset(cavity, 1.5),
        shells: [
          { insetMm: 0, value: 20 },
          { insetMm: 1.5, value: lung },
        ],
      },
      ...trees,
      {
        shape: offset(domes, 5),
        shells: [
          { insetMm: 0, value: 45 },
          { insetMm: 3, value: -95 },
        ],
      },
      solid(leftDome, tissue(-95, 8)),
      solid(spleen, tissue(hu.spleen, 4)),
      {
        shape: stomach,
        shells: [
          { insetMm: 0, value: 50 },
          { insetMm: 4, value: (_x, y) => (y < -6 ? -960 : 25) },
        ],
      },
      solid(liver, tissue(hu.liver, 3)),
      solid(mediastinum, tissue(-75, 14)),
      ...airways.map((shape) => solid(offset(shape, 1.5), 20)),
      ...airways.map((shape) => solid(shape, -990)),
      solid(
        curvedTube(
          [
            [4, 56, 120],
            [2, 58, 60],
            [4, 60, 10],
            [14, 58, -40],
            [30, 40, -80],
          ],
          [6, 6, 6, 6.5, 8],
        ),
        38,
      ),
    ],
    overHeart: [
      {
        shape: curvedTube(
          [
            [20, 46, 84],
            [25, 58, 60],
            [26, 62, 20],
            [20, 62, -40],
            [12, 60, -120],
          ],
          [12.5, 12.5, 12, 11.5, 11],
        ),
        shells: [
          { insetMm: 0, value: 45, label: 0 },
          { insetMm: 1.3, value: hu.aorta, label: 0 },
        ],
      },
      solid(ellipsoid([-8, 64, 0], [3.5, 3.5, 200]), 60, 0),
      solid(ellipticCylinder([0, spineY], [16, 13.5]), 75, 0),
      solid(ellipticCylinder([0, spineY + 23], [9, 8]), 28, 0),
      bone(vertebrae(spineY, vertebraPhase), 1.3, 0.75),
      solid(ribs(cavity, ribPhase, true), 105, 0),
      bone(ribs(cavity, ribPhase, false), 2),
      bone(sternum, 1.6, 0.6),
    ],
    landmarks: [
      { name: 'vertebral body centre', at: [0, spineY, vertebraPhase] },
      { name: 'right diaphragm dome', at: [-58, 14, -132 + domeMm + 92] },
      { name: 'sternum at heart level', at: sternumTop },
    ],
    facts: {
      subcutaneousFatMm: rounded(fatMm),
      ribPhaseMm: rounded(ribPhase),
      vertebraPhaseMm: rounded(vertebraPhase),
      diaphragmMm: rounded(domeMm),
      marrowHu: rounded(marrow),
    },
  };
}
