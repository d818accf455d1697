/** A made-up run folder for the report's tests: curves that fall, pairs with landmarks, labels and pictures, and parts left out on demand. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { PANELS, pairPicture } from '../../images/pictures/pair-picture.ts';
import { encodePng } from '../../images/pictures/png.ts';

export interface FakeRun {
  /** Logged every ten; 0 has only the evaluation before training. */
  readonly steps?: number;
  readonly pairs?: number;
  readonly landmarks?: boolean;
  readonly labels?: boolean;
  readonly affine?: boolean;
  readonly evaluations?: boolean;
  /** Put into names, to see that they are escaped. */
  readonly name?: string;
  readonly cohortFolder?: string;
}

/** A number from 0 to 1 that looks random and is not. */
const wobble = (k: number): number => Math.abs(Math.sin(12.9898 * (k + 1)) * 43758.5453) % 1;
const LANDMARKS = ['mitral_valve', 'aortic_valve', 'apex', 'crux', 'left_atrial_appendage', 'pulmonary_bifurcation'];
const CODES = [205, 420, 500, 550, 600, 820, 850];

/** Two balls, the moving one beside the other; half-way after the match. */
function picture(): Uint8Array {
  const size = [20, 36, 36] as const;
  const ball = (shift: number): Float32Array =>
    Float32Array.from({ length: 20 * 36 * 36 }, (_, at) => {
      const [z, y, x] = [Math.floor(at / 1296), Math.floor(at / 36) % 36, at % 36];
      return Math.hypot(z - 10, y - 18, x - 18 - shift) < 7 ? 0.8 : 0.15 + 0.1 * wobble(at);
    });
  const [moving, fixed, warped] = [ball(5), ball(0), ball(2)];
  const labels = Object.fromEntries(
    Object.entries({ moving, fixed, warped }).map(([name, image]) => [name, Uint8Array.from(image, (v) => (v > 0.5 ? 1 : 0))]),
  );
  const displacement = Float32Array.from({ length: 3 * 20 * 36 * 36 }, (_, at) =>
    at >= 2 * 20 * 1296 ? 3 * Math.exp(-((((at % 1296) / 36 - 18) / 8) ** 2 + (((at % 36) - 18) / 8) ** 2)) : 0,
  );
  return encodePng(pairPicture({ size, moving, fixed, warped, displacement, labels }, PANELS));
}

/** Writes the folder. The figures after matching are 0.6 of those before (errors), so that tests can compute them. */
export function writeFakeRun(folder: string, options: FakeRun = {}): void {
  const { steps = 600, pairs = 3, landmarks = true, labels = true, affine = true, evaluations = true, name = '' } = options;
  mkdirSync(join(folder, 'pictures'), { recursive: true });
  const stage = (before: number, share: number): object => ({
    before,
    affine: affine ? before * (1 - share / 3) : null,
    after: before * (1 - share),
  });
  const lines: object[] = [];
  const evaluation = (step: number): void => {
    const progress = step / Math.max(steps, 1);
    lines.push({
      kind: 'evaluation',
      step,
      pairs,
      ncc: stage(0.25, -progress),
      foldedShare: { affine: affine ? 0 : null, after: 0.0042 * progress },
      landmarkErrorMm: landmarks ? stage(12.5, 0.4 * progress) : null,
      labelDice: labels ? stage(0.5, -0.4 * progress) : null,
    });
  };
  for (let step = 0; step <= steps; step += 10) {
    const fall = Math.exp(-step / 250);
    if (step > 0) {
      lines.push({
        kind: 'step',
        step,
        loss: {
          total: 0.5 + 0.45 * fall + 0.08 * wobble(step),
          ncc: 0.45 + 0.4 * fall + 0.08 * wobble(step),
          smooth: 0.02 * (1 - fall),
          mse: step === 100 ? null : 0.05 * fall + 0.01 * wobble(step + 1),
        },
        gradientNorm: {
          backbone: 0.5 * fall + 0.2 * wobble(step + 2),
          ...(affine ? { affine: 0.05 + 0.05 * wobble(step + 3) } : {}),
          deformable: 0.3 + 0.1 * wobble(step + 4),
          restoration: 0.02 + 0.02 * wobble(step + 5),
        },
        learningRate: 1e-3,
        stepSeconds: 0.42,
        waitShare: 0.013,
        ...(step === 50 ? { skipped: true } : {}),
      });
    }
    if (evaluations && step % 100 === 0) evaluation(step);
  }
  writeFileSync(join(folder, 'metrics.jsonl'), `${lines.map((line) => JSON.stringify(line)).join('\n')}\n{"kind":"step","st`);
  writeFileSync(
    join(folder, 'run.json'),
    JSON.stringify({
      cohort: {
        folder: options.cohortFolder ?? `cohort${name}`,
        subjects: 24,
        training: 20,
        heldOut: 4,
        modality: 'ct',
        spacingMm: [4, 4, 4],
      },
      configuration: {
        seed: 7,
        steps,
        batch: 2,
        learningRate: 1e-3,
        model: { width: 0.25, heads: { affine, matching: true, restoration: true } },
        data: { patch: [32, 48, 48] },
      },
      parameters: 2032211,
      machine: { node: 'v20.19.1', backend: 'WebAssembly, relaxed SIMD, 2 threads', cpu: 'Some processor' },
    }),
  );
  if (!evaluations) return;
  const png = picture();
  const share = steps > 0 ? 0.4 : 0;
  const list = Array.from({ length: pairs }, (_, k) => {
    const path = `pictures/step-${String(steps).padStart(6, '0')}-pair-${k}.png`;
    writeFileSync(join(folder, path), png);
    return {
      moving: `heart_${String(k).padStart(3, '0')}${name}`,
      fixed: `heart_${String(k + 10).padStart(3, '0')}`,
      ncc: stage(0.2 + 0.02 * k, -share),
      foldedShare: { affine: affine ? 0 : null, after: 0.002 * k },
      landmarksMm: landmarks
        ? LANDMARKS.map((label, i) => ({ name: `${label}${name}`, ...stage(6 + 2.2 * i + k, i === 2 ? -0.05 : share) }))
        : null,
      labels: labels ? CODES.map((label, i) => ({ label, ...stage(0.3 + 0.06 * i, -share) })) : null,
      picture: path,
    };
  });
  writeFileSync(join(folder, 'evaluation.json'), JSON.stringify({ step: steps, pairs: list }));
}
