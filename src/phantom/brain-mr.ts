/**
 * A T1-weighted MR of a head: brain with folded cortex, ventricles, deep nuclei, cerebellum and brainstem; meninges, skull, face, scalp.
 *
 * Body frame: the anterior commissure near the origin, x left, y posterior, z superior (MNI's layout, slightly smaller). Structures that come
 * in pairs are described once, for the left (x > 0), and mirrored; each side then has its own size. Intensities are relative (white matter
 * about 0.85) until the scanner gives them its arbitrary scale. A healthy adult: no lesions, no vessels.
 */

import { type RandomStream, randomStream } from '../common/random.ts';
import { type Geometry, voxelCount, type Xyz } from '../geometry/volume.ts';
import { type Anatomy, about, type NamedPoint, rounded } from './anatomy.ts';
import { folded } from './cortex.ts';
import { type Layer, solid, voxelPosition } from './paint.ts';
import type { PatientVariation } from './patient-map.ts';
import { grainyNoise, type ScanProtocol } from './scan.ts';
import {
  curvedTube,
  ellipsoid,
  type Frame,
  halfSpace,
  intersection,
  mirrored,
  offset,
  place,
  placed,
  rough,
  type Shape,
  tube,
  union,
  without,
} from './shapes.ts';
import { rotation, subtract } from './vectors.ts';
import { randomWaves, waveAt } from './waves.ts';

/** Label codes of FreeSurfer, [left, right] where there are two. */
const CODES = {
  'cerebral white matter': [2, 41],
  'cerebral cortex': [3, 42],
  'lateral ventricle': [4, 43],
  'cerebellum white matter': [7, 46],
  'cerebellum cortex': [8, 47],
  thalamus: [10, 49],
  caudate: [11, 50],
  putamen: [12, 51],
  pallidum: [13, 52],
  hippocampus: [17, 53],
  amygdala: [18, 54],
} as const;
const THIRD_VENTRICLE = 14;
const FOURTH_VENTRICLE = 15;
const BRAINSTEM = 16;

/** Name to label code. */
export const BRAIN_LABELS: Readonly<Record<string, number>> = {
  ...Object.fromEntries(
    Object.entries(CODES).flatMap(([name, [left, right]]) => [
      [`left ${name}`, left],
      [`right ${name}`, right],
    ]),
  ),
  'third ventricle': THIRD_VENTRICLE,
  'fourth ventricle': FOURTH_VENTRICLE,
  brainstem: BRAINSTEM,
};

export const BRAIN_VARIATION: PatientVariation = {
  rotationDegrees: 11,
  translationMm: 12,
  size: 0.09,
  displacementMm: 3.2,
  wavelengthMm: [110, 220],
};

export const BRAIN_PROTOCOL: ScanProtocol = {
  inPlaneMm: [1, 1.5],
  sliceMm: [1, 2],
  extentMm: [
    [168, 190],
    [205, 235],
    [178, 205],
  ],
  marginMm: 17,
  offCentreMm: 9,
};

const CSF = 0.17;

