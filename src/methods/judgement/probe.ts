/**
 * What a network knows of labels that it was not trained with: a linear classifier is fitted on its features of some labelled training subjects, and
 * scored on held-out subjects. Features are frozen; nothing of the network changes.
 *
 * Label maps: multinomial logistic regression voxel by voxel on the local feature, or, without a decoder, on the encoder's levels brought to full
 * size. It is fitted on as many voxels of each structure, and its biases are then moved towards the structures' true shares (King and Zeng, Political
 * Analysis 9, 2001), as far as serves Dice best on the fitted voxels: all the way, nothing rare is ever the most probable; not at all, it is found everywhere. Classes of whole images: the same on f^g averaged over the image, and nearest neighbours
 * beside it.
 *
 * Subjects of the split 'test' are left out: their labels choose nothing.
 */
import type { Subject } from '../../cohort/cohort.ts';
import type { CohortReader, LabelArray } from '../../cohort/reader.ts';
import { type RandomStream, randomStream } from '../../common/random.ts';
import type { Session } from '../../engine/backend.ts';
import { perAxis, toZyx, voxelCount, type Zyx } from '../../geometry/volume.ts';
import { labelOverlap } from '../../metrics/label-overlap.ts';
import { pointsOf, rowOf } from '../../metrics/points.ts';
import { fitLinearProbe, linearProbeScore } from '../../metrics/probe/linear-probe.ts';
import { type LabelledPoints, nearestNeighbourScore } from '../../metrics/probe/nearest-neighbour.ts';
import { type Architecture, hasDecoder } from '../../model/architecture.ts';
import { paddingOf } from '../../model/unet.ts';
import { classify, type FeatureLevel, featuresAt, type LinearClassifier } from './dense-features.ts';
import { middleWindows, type Windows } from './windows.ts';

/** What a probe found. */
export type ProbeScore = {
  /** Subjects that it was fitted on, and scored on. */
  readonly fittedOn: number;
  readonly subjects: number;
} & (
  | {
      readonly kind: 'segmentation';
      /** Mean over subjects of the mean over their labels. */
      readonly dice: number;
      /** Mean over the subjects that have it. */
      readonly dicePerLabel: readonly { readonly label: number; readonly dice: number }[];
    }
  | {
      readonly kind: 'classification';
      readonly classes: readonly string[];
      readonly accuracy: number;
      readonly balancedAccuracy: number;
      /** Null where the held-out subjects are all of one class. */
      readonly auc: number | null;
      /** Balanced accuracy of the five nearest neighbours' vote. */
      readonly nearestNeighbours: number;
    }
);

/** What is probed, and on whom. */
export interface ProbeRequest {
  readonly architecture: Architecture;
  readonly patch: Zyx;
  readonly training: readonly Subject[];
  readonly heldOut: readonly Subject[];
  readonly reader: CohortReader;
  /** The most subjects that it is fitted on, and scored on. */
  readonly most: number;
  /** Names which, and which of their voxels. */
  readonly seed: number;
  /** Where it looks; default `middleWindows`. */
  readonly windows?: (size: Zyx, patch: Zyx) => Windows;
}

/** The windows of a subject that a probe looks at. */
const windowsIn = ({ windows = middleWindows, patch }: ProbeRequest, { geometry }: Subject): Windows =>
  windows(toZyx(geometry.size), patch);

/** Voxels that a probe is fitted on, over all subjects and labels: more change little and take long. */
const FITTED_VOXELS = 4096;
/** A probe is a measure, not a model: the third digit of its score needs no more. */
const TOLERANCE = 1e-3;

/** How many ways between the shares that were fitted and the true ones are tried. */
const PRIOR_STEPS = 10;

const meanOf = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length;

/** The lower the better. */
export function probeLoss(score: ProbeScore): number {
  if (score.kind === 'segmentation') return 1 - score.dice;
  // few subjects give few values of the area: accuracy between equal ones
  return 1 - (score.auc ?? score.balancedAccuracy) + 1e-3 * (1 - score.balancedAccuracy);
}

/** A probe in words. */
export function describeProbe(score: ProbeScore): string {
  const on = `on ${score.subjects} held-out subjects`;
  if (score.kind === 'segmentation') return `linear probe: Dice ${score.dice.toFixed(3)} ${on}`;
  const auc = score.auc === null ? '' : `AUC ${score.auc.toFixed(3)}, `;
  return `linear probe: ${auc}balanced accuracy ${score.balancedAccuracy.toFixed(3)} (nearest neighbours ${score.nearestNeighbours.toFixed(3)}) ${on}`;
}

