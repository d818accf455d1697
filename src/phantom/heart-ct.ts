/** A cardiac CT with contrast medium: the heart in its chest, the contrast phase, and how such scans are acquired. */

import type { RandomStream } from '../common/random.ts';
import type { Geometry, Xyz } from '../geometry/volume.ts';
import { type Anatomy, about, rounded } from './anatomy.ts';
import { createHeart, type HeartContrast } from './heart.ts';
import type { PatientVariation } from './patient-map.ts';
import { grainyNoise, type ScanProtocol } from './scan.ts';
import { createThorax } from './thorax.ts';

export const HEART_VARIATION: PatientVariation = {
  rotationDegrees: 9,
  translationMm: 25,
  size: 0.1,
  displacementMm: 5,
  wavelengthMm: [140, 260],
};

export const HEART_PROTOCOL: ScanProtocol = {
  inPlaneMm: [1, 1.7],
  sliceMm: [1.5, 2.6],
  extentMm: [
    [180, 215],
    [180, 215],
    [125, 155],
  ],
  marginMm: 9,
  offCentreMm: 12,
};

/** Where the heart's crux lies in the chest. */
const HEART_AT: Xyz = [6, 2, 0];

/** Draws the contrast phase: when the bolus is where decides how bright each blood pool is. */
function drawContrast(random: RandomStream): HeartContrast {
  const left = about(random, 350, 95);
  // From a washed-out right heart to one as bright as the left.
  const right = random.uniform(110, 390);
  return {
    leftHeart: left * about(random, 0.97, 0.04),
    leftAtrium: left * about(random, 0.98, 0.05),
    aorta: left,
    rightVentricle: right,
    rightAtrium: right * about(random, 1, 0.12),
    pulmonaryArtery: 0.5 * right + 0.5 * left * about(random, 0.85, 0.15),
    superiorCava: right * about(random, 1.25, 0.25),
    inferiorCava: about(random, 110, 20),
    myocardium: about(random, 108, 20),
  };
}

/** Draws a patient's chest. */
export function createHeartCt(random: RandomStream, pose: number): Anatomy {
  const contrast = drawContrast(random);
  const heart = createHeart(random, HEART_AT, contrast, pose);
  const hu = {
    aorta: contrast.aorta * 0.98,
    lungVessels: (contrast.pulmonaryArtery + contrast.leftAtrium) / 2,
    liver: about(random, 75, 18),
    spleen: about(random, 105, 20),
  };
  const thorax = createThorax(random, HEART_AT, hu);
  const recorded = Object.fromEntries(Object.entries(contrast).map(([name, value]) => [`${name}Hu`, rounded(value)]));
  const landmarks = [...heart.landmarks, ...thorax.landmarks];
  return {
    layers: [...thorax.behindHeart, ...heart.layers, ...thorax.overHeart],
    landmarks,
    field: landmarks.map(({ at }) => at),
    facts: { ...recorded, ...heart.facts, ...thorax.facts },
  };
}

/** Adds a reconstruction kernel's noise and stores Hounsfield units as a scanner does: whole numbers from -1024. */
export function finishCt(
  random: RandomStream,
  image: Float32Array,
  grid: Geometry,
): { data: Int16Array; facts: Record<string, number> } {
  const noiseHu = random.uniform(10, 32);
  const grainMm = random.uniform(0.6, 1.1);
  const noise = grainyNoise(random, grid, grainMm);
  const data = new Int16Array(image.length);
  for (let i = 0; i < data.length; i++) data[i] = Math.max(-1024, Math.round(image[i] + noiseHu * noise[i]));
  return { data, facts: { noiseHu: rounded(noiseHu), noiseGrainMm: rounded(grainMm) } };
}
