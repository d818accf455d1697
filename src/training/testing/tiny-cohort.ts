/** A prepared cohort for tests: a few small subjects with a bright ball, its label, and its centre as landmark. */
import { mkdir, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import type { Subject } from '../../cohort/cohort.ts';
import { npyHeader } from '../../cohort/node/npy.ts';
import { imagePath, labelPath } from '../../cohort/node/open-cohort.ts';
import { writeCohort } from '../../cohort/node/write-cohort.ts';
import { toHalves } from '../../common/float16.ts';
import { randomStream } from '../../common/random.ts';
import { IDENTITY_3, type Xyz } from '../../geometry/volume.ts';

const LABEL = 500;

/** Writes `count` subjects of `side`^3 voxels of 2 mm into `folder`. `value` may spoil intensities; a second channel shows the ball dark. */
export async function writeTinyCohort(
  folder: string,
  count = 6,
  side = 18,
  value = (intensity: number): number => intensity,
  channels: 1 | 2 = 1,
): Promise<void> {
  const subjects: Subject[] = [];
  for (let i = 0; i < count; i++) {
    const stream = randomStream(11, 'tinyCohort', i);
    const centre = Array.from({ length: 3 }, () => side / 2 + stream.uniform(-2, 2));
    const image = new Float32Array(side ** 3);
    const labels = new Uint16Array(side ** 3);
    for (let at = 0; at < image.length; at++) {
      const [x, y, z] = [at % side, Math.floor(at / side) % side, Math.floor(at / side ** 2)];
      const distance = Math.hypot(x - centre[0], y - centre[1], z - centre[2]);
      image[at] = value(0.2 + 0.6 / (1 + Math.exp(2 * (distance - 5))) + stream.uniform(0, 0.05));
      labels[at] = distance < 5 ? LABEL : 0;
    }
    const geometry = {
      size: [side, side, side] as Xyz,
      spacingMm: [2, 2, 2] as Xyz,
      originMm: [0, 0, 0] as Xyz,
      direction: IDENTITY_3,
    };
    const subject: Subject = {
      id: `tiny_${i}`,
      source: `tiny_${i}.nii`,
      labelSource: `tiny_${i}_label.nii`,
      sourceGeometry: geometry,
      sourceOrientation: 'LPS',
      content: null,
      patient: null,
      geometry,
      intensity: { kind: 'minmax', low: 0, high: 1 },
      ...(channels === 2 && {
        otherChannels: [{ source: `tiny_${i}_dark.nii`, intensity: { kind: 'minmax', low: 0, high: 1 } }],
      }),
      labelCodes: [0, LABEL],
      class: i % 2 === 0 ? 'healthy' : 'ill',
      landmarks: [{ name: 'centre', positionMm: [2 * centre[0], 2 * centre[1], 2 * centre[2]] }],
      split: 'train',
      problems: [],
    };
    subjects.push(subject);
    const dark = image.map((intensity) => 1 - intensity);
    const all = channels === 1 ? image : Float32Array.of(...image, ...dark);
    const file = (type: '<f2' | '<u2', values: Uint16Array, before: readonly number[] = []): Uint8Array =>
      Buffer.concat([npyHeader(type, [...before, side, side, side]), new Uint8Array(values.buffer)]);
    for (const [path, bytes] of [
      [imagePath({ folder }, subject), file('<f2', toHalves(all), channels === 1 ? [] : [channels])],
      [labelPath({ folder }, subject), file('<u2', labels)],
    ] as const) {
      await mkdir(dirname(path), { recursive: true });
      await writeFile(path, bytes);
    }
  }
  const named = ['bright', 'dark'].map((name, number) => ({ name, number, scale: 'minmax' as const }));
  const options = {
    modality: 'mr',
    spacingMm: [2, 2, 2],
    size: null,
    crop: 'none',
    intensity: 'minmax',
    ...(channels === 2 && { channels: named }),
  } as const;
  await writeCohort({ folder, options, subjects, problems: [] });
}