/** At most `most` subjects, the same ones each time, in their order. */
function choose(subjects: readonly Subject[], most: number, stream: RandomStream): readonly Subject[] {
  const chosen = new Set(stream.permutation(subjects.length).subarray(0, most));
  return subjects.filter((_, i) => chosen.has(i));
}

const hasLabels = ({ labelCodes }: Subject): boolean => labelCodes?.some((code) => code !== 0) ?? false;

/** What the network makes of a window. */
async function featuresOf(
  session: Session,
  { reader, architecture, patch }: ProbeRequest,
  subject: Subject,
  start: Zyx,
): Promise<FeatureLevel[]> {
  const image = await reader.readCrop(subject, start, patch);
  const { widths, heads } = architecture;
  if (hasDecoder(heads)) {
    const { local } = await session.run('features', { image }, ['local']);
    return [{ channels: widths[8], size: patch, data: local, scale: 1, before: [0, 0, 0] }];
  }
  const names = [0, 1, 2, 3, 4].map((level) => `level${level}`);
  const outputs = await session.run('features', { image }, names);
  const { before, after } = paddingOf(patch);
  return names.map((name, level) => ({
    channels: widths[level],
    size: perAxis(patch, (side, axis) => (side + before[axis] + after[axis]) >> level),
    data: outputs[name],
    scale: 2 ** level,
    before: [before[0], before[1], before[2]],
  }));
}

/** Up to `quotaOf` voxels of each label, each equally likely, in the order of the map; and how many there are of each. */
function sampleVoxels(labels: LabelArray, quotaOf: (code: number) => number, stream: RandomStream) {
  const counts = new Map<number, number>();
  for (const code of labels) counts.set(code, (counts.get(code) ?? 0) + 1);
  const wanted = new Map<number, ReadonlySet<number>>();
  for (const [code, count] of [...counts].sort(([a], [b]) => a - b)) {
    const places = new Set<number>();
    while (places.size < Math.min(quotaOf(code), count)) places.add(stream.integer(0, count));
    wanted.set(code, places);
  }
  const seen = new Map<number, number>();
  const voxels: { readonly index: number; readonly code: number }[] = [];
  labels.forEach((code, index) => {
    const place = seen.get(code) ?? 0;
    seen.set(code, place + 1);
    if (wanted.get(code)!.has(place)) voxels.push({ index, code });
  });
  return { counts, voxels };
}

/** The classifier of standardised features, on the features as they are, with biases for the true shares of the classes. */
async function fitDense(session: Session, request: ProbeRequest, subjects: readonly Subject[], codes: readonly number[]) {
  const rows: Float64Array[] = [];
  const classes: number[] = [];
  const counts = codes.map(() => 0);
  // half of them are background, which is most of any volume and has the most to be told from
  const quotaOf = (code: number): number =>
    Math.max(4, Math.floor(FITTED_VOXELS / 2 / subjects.length / (code === 0 ? 1 : Math.max(1, codes.length - 1))));
  for (const [i, subject] of subjects.entries()) {
    const { starts, region } = windowsIn(request, subject);
    const labels = (await request.reader.readLabelCrop(subject, region.start, region.size))!;
    const { counts: found, voxels } = sampleVoxels(labels, quotaOf, randomStream(request.seed, 'probe', 'voxels', i));
    codes.forEach((code, c) => {
      counts[c] += found.get(code) ?? 0;
    });
    const [, height, width] = region.size;
    let left = voxels.map(({ index, code }) => ({
      at: [Math.floor(index / (height * width)), Math.floor(index / width) % height, index % width] as const,
      code,
    }));
    for (const start of starts) {
      const inWindow = ({ at }: (typeof left)[number]): Zyx =>
        perAxis(at, (position, axis) => position + region.start[axis] - start[axis]);
      const isInside = (voxel: (typeof left)[number]): boolean =>
        inWindow(voxel).every((position, axis) => position >= 0 && position < request.patch[axis]);
      const inside = left.filter(isInside);
      if (inside.length === 0) continue;
      left = left.filter((voxel) => !isInside(voxel));
      rows.push(...featuresAt(await featuresOf(session, request, subject, start), request.patch, inside.map(inWindow)));
      classes.push(...inside.map(({ code }) => codes.indexOf(code)));
    }
  }
  return classifierOf({ points: pointsOf(rows), classes }, counts);
}

