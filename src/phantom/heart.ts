/**
 * The heart and its great vessels.
 *
 * Laid out in the heart's own frame: the origin near the crux, axes as in the body (x left, y posterior, z superior, mm) for a heart of
 * average pose. Each patient's heart has its own chamber sizes, wall thickness, pose and size; everything that touches a chamber
 * (valves, grooves with the coronary arteries, ostia) is computed from that chamber's parameters, so it follows.
 * It is a static, healthy heart in diastole: no motion, no lesions, no valve leaflets.
 */

import type { RandomStream } from '../common/random.ts';
import type { Xyz } from '../geometry/volume.ts';
import { type Anatomy, about, rounded } from './anatomy.ts';
import { type Layer, solid } from './paint.ts';
import {
  curve,
  curvedTube,
  ellipsoid,
  type Frame,
  halfSpace,
  intersection,
  offset,
  place,
  placed,
  rough,
  type Shape,
  tube,
  union,
} from './shapes.ts';
import { add, between, combine, cross, fromColumns, normalise, rotation, scale, subtract } from './vectors.ts';
import { randomWaves, waveAt } from './waves.ts';

/** Label codes: MM-WHS for the seven structures; 900 is ours. */
export const HEART_LABELS = {
  'left ventricular myocardium': 205,
  'left atrium': 420,
  'left ventricle': 500,
  'right atrium': 550,
  'right ventricle': 600,
  'ascending aorta': 820,
  'pulmonary artery': 850,
  'coronary arteries': 900,
} as const;

/** Hounsfield units of the heart's blood and muscle: what the contrast phase decides. */
export interface HeartContrast {
  readonly leftHeart: number;
  readonly leftAtrium: number;
  readonly aorta: number;
  readonly rightVentricle: number;
  readonly rightAtrium: number;
  readonly pulmonaryArtery: number;
  readonly superiorCava: number;
  readonly inferiorCava: number;
  readonly myocardium: number;
}

const FAT = -95;