/** Draws a head. */
export function createBrainMr(random: RandomStream): Anatomy {
  const grey = about(random, 0.56, 0.04);
  const white = about(random, 0.85, 0.03);
  const nuclei = (share: number): number => grey + share * (white - grey);
  const ventricleSize = about(random, 1.15, 0.35);
  const cortexMm = about(random, 3, 0.4);
  const openMm = about(random, 0.75, 0.35);
  const sulcusMm = about(random, 13.5, 2);
  const scalpMm = about(random, 6.5, 2);
  const skullMm = about(random, 6.5, 1.5);

  // Hulls. The base of the frontal and occipital lobes is flatter than the vault; the temporal lobes reach below it.
  const vault = intersection(ellipsoid([0, 17, 16], [65, 83, 57]), halfSpace([0, 10, -14], [0, -0.08, -1]), 26);
  const temporal = curvedTube(
    [
      [40, -24, -20],
      [46, -6, -21],
      [47, 22, -14],
      [42, 48, -2],
    ],
    [14, 17.5, 18, 16],
  );
  const hull = union([vault, temporal, mirrored(temporal)], 11);
  const posteriorFossa = union(
    [
      ellipsoid([0, 58, -34], [51, 33, 25]),
      curvedTube(
        [
          [0, 24, -20],
          [0, 33, -50],
          [0, 46, -120],
        ],
        [19, 15, 11],
      ),
    ],
    10,
  );
  const cranium = union([offset(hull, 1), posteriorFossa], 14);
  const falxGap = halfSpace([0.7, 0, 0], [-1, 0, 0]);
  // The Sylvian fissure: a slanted cleft over the temporal lobe down to the insula.
  const sylvian = union(
    [
      tube(
        [
          [66, -30, -8],
          [39, -18, -4],
        ],
        [2.4, 1.6],
      ),
      tube(
        [
          [66, -12, -4],
          [40, -6, -1],
        ],
        [2, 1.6],
      ),
      tube(
        [
          [66, 4, 1],
          [41, 8, 4],
        ],
        [2, 1.5],
      ),
      tube(
        [
          [66, 22, 8],
          [44, 24, 10],
        ],
        [1.8, 1.4],
      ),
      tube(
        [
          [66, -21, -6],
          [39, -12, -3],
        ],
        [2.2, 1.6],
      ),
      tube(
        [
          [66, -4, -2],
          [40, 1, 2],
        ],
        [2, 1.6],
      ),
      tube(
        [
          [66, 13, 4],
          [42, 16, 7],
        ],
        [1.9, 1.5],
      ),
      curvedTube(
        [
          [39, -20, -4],
          [39, -2, 0],
          [41, 22, 9],
        ],
        [1.8, 1.8, 1.5],
      ),
    ],
    3,
  );

  // The same main folds in everybody, with some of their own: the canonical waves are shared by the cohort of all seeds.
  const bends = randomWaves(random, 6, 32, 70);
  const ownFolds = randomWaves(random, 3, 25, 36);
  const folds = Float64Array.of(...FOLDS, ...ownFolds);
  // Round the nuclei and under the callosum there is white matter and no cortex.
  const core = intersection(ellipsoid([12, 8, 6], [25, 37, 20]), halfSpace([0, 0, 0], [-1, 0, 0]));
  const hemisphere = (left: boolean): Shape => {
    const half = without(intersection(hull, falxGap, 4), sylvian);
    return folded(left ? half : mirrored(half), {
      centre: [left ? 26 : -26, 17, 8],
      radiiMm: [40, 78, 52],
      folds,
      bends,
      depthMm: sulcusMm,
      openMm,
      core: left ? core : mirrored(core),
    });
  };
  const cerebellumWaves = { folds: FOLIA, bends, depthMm: 6.5, openMm: 0.35 };
  const cerebellumHalf = intersection(
    union([ellipsoid([23, 60, -35], [25, 28, 21]), ellipsoid([5, 62, -30], [11, 24, 22])], 12),
    halfSpace([0, 0, 0], [-1, 0, 0]),
  );
  const cerebellum = (left: boolean): Shape =>
    folded(left ? cerebellumHalf : mirrored(cerebellumHalf), {
      centre: [left ? 14 : -14, 40, -32],
      radiiMm: [30, 40, 28],
      ...cerebellumWaves,
    });

  const layers: Layer[] = [...headLayers(cranium, { scalpMm, skullMm, waves: randomWaves(random, 5, 30, 70) })];
  const tissue =
    (value: number, waves = bends) =>
    (x: number, y: number, z: number) =>
      value * (1 + 0.015 * waveAt(waves, x, y, z));
  const sides = [
    { left: true, side: 0, sign: 1 },
    { left: false, side: 1, sign: -1 },
  ] as const;
  for (const { left, side } of sides) {
    layers.push({
      shape: cerebellum(left),
      shells: [
        { insetMm: 0, value: tissue(grey * 0.97), label: CODES['cerebellum cortex'][side] },
        { insetMm: 2.6, value: tissue(white * 0.95), label: CODES['cerebellum white matter'][side] },
      ],
    });
  }
  for (const { left, side } of sides) {
    layers.push({
      shape: hemisphere(left),
      shells: [
        { insetMm: 0, value: tissue(grey), label: CODES['cerebral cortex'][side] },
        { insetMm: cortexMm, value: tissue(white), label: CODES['cerebral white matter'][side] },
      ],
    });
    layers.push(solid(left ? core : mirrored(core), tissue(white), CODES['cerebral white matter'][side]));
  }

  // What crosses or lies at the midline.
  const callosum = curvedTube(
    [
      [0, -18, -1],
      [0, -29, 6],
      [0, -24, 17],
      [0, -6, 25],
      [0, 16, 26],
      [0, 33, 20],
      [0, 38, 11],
    ],
    [2.5, 5, 4, 3, 3, 4, 5],
  );
  const wideCallosum: Shape = {
    box: { low: [-16, callosum.box.low[1], callosum.box.low[2]], high: [16, callosum.box.high[1], callosum.box.high[2]] },
    distance: (x, y, z) => Math.max(callosum.distance(0, y, z - 0.008 * x * x), Math.abs(x) - 14),
  };
  const leftOf = halfSpace([0, 0, 0], [-1, 0, 0]);
  for (const { left, side } of sides) {
    const half = intersection(wideCallosum, left ? leftOf : mirrored(leftOf));
    layers.push(solid(half, tissue(white * 1.02), CODES['cerebral white matter'][side]));
  }
  const stem = curvedTube(
    [
      [0, 13, -9],
      [0, 17, -18],
      [0, 20, -30],
      [0, 26, -42],
      [0, 33, -56],
      [0, 44, -84],
      [0, 50, -140],
    ],
    [11.5, 11.5, 13.5, 11, 8, 6.5, 6],
  );
  const peduncles = tube(
    [
      [0, 26, -32],
      [16, 40, -34],
    ],
    [9, 7],
  );
  layers.push(
    solid(
      tube(
        [
          [0, 40, -50],
          [0, 30, -16],
        ],
        [16, 14],
      ),
      CSF,
    ),
  );
  const stemBody = union([stem, peduncles, mirrored(peduncles)], 6);
  layers.push(
    solid(stemBody, tissue(nuclei(0.72))),
    solid(intersection(stemBody, halfSpace([0, 36, -62], [0, 0.3, -1])), tissue(nuclei(0.72)), BRAINSTEM),
  );
  const thirdVentricle = ellipsoid([0, 11, 1], [2.1 * ventricleSize, 14, 9.5]);
  const fourthVentricle = union(
    [
      ellipsoid([0, 41, -32], [6.5, 4.5, 10].map((r) => r * Math.sqrt(ventricleSize)) as unknown as Xyz),
      tube(
        [
          [0, 28, -11],
          [0, 40, -26],
        ],
        [1.4, 2],
      ),
    ],
    3,
  );

  const landmarks: NamedPoint[] = [
    { name: 'anterior commissure', at: [0, 0, 0] },
    { name: 'posterior commissure', at: [0, 26, 0] },
    { name: 'genu of the corpus callosum', at: [0, -29, 6] },
    { name: 'splenium of the corpus callosum', at: [0, 36, 15] },
    { name: 'pons centre', at: [0, 19, -29] },
    { name: 'fourth ventricle centre', at: [0, 41, -32] },
  ];
  const sizes: Record<string, number[]> = {};
  for (const { side, sign } of sides) {
    const paired = pairedNuclei(random, ventricleSize, nuclei);
    const onSide = (shape: Shape): Shape => (sign === 1 ? shape : mirrored(shape));
    for (const { name, shape, value } of paired.structures)
      layers.push(solid(onSide(shape), typeof value === 'number' ? tissue(value) : value, CODES[name][side]));
    for (const { name, at } of paired.points)
      landmarks.push({ name: `${sign === 1 ? 'left' : 'right'} ${name}`, at: [sign * at[0], at[1], at[2]] });
    for (const [name, size] of Object.entries(paired.sizes)) sizes[name] = [...(sizes[name] ?? []), rounded(size)];
  }
  layers.push(
    solid(thirdVentricle, CSF, THIRD_VENTRICLE),
    solid(
      tube(
        [
          [-6, 0, 0],
          [6, 0, 0],
        ],
        [1.6, 1.6],
      ),
      white,
    ),
    solid(
      tube(
        [
          [-5, 26, 0],
          [5, 26, 0],
        ],
        [1.6, 1.6],
      ),
      white,
    ),
  );
  layers.push(solid(ellipsoid([0, 13, 1], [3, 3, 3]), nuclei(0.4)));
  layers.push(solid(fourthVentricle, CSF, FOURTH_VENTRICLE));

  return {
    layers,
    landmarks,
    field: [...landmarks.map(({ at }) => at), ...extremes(cranium)],
    facts: {
      greyMatter: rounded(grey),
      whiteMatter: rounded(white),
      ventricleSize: rounded(ventricleSize),
      cortexMm: rounded(cortexMm),
      sulcusHalfWidthMm: rounded(openMm),
      sulcusDepthMm: rounded(sulcusMm),
      scalpMm: rounded(scalpMm),
      skullMm: rounded(skullMm),
      ...sizes,
    },
  };
}