/** Mean Dice over the structures of what is predicted of some voxels, each standing for `weights[truth]` of its class. Class 0 is the background. */
function weightedDice(predicted: readonly number[], truth: readonly number[], weights: readonly number[]): number {
  const [both, either] = [weights.map(() => 0), weights.map(() => 0)];
  predicted.forEach((k, i) => {
    const weight = weights[truth[i]];
    either[k] += weight;
    either[truth[i]] += weight;
    if (k === truth[i]) both[k] += weight;
  });
  return meanOf(both.slice(1).map((overlap, k) => (either[k + 1] === 0 ? 0 : (2 * overlap) / either[k + 1])));
}

/** @param counts voxels of each class that there are, of which `labelled` has some */
function classifierOf(labelled: LabelledPoints, counts: readonly number[]): LinearClassifier {
  const probe = fitLinearProbe(labelled, { tolerance: TOLERANCE }, counts.length);
  const { classes, dimensions, mean, deviation } = probe;
  const weights = probe.weights.map((weight, at) => weight / deviation[at % dimensions]);
  const biases = probe.biases.map((bias, k) => {
    let shifted = bias;
    for (let j = 0; j < dimensions; j++) shifted -= weights[k * dimensions + j] * mean[j];
    return shifted;
  });
  const { points, classes: truth } = labelled;
  const logits = Array.from({ length: points.count }, (_, i) => {
    const row = rowOf(points, i);
    return biases.map((bias, k) => {
      let sum = bias;
      for (let j = 0; j < dimensions; j++) sum += weights[k * dimensions + j] * row[j];
      return sum;
    });
  });
  const total = counts.reduce((sum, count) => sum + count, 0);
  const fitted = counts.map((_, k) => truth.filter((one) => one === k).length);
  const standsFor = counts.map((count, k) => count / fitted[k]);
  let best = { dice: -1, shifts: counts.map(() => 0) };
  for (let step = 0; step <= PRIOR_STEPS; step++) {
    const shifts = counts.map((count, k) => (step / PRIOR_STEPS) * Math.log(count / total) - Math.log(fitted[k] / truth.length));
    const predicted = logits.map((row) => {
      const moved = row.map((logit, k) => logit + shifts[k]);
      return moved.indexOf(Math.max(...moved));
    });
    const dice = weightedDice(predicted, truth, standsFor);
    if (dice > best.dice) best = { dice, shifts };
  }
  return { classes, weights, biases: biases.map((bias, k) => bias + best.shifts[k]) };
}

/** Dice of each label of a held-out subject. */
async function scoreDense(
  session: Session,
  request: ProbeRequest,
  subject: Subject,
  codes: readonly number[],
  classifier: LinearClassifier,
) {
  const { starts, region } = windowsIn(request, subject);
  const truth = (await request.reader.readLabelCrop(subject, region.start, region.size))!;
  const predicted = new Int32Array(voxelCount(region.size));
  const [depth, height, width] = region.size;
  for (const start of starts) {
    const [shiftZ, shiftY, shiftX] = perAxis(start, (from, axis) => from - region.start[axis]);
    const [low, high] = [Math.max(0, shiftX), Math.min(width, shiftX + request.patch[2])];
    classify(await featuresOf(session, request, subject, start), request.patch, classifier, (z, y, row) => {
      const [atZ, atY] = [z + shiftZ, y + shiftY];
      if (atZ < 0 || atZ >= depth || atY < 0 || atY >= height) return;
      for (let x = low; x < high; x++) predicted[(atZ * height + atY) * width + x] = codes[row[x - shiftX]];
    });
  }
  return labelOverlap(predicted, truth, codes).labels;
}

/**
 * Fits a probe of label maps on all training subjects, and scores each held-out one: Dice by label, without those that prediction and truth lack.
 * Null where the training subjects have fewer than two of the codes.
 */
export async function probeEachSubject(
  session: Session,
  request: ProbeRequest,
  codes: readonly number[],
): Promise<(readonly { readonly label: number; readonly dice: number }[])[] | null> {
  const { training, heldOut } = request;
  const present = await codesInWindows(request, training, codes);
  if (present.length < 2) return null;
  const classifier = await fitDense(session, request, training, present);
  const scores: (readonly { readonly label: number; readonly dice: number }[])[] = [];
  for (const subject of heldOut) scores.push(await scoreDense(session, request, subject, present, classifier));
  return scores;
}