/** Draws a heart whose frame's origin lies at `origin` of the body; `pose` scales how differently hearts lie in their chests. */
export function createHeart(random: RandomStream, origin: Xyz, hu: HeartContrast, pose: number): Omit<Anatomy, 'field'> {
  const poseDegrees: Xyz = [about(random, 0, 12 * pose), about(random, 0, 12 * pose), about(random, 0, 12 * pose)];
  const shiftMm: Xyz = [about(random, 0, 10 * pose), about(random, -1, 5 * pose), about(random, 0, 9 * pose)];
  const frame: Frame = {
    rotation: rotation(poseDegrees),
    scale: [about(random, 1, 0.07), about(random, 1, 0.07), about(random, 1, 0.07)],
    origin: add(origin, shiftMm),
  };
  const wall = about(random, 10, 2.5);
  const lvRadius = about(random, 23.5, 3);
  const lvLength = about(random, 56, 6);
  const rvSize = about(random, 1, 0.14);
  const laSize = about(random, 1, 0.16);
  const raSize = about(random, 1, 0.14);
  const aortaRadius = about(random, 15, 2.2);
  const trunkRadius = about(random, 13, 1.6);
  const fatMm = about(random, 5, 2.5);

  // The left ventricle's axes: `axis` from the mitral valve to the apex, `septal` towards the right ventricle, `upper` across both.
  const axis = normalise([0.72, -0.52, -0.46]);
  const septal = normalise(subtract([-0.56, -0.82, 0.05], scale(axis, axis[0] * -0.56 + axis[1] * -0.82 + axis[2] * 0.05)));
  const upper = cross(septal, axis);
  const mitral: Xyz = [10, 12, 2];
  const fromMitral = (along: number, towardsRight: number, up: number): Xyz =>
    add(mitral, combine([along, axis], [towardsRight, septal], [up, upper]));
  const along = (centre: Xyz): Frame => ({ rotation: fromColumns(axis, septal, upper), scale: [1, 1, 1], origin: centre });
  const lvCentreAlong = 27;
  const epicardium = lvRadius + wall;

  const mitralPlane = halfSpace(mitral, scale(axis, -1));
  const lvCavity = placed(ellipsoid([0, 0, 0], [lvLength, lvRadius, lvRadius]), along(fromMitral(lvCentreAlong, 0, 0)));
  const lvOuter = placed(
    ellipsoid([0, 0, 0], [lvLength + 0.7 * wall, epicardium, epicardium]),
    along(fromMitral(lvCentreAlong, 0, 0)),
  );
  const leftWaves = randomWaves(random, 6, 9, 18);
  const aorticValve = fromMitral(-3, 14, 21);
  const outflowTract = tube([fromMitral(16, 6, 6), aorticValve], [lvRadius * 0.62, aortaRadius * 0.8]);
  const leftVentricle = union([rough(intersection(lvCavity, mitralPlane, 4), leftWaves, 0.8), outflowTract], 5);
  const myocardium = union([intersection(lvOuter, mitralPlane, 3), offset(outflowTract, 3)], 4);
  const papillary = [
    [0.45, -0.75],
    [-0.7, -0.45],
  ].map(([right, up]) =>
    tube(
      [
        fromMitral(52, right * lvRadius * 0.7, up * lvRadius * 0.7),
        fromMitral(26, right * lvRadius * 0.62, up * lvRadius * 0.62),
      ],
      [4.2, 2.4],
    ),
  );

  const rvCentre = fromMitral(30, epicardium + 9 * rvSize, -1);
  const tricuspid = add(rvCentre, scale(axis, -23 * rvSize));
  const pulmonaryValve = add(aorticValve, [19, -22 - 0.5 * (aortaRadius - 15), 14]);
  const rightBody = intersection(
    placed(ellipsoid([0, 0, 0], [45 * rvSize, 23 * rvSize, 33 * rvSize]), along(rvCentre)),
    halfSpace(tricuspid, scale(axis, -1)),
    5,
  );
  const infundibulum = curvedTube(
    [add(rvCentre, combine([-2, axis], [2, septal], [12, upper])), between(rvCentre, pulmonaryValve, 0.66), pulmonaryValve],
    [20 * rvSize, 15 * rvSize, trunkRadius * 0.95],
  );
  const rightVentricle = union([rightBody, infundibulum], 8);
  // The right ventricle is smooth outside and coarse with muscle bundles inside.
  const rightCavity = rough(rightVentricle, randomWaves(random, 6, 9, 20), 1);

  const raCentre: Xyz = [-38, -4, -4];
  const raBody = ellipsoid(raCentre, [22 * raSize, 26 * raSize, 31 * raSize]);
  const raFunnel = tube([raCentre, tricuspid], [18 * raSize, 16 * rvSize]);
  const raAuricle = curvedTube(
    [
      [-36, -16, 12],
      [-27, -31, 21],
      [-12, -38, 27],
    ],
    [13 * raSize, 9, 5],
  );
  const rightAtrium = union([raBody, intersection(raFunnel, halfSpace(tricuspid, axis)), raAuricle], 8);

  const laCentre: Xyz = [0, 31, 13];
  const laBody = ellipsoid(laCentre, [31 * laSize, 18 * laSize, 23 * laSize]);
  const laFunnel = intersection(
    tube([between(laCentre, mitral, 0.2), mitral], [18 * laSize, 0.8 * lvRadius]),
    halfSpace(mitral, axis),
  );
  const laAuricle = curvedTube(
    [
      [22, 20, 22],
      [36, 6, 26],
      [44, -7, 26],
      [42, -16, 30],
    ],
    [11 * laSize, 7, 6, 3.5],
  );
  const leftAtrium = union([laBody, laFunnel, laAuricle], 6);

  const sideways = 29 * laSize;
  const veins: readonly (readonly Xyz[])[] = [
    [
      [-sideways + 6, 34, 21],
      [-sideways - 8, 34, 25],
      [-58, 30, 36],
      [-74, 26, 52],
    ],
    [
      [-sideways + 6, 40, 6],
      [-sideways - 9, 45, 2],
      [-56, 52, -8],
      [-70, 60, -22],
    ],
    [
      [sideways - 6, 36, 23],
      [sideways + 8, 36, 29],
      [54, 32, 42],
      [66, 26, 58],
    ],
    [
      [sideways - 6, 42, 7],
      [sideways + 9, 48, 4],
      [54, 56, -6],
      [66, 64, -20],
    ],
  ] as const;
  const veinRadii = [8, 6.5, 5, 3.5];
  const veinStubs = veins.map((points) => tube(points.slice(0, 2), [8 * laSize, 7]));

  const sinus = add(aorticValve, [-1, -1, 9]);
  const archPoints: readonly Xyz[] = [
    aorticValve,
    sinus,
    add(aorticValve, [-8, -7, 26]),
    add(aorticValve, [-11, -6, 50]),
    [-6, 0, 84],
    [8, 22, 92],
    [20, 44, 82],
  ];
  const archRadii = [
    aortaRadius * 0.85,
    aortaRadius * 1.12,
    aortaRadius,
    aortaRadius,
    aortaRadius * 0.95,
    aortaRadius * 0.88,
    aortaRadius * 0.8,
  ];
  // Vessels begin at the plane of their valve, where the ventricle ends.
  const ascending = intersection(
    curvedTube(archPoints.slice(0, 4), archRadii.slice(0, 4)),
    halfSpace(aorticValve, subtract(aorticValve, sinus)),
  );
  const arch = curvedTube(archPoints.slice(3), archRadii.slice(3));
  const bifurcation: Xyz = [17, 4, 57];
  const trunkMiddle = add(pulmonaryValve, [3, 8, 13]);
  const trunk = intersection(
    curvedTube([pulmonaryValve, trunkMiddle, bifurcation], [trunkRadius * 0.95, trunkRadius, trunkRadius * 0.95]),
    halfSpace(pulmonaryValve, subtract(pulmonaryValve, trunkMiddle)),
  );
  const rightBranch = curvedTube(
    [bifurcation, [-2, 13, 56], [-28, 17, 54], [-52, 24, 46], [-60, 30, 30]],
    [trunkRadius * 0.8, trunkRadius * 0.75, trunkRadius * 0.7, 7.5, 5],
  );
  const leftBranch = curvedTube(
    [bifurcation, [32, 22, 62], [48, 38, 58], [58, 46, 40]],
    [trunkRadius * 0.8, trunkRadius * 0.75, 8, 6],
  );
  const pulmonaryArtery = union([trunk, rightBranch, leftBranch], 4);

  const superiorCava = curvedTube([add(raCentre, [0, 8, 26 * raSize]), [-37, 7, 48], [-33, 5, 100]], [10, 9, 8.5]);
  const inferiorCava = curvedTube([add(raCentre, [2, 12, -26 * raSize]), [-33, 20, -52], [-30, 26, -100]], [11, 12, 12]);

  // Coronary arteries run in the grooves: on the surface of the ventricles, in the fat.
  const onLeft = (alongMm: number, degrees: number): Xyz => {
    const inside = Math.sqrt(Math.max(0, 1 - ((alongMm - lvCentreAlong) / (lvLength + 0.7 * wall)) ** 2));
    const radius = epicardium * inside + 2.5;
    const angle = (degrees * Math.PI) / 180;
    return fromMitral(alongMm, radius * Math.cos(angle), radius * Math.sin(angle));
  };
  const leftOstium = add(sinus, scale(normalise([0.9, 0.25, 0.2]), aortaRadius * 1.1));
  const rightOstium = add(sinus, scale(normalise([-0.25, -0.95, 0.15]), aortaRadius * 1.1));
  const leftMain = add(leftOstium, [8, 1, -1]);
  const onRightRing = (degrees: number): Xyz => {
    const angle = (degrees * Math.PI) / 180;
    return add(tricuspid, combine([25 * rvSize * Math.cos(angle), septal], [34 * rvSize * Math.sin(angle), upper], [-3, axis]));
  };
  const coronaries: readonly (readonly Xyz[])[] = [
    [leftOstium, leftMain, onLeft(8, 62), onLeft(24, 58), onLeft(42, 55), onLeft(58, 53), onLeft(74, 50)],
    [onLeft(14, 60), onLeft(26, 82), onLeft(40, 98), onLeft(52, 104)],
    [leftMain, onLeft(2, 92), onLeft(0, 125), onLeft(0, 160), onLeft(2, 195)],
    [onLeft(1, 130), onLeft(16, 140), onLeft(34, 146), onLeft(48, 148)],
    [
      rightOstium,
      add(rightOstium, [-6, -8, 0]),
      onRightRing(62),
      onRightRing(30),
      onRightRing(0),
      onRightRing(-32),
      onRightRing(-65),
      onLeft(3, -68),
    ],
    [onLeft(3, -68), onLeft(20, -60), onLeft(38, -57), onLeft(55, -55)],
  ];
  const coronaryRadius = about(random, 1.8, 0.25);
  const coronaryLayers: Layer[] = coronaries.map((points) => {
    const radii = points.map((_, i) => coronaryRadius * (1.05 - (0.45 * i) / (points.length - 1)));
    const fine = curve(points, radii, 5);
    return {
      shape: tube(fine.points, fine.radii),
      shells: [{ insetMm: 0, value: hu.aorta - 15, label: HEART_LABELS['coronary arteries'] }],
      thinMm: 0.75 * coronaryRadius,
    };
  });

  const labels = HEART_LABELS;
  const envelope = rough(
    union([myocardium, rightVentricle, rightAtrium, leftAtrium, offset(ascending, -3), offset(trunk, -2)], 12),
    randomWaves(random, 6, 25, 60),
    1.4,
  );
  const mixing = randomWaves(random, 5, 14, 40);
  const mixed = (value: number, share: number) => (x: number, y: number, z: number) =>
    value * (1 + share * waveAt(mixing, x, y, z));
  const blood = (
    shape: Shape,
    value: number | ((x: number, y: number, z: number) => number),
    label: number | undefined,
    wallMm: number,
  ): Layer => ({
    shape: offset(shape, wallMm),
    shells: [
      { insetMm: 0, value: 45, label: 0 },
      { insetMm: wallMm, value, label: label ?? 0 },
    ],
  });
  const muscle = mixed(hu.myocardium, 0.04);
  const inHeart: Layer[] = [
    {
      shape: offset(envelope, fatMm + 1.2),
      shells: [
        { insetMm: 0, value: 20, label: 0 },
        { insetMm: 1.2, value: FAT, label: 0 },
      ],
    },
    blood(superiorCava, mixed(hu.superiorCava, 0.08), undefined, 1),
    blood(inferiorCava, mixed(hu.inferiorCava, 0.05), undefined, 1),
    ...veins.map((points) => blood(curvedTube(points, veinRadii), hu.leftAtrium, undefined, 0.8)),
    blood(rightBranch, hu.pulmonaryArtery, undefined, 1),
    blood(leftBranch, hu.pulmonaryArtery, undefined, 1),
    blood(rightAtrium, mixed(hu.rightAtrium, 0.1), labels['right atrium'], 2),
    solid(offset(rightVentricle, 3), muscle, 0),
    solid(rightCavity, mixed(hu.rightVentricle, 0.05), labels['right ventricle']),
    // The right atrium again, up to the valve's plane: the wall just drawn closed the valve.
    solid(intersection(raFunnel, halfSpace(tricuspid, axis)), hu.rightAtrium, labels['right atrium']),
    blood(leftAtrium, hu.leftAtrium, labels['left atrium'], 2),
    ...veinStubs.map((stub) => solid(stub, hu.leftAtrium, labels['left atrium'])),
    solid(myocardium, muscle, labels['left ventricular myocardium']),
    blood(arch, hu.aorta, undefined, 1.5),
    blood(ascending, hu.aorta, labels['ascending aorta'], 1.5),
    solid(leftVentricle, hu.leftHeart, labels['left ventricle']),
    // The muscles inside the cavity count as cavity, as the manual labels of MM-WHS do.
    ...papillary.map((shape) => solid(shape, hu.myocardium)),
    solid(ascending, hu.aorta, labels['ascending aorta']),
    blood(pulmonaryArtery, hu.pulmonaryArtery, labels['pulmonary artery'], 1),
    ...coronaryLayers,
  ];

  const points: readonly (readonly [string, Xyz])[] = [
    ['mitral valve centre', mitral],
    ['aortic valve centre', aorticValve],
    ['tricuspid valve centre', tricuspid],
    ['pulmonary valve centre', pulmonaryValve],
    ['left ventricular apex', fromMitral(lvCentreAlong + lvLength, 0, 0)],
    ['septum midpoint', fromMitral(lvCentreAlong, lvRadius + wall / 2, 0)],
    ['left ventricular lateral wall', fromMitral(lvCentreAlong, -lvRadius - wall / 2, 0)],
    ['left atrium centre', laCentre],
    ['right atrium centre', raCentre],
    ['left coronary ostium', leftOstium],
    ['right coronary ostium', rightOstium],
    ['pulmonary bifurcation', bifurcation],
    ['ascending aorta at the bifurcation', add(aorticValve, [-9.5, -7, 38])],
    ['right superior pulmonary vein ostium', veins[0][0]],
    ['left inferior pulmonary vein ostium', veins[3][0]],
    ['superior cava at the right atrium', add(raCentre, [0, 8, 26 * raSize])],
    ['inferior cava at the right atrium', add(raCentre, [2, 12, -26 * raSize])],
  ];
  return {
    layers: inHeart.map((layer) => ({ ...layer, shape: placed(layer.shape, frame) })),
    landmarks: points.map(([name, p]) => ({ name, at: place(frame, p) })),
    facts: {
      heartRotationDegrees: poseDegrees.map(rounded),
      heartShiftMm: shiftMm.map(rounded),
      heartScale: frame.scale.map(rounded),
      wallMm: rounded(wall),
      leftVentricleRadiusMm: rounded(lvRadius),
      leftVentricleLengthMm: rounded(lvLength),
      rightVentricleSize: rounded(rvSize),
      leftAtriumSize: rounded(laSize),
      rightAtriumSize: rounded(raSize),
      aortaRadiusMm: rounded(aortaRadius),
      pulmonaryTrunkRadiusMm: rounded(trunkRadius),
      epicardialFatMm: rounded(fatMm),
    },
  };
}