/** The outermost points of the skull's inside along the axes; the neck is left out. */
function extremes({ distance }: Shape): Xyz[] {
  const middle: Xyz = [0, 17, 8];
  const rays: readonly Xyz[] = [
    [1, 0, 0],
    [-1, 0, 0],
    [0, 1, 0],
    [0, -1, 0],
    [0, 0, 1],
  ];
  return rays.map(([x, y, z]) => {
    let reach = 20;
    while (distance(middle[0] + reach * x, middle[1] + reach * y, middle[2] + reach * z) < 0) reach += 1;
    return [middle[0] + reach * x, middle[1] + reach * y, middle[2] + reach * z];
  });
}

interface Paired {
  readonly structures: readonly { name: keyof typeof CODES; shape: Shape; value: number }[];
  readonly points: readonly NamedPoint[];
  readonly sizes: Readonly<Record<string, number>>;
}

/** One side's ventricle and nuclei (for x > 0), each with its own size, place and tilt. */
function pairedNuclei(random: RandomStream, ventricleSize: number, nuclei: (share: number) => number): Paired {
  const sizes: Record<string, number> = {};
  /** A structure drawn round `centre`, then varied about it. */
  const varied = (name: string, centre: Xyz, shape: Shape): { shape: Shape; at: (p: Xyz) => Xyz } => {
    const size = about(random, 1, 0.12);
    sizes[`${name.replaceAll(' ', '-')}-size`] = size;
    const turn = (): number => about(random, 0, 4);
    const shift = (): number => about(random, 0, 1.2);
    const frame: Frame = {
      rotation: rotation([turn(), turn(), turn()]),
      scale: [size, size, size],
      origin: [centre[0] + shift(), centre[1] + shift(), centre[2] + shift()],
    };
    const local = (p: Xyz): Xyz => [p[0] - centre[0], p[1] - centre[1], p[2] - centre[2]];
    const toLocal: Frame = { rotation: rotation([0, 0, 0]), scale: [1, 1, 1], origin: [-centre[0], -centre[1], -centre[2]] };
    return { shape: placed(placed(shape, toLocal), frame), at: (p) => place(frame, local(p)) };
  };

  const wide = Math.sqrt(ventricleSize);
  const frontalHorn: Xyz = [11, -27, 8];
  const occipitalHorn: Xyz = [21, 66, 4];
  const temporalHorn: Xyz = [31, -2, -17];
  const ventricle = varied(
    'lateral ventricle',
    [15, 15, 15],
    union(
      [
        curvedTube(
          [frontalHorn, [8.5, -18, 12], [7, -4, 18], [9, 12, 21], [15, 28, 19], [23, 38, 10]],
          [3, 4.4, 3.8, 3.4, 4.2, 5.4].map((r) => r * wide),
        ),
        curvedTube([[23, 38, 10], [25, 52, 6], occipitalHorn], [5 * wide, 3.2 * wide, 1.4]),
        curvedTube([[23, 38, 10], [30, 36, -2], [34, 20, -12], temporalHorn], [5 * wide, 3.2 * wide, 2 * wide, 1.3]),
      ],
      4,
    ),
  );
  const thalamus = varied('thalamus', [12, 18, 7], ellipsoid([12, 18, 7], [9.5, 15, 9.5]));
  const caudate = varied(
    'caudate',
    [14, -6, 11],
    curvedTube(
      [
        [12.5, -18, 2],
        [13.5, -14, 9],
        [14.5, -2, 15],
        [18, 12, 19],
        [22, 24, 17],
      ],
      [5.2, 6, 4.6, 3, 2],
    ),
  );
  const putamen = varied('putamen', [26, 0, 1], ellipsoid([26, 0, 1], [5.6, 16, 10.5]));
  const pallidum = varied('pallidum', [19.5, 4, -1], ellipsoid([19.5, 4, -1], [4.2, 9.5, 6.8]));
  const hippocampus = varied(
    'hippocampus',
    [27, 18, -17],
    curvedTube(
      [
        [24, 6, -20],
        [28, 14, -19],
        [29, 24, -14],
        [25, 34, -5],
        [20, 37, 2],
      ],
      [6, 5.4, 4.4, 3.6, 2.6],
    ),
  );
  const amygdala = varied('amygdala', [23, 0, -19], ellipsoid([23, -1, -19], [8, 7.5, 8]));
  return {
    structures: [
      { name: 'lateral ventricle', shape: ventricle.shape, value: CSF },
      { name: 'thalamus', shape: thalamus.shape, value: nuclei(0.45) },
      { name: 'caudate', shape: caudate.shape, value: nuclei(0.12) },
      { name: 'putamen', shape: putamen.shape, value: nuclei(0.18) },
      { name: 'pallidum', shape: pallidum.shape, value: nuclei(0.68) },
      { name: 'hippocampus', shape: hippocampus.shape, value: nuclei(0.02) },
      { name: 'amygdala', shape: amygdala.shape, value: nuclei(0.04) },
    ],
    points: [
      { name: 'frontal horn', at: ventricle.at(frontalHorn) },
      { name: 'atrium of the lateral ventricle', at: ventricle.at([23, 38, 10]) },
      { name: 'thalamus centre', at: thalamus.at([12, 18, 7]) },
      { name: 'caudate head', at: caudate.at([13.5, -14, 9]) },
      { name: 'putamen centre', at: putamen.at([26, 0, 1]) },
      { name: 'hippocampus head', at: hippocampus.at([25, 8, -20]) },
      { name: 'eye centre', at: EYE },
    ],
    sizes,
  };
}