async function probeLabels(
  session: Session,
  request: ProbeRequest,
  fitted: readonly Subject[],
  scored: readonly Subject[],
): Promise<ProbeScore | null> {
  const codes = [...new Set([0, ...fitted.flatMap(({ labelCodes }) => labelCodes!)])].sort((a, b) => a - b);
  const found = await probeEachSubject(session, { ...request, training: fitted, heldOut: scored }, codes);
  if (!found) return null;
  const dice = new Map<number, number[]>();
  const perSubject: number[] = [];
  for (const labels of found) {
    for (const { label, dice: value } of labels) dice.set(label, [...(dice.get(label) ?? []), value]);
    if (labels.length > 0) perSubject.push(meanOf(labels.map(({ dice: value }) => value)));
  }
  if (perSubject.length === 0) return null;
  return {
    kind: 'segmentation',
    fittedOn: fitted.length,
    subjects: perSubject.length,
    dice: meanOf(perSubject),
    dicePerLabel: [...dice].sort(([a], [b]) => a - b).map(([label, values]) => ({ label, dice: meanOf(values) })),
  };
}

/** Which of the labels lie where the probe looks. */
async function codesInWindows(request: ProbeRequest, subjects: readonly Subject[], codes: readonly number[]) {
  const found = new Set<number>();
  for (const subject of subjects) {
    const { region } = windowsIn(request, subject);
    for (const code of (await request.reader.readLabelCrop(subject, region.start, region.size))!) found.add(code);
  }
  return codes.filter((code) => found.has(code));
}

/** f^g averaged over a subject's windows, as points. */
async function pooledPoints(
  session: Session,
  request: ProbeRequest,
  subjects: readonly Subject[],
  classes: readonly string[],
): Promise<LabelledPoints> {
  const rows: Float64Array[] = [];
  for (const subject of subjects) {
    const { starts } = windowsIn(request, subject);
    const sum = new Float64Array(request.architecture.widths[4]);
    for (const start of starts) {
      const image = await request.reader.readCrop(subject, start, request.patch);
      const { pooled } = await session.run('features', { image }, ['pooled']);
      pooled.forEach((value, c) => {
        sum[c] += value / starts.length;
      });
    }
    rows.push(sum);
  }
  return { points: pointsOf(rows), classes: subjects.map((subject) => classes.indexOf(subject.class!)) };
}

async function probeClasses(
  session: Session,
  request: ProbeRequest,
  fitted: readonly Subject[],
  scored: readonly Subject[],
): Promise<ProbeScore> {
  const classes = [...new Set(fitted.map((subject) => subject.class!))].sort();
  const [training, heldOut] = [
    await pooledPoints(session, request, fitted, classes),
    await pooledPoints(session, request, scored, classes),
  ];
  const { accuracy, balancedAccuracy, auc } = linearProbeScore(training, heldOut, { tolerance: TOLERANCE });
  const { balancedAccuracy: nearest } = nearestNeighbourScore(training, heldOut);
  return {
    kind: 'classification',
    fittedOn: fitted.length,
    subjects: scored.length,
    classes,
    // null without cases alone, and there are some
    accuracy: accuracy!,
    balancedAccuracy: balancedAccuracy!,
    auc,
    nearestNeighbours: nearest!,
  };
}

/** Probes the session's state; needs the program's graph `features`. Null where there are no labels to fit and score it on. */
export async function probe(session: Session, request: ProbeRequest): Promise<ProbeScore | null> {
  const [training, heldOut] = [request.training, request.heldOut].map((subjects) =>
    subjects.filter(({ split }) => split === 'train'),
  );
  const select = (of: readonly Subject[], name: string): readonly Subject[] =>
    choose(of, request.most, randomStream(request.seed, 'probe', name));
  const [labelled, judged] = [training.filter(hasLabels), heldOut.filter(hasLabels)];
  if (labelled.length > 0 && judged.length > 0)
    return probeLabels(session, request, select(labelled, 'training'), select(judged, 'heldOut'));
  const classed = select(
    training.filter((subject) => subject.class !== null),
    'training',
  );
  const known = new Set(classed.map((subject) => subject.class));
  const asked = heldOut.filter((subject) => subject.class !== null && known.has(subject.class));
  if (known.size < 2 || asked.length === 0) return null;
  return probeClasses(session, request, classed, select(asked, 'heldOut'));
}