const EYE: Xyz = [31, -61, -27];

/** Everything outside the brain: scalp, face, skull with its marrow, sinuses, eyes, and the fluid round the brain. */
function headLayers(
  cranium: Shape,
  { scalpMm, skullMm, waves }: { scalpMm: number; skullMm: number; waves: Float64Array },
): Layer[] {
  const outer = skullMm + scalpMm + 2;
  const face = union([ellipsoid([0, -38, -52], [60, 50, 54]), ellipsoid([0, -50, -84], [44, 40, 36])], 24);
  const nose = tube(
    [
      [0, -86, -36],
      [0, -102, -60],
    ],
    [6, 11],
  );
  const neck = curvedTube(
    [
      [0, 24, -60],
      [0, 26, -100],
      [0, 26, -170],
    ],
    [54, 52, 56],
  );
  const head = union([offset(cranium, outer), face, neck, nose], 26);
  const ears = tube(
    [
      [78, 22, -30],
      [82, 30, -12],
    ],
    [5, 9],
  );
  const bothSides = (shape: Shape): Shape => union([shape, mirrored(shape)]);
  const airways = union(
    [
      ellipsoid([7, -52, -52], [5, 26, 16]),
      ellipsoid([0, -18, -34], [10, 9, 7]),
      ellipsoid([27, -50, -55], [12, 14, 15]),
      ellipsoid([8, -78, -14], [8, 5, 8]),
      curvedTube(
        [
          [0, -18, -56],
          [0, -8, -78],
          [0, -6, -140],
        ],
        [7, 7, 9],
      ),
    ],
    3,
  );
  const muscleText = (x: number, y: number, z: number): number =>
    0.36 + 0.14 * Math.max(0, 1 - 4 * Math.abs(waveAt(waves, 2 * x, 2 * y, 2 * z)));
  return [
    {
      shape: union([head, bothSides(ears)], 6),
      shells: [
        { insetMm: 0, value: 0.5 },
        { insetMm: 1.8, value: 0.98 },
        { insetMm: 1.8 + 0.6 * scalpMm, value: muscleText },
      ],
    },
    solid(bothSides(airways), 0.02),
    solid(bothSides(tube([EYE, [20, -28, -26]], [17, 8])), 0.9),
    solid(bothSides(tube([EYE, [14, -22, -24]], [3, 2.4])), 0.55),
    ...[1, -1].flatMap((side) => {
      const ball = ellipsoid([side * EYE[0], EYE[1], EYE[2]], [12, 12.5, 12]);
      return [
        {
          shape: ball,
          shells: [
            { insetMm: 0, value: 0.45 },
            { insetMm: 1.2, value: 0.16 },
          ],
        },
        solid(ellipsoid([side * EYE[0], EYE[1] - 9, EYE[2]], [5, 2.4, 5]), 0.4),
      ];
    }),
    {
      shape: rough(offset(cranium, 2.5 + skullMm), waves, 0.5),
      shells: [
        { insetMm: 0, value: 0.06 },
        { insetMm: 1.7, value: 0.5 },
        { insetMm: skullMm - 1.7, value: 0.06 },
        { insetMm: skullMm, value: CSF },
      ],
    },
    // The bone between the temporal lobes and before the brainstem.
    {
      shape: union(
        [
          ellipsoid([0, -15, -29], [19, 22, 10]),
          tube(
            [
              [0, -4, -26],
              [0, 12, -58],
            ],
            [6.5, 6],
          ),
        ],
        8,
      ),
      shells: [
        { insetMm: 0, value: 0.08 },
        { insetMm: 1.5, value: 0.52 },
      ],
    },
    solid(ellipsoid([0, -22, -31], [9, 9, 6]), 0.02),
  ];
}

/** The folds that everybody shares: fixed numbers, not of any seed. */
const FOLDS = randomWaves(fixedStream('folds'), 9, 24, 36);
/** Folia run from side to side: their waves hardly change along x. */
const FOLIA = randomWaves(fixedStream('folia'), 8, 8, 11).map((k, i) => (i % 4 === 0 ? 0.25 * k : k));

function fixedStream(name: string): RandomStream {
  return randomStream(0, 'phantom', 'brain', name);
}

/** Multiplies by a coil's slow bias, scales arbitrarily, and takes the magnitude of a signal with noise in both channels (Rician). */
export function finishMr(
  random: RandomStream,
  image: Float32Array,
  grid: Geometry,
): { data: Int16Array; facts: Record<string, number> } {
  const intensityScale = 10 ** random.uniform(2.4, 3.4);
  const noiseShare = random.uniform(0.012, 0.035);
  const biasShare = random.uniform(0.04, 0.14);
  const grainMm = random.uniform(0.4, 0.7);
  const bias = randomWaves(random, 4, 220, 420);
  // The noise of the second channel is that of the first from half a volume away: as good as independent.
  const noise = grainyNoise(random, grid, grainMm);
  const away = noise.length >> 1;
  const data = new Int16Array(voxelCount(grid.size));
  const [nx, ny, nz] = grid.size;
  const step = subtract(voxelPosition(grid, [1, 0, 0]), grid.originMm);
  for (let z = 0, i = 0; z < nz; z++) {
    for (let y = 0; y < ny; y++) {
      const row = voxelPosition(grid, [0, y, z]);
      for (let x = 0; x < nx; x++, i++) {
        const signal =
          image[i] * (1 + biasShare * waveAt(bias, row[0] + x * step[0], row[1] + x * step[1], row[2] + x * step[2]));
        data[i] = Math.round(
          intensityScale * Math.hypot(signal + noiseShare * noise[i], noiseShare * noise[(i + away) % noise.length]),
        );
      }
    }
  }
  return {
    data,
    facts: {
      intensityScale: rounded(intensityScale),
      noiseShare: rounded(noiseShare),
      biasShare: rounded(biasShare),
      noiseGrainMm: rounded(grainMm),
    },
  };
}
