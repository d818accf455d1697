/**
 * Judges a matching network on held-out pairs by anatomy (docs/method.md, section 10): landmark error and label overlap before, after the affine alone, and
 * after both, with the share of folded voxels; and the correlation beside them, which judges nothing by itself.
 */

import { type Subject, toVoxelZyx } from '../../cohort/cohort.ts';
import type { CohortReader, LabelArray } from '../../cohort/reader.ts';
import type { Session } from '../../engine/backend.ts';
import { firstChannel, splitChannels } from '../../geometry/channels.ts';
import { toZyx, type Zyx } from '../../geometry/volume.ts';
import { type MatchedPair, pairPicture } from '../../images/pictures/pair-picture.ts';
import { labelOverlap } from '../../metrics/label-overlap.ts';
import { foldedShare } from '../../metrics/registration/jacobian.ts';
import { targetRegistrationError } from '../../metrics/registration/landmark-error.ts';
import { ncc } from '../../metrics/registration/ncc.ts';
import { warpLabels } from '../../metrics/registration/warp-labels.ts';
import { type EvaluationRecord, type EvaluationRequest, picturePath } from '../method.ts';

/** Pairs that pictures are made of. */
const PICTURED_PAIRS = 3;

/** A measure as it stands, after the affine alone (null without an affine head), and after both. */
export interface Stages {
  readonly before: number;
  readonly affine: number | null;
  readonly after: number;
}

export interface PairEvaluation {
  readonly moving: string;
  readonly fixed: string;
  readonly ncc: Stages;
  readonly foldedShare: { readonly affine: number | null; readonly after: number };
  readonly landmarksMm: readonly ({ readonly name: string } & Stages)[] | null;
  readonly labels: readonly ({ readonly label: number } & Stages)[] | null;
  /** Path of its picture inside the run, if one was made. */
  readonly picture?: string;
}

/** Means over pairs (of each pair's mean over its landmarks or labels). */
export interface Evaluation {
  readonly pairs: number;
  readonly ncc: Stages;
  readonly foldedShare: { readonly affine: number | null; readonly after: number };
  readonly landmarkErrorMm: Stages | null;
  readonly labelDice: Stages | null;
}

/** The crop of a subject that an evaluation looks at: its centre. */
function centralCrop({ geometry }: Subject, patch: Zyx): Zyx {
  const size = toZyx(geometry.size);
  return [Math.floor((size[0] - patch[0]) / 2), Math.floor((size[1] - patch[1]) / 2), Math.floor((size[2] - patch[2]) / 2)];
}

/** Landmarks of a subject inside the crop, in its voxels. */
function landmarksIn({ geometry, landmarks }: Subject, start: Zyx, patch: Zyx): Map<string, Zyx> {
  const inside = new Map<string, Zyx>();
  for (const { name, positionMm } of landmarks) {
    const at = toVoxelZyx(geometry, positionMm);
    const voxel: Zyx = [at[0] - start[0], at[1] - start[1], at[2] - start[2]];
    if (voxel.every((v, axis) => v >= 0 && v <= patch[axis] - 1)) inside.set(name, voxel);
  }
  return inside;
}

const mean = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length;

/** The means of stages; null if there are none. A stage that one lacks (no affine head) is null in the mean. */
export function meanStages(all: readonly Stages[]): Stages | null {
  if (all.length === 0) return null;
  const affine = all.map((each) => each.affine);
  return {
    before: mean(all.map(({ before }) => before)),
    affine: affine.includes(null) ? null : mean(affine as number[]),
    after: mean(all.map(({ after }) => after)),
  };
}

/** Evaluates one pair, with the picture's material. */
async function evaluatePair(
  session: Session,
  reader: CohortReader,
  moving: Subject,
  fixed: Subject,
  patch: Zyx,
): Promise<{ evaluation: PairEvaluation; pair: MatchedPair }> {
  const [movingStart, fixedStart] = [centralCrop(moving, patch), centralCrop(fixed, patch)];
  const images = {
    moving: await reader.readCrop(moving, movingStart, patch),
    fixed: await reader.readCrop(fixed, fixedStart, patch),
  };
  const out = await session.run('match', images);
  const displacement = out.displacement;
  const affineField = out.affineDisplacement ?? null;
  const warped = out.warped;
  const fixedChannels = splitChannels(images.fixed, patch);
  /** The mean over the channels. */
  const alike = (image: Float32Array): number =>
    mean(splitChannels(image, patch).map((channel, c) => ncc(channel, fixedChannels[c], patch)));

  const movingPoints = landmarksIn(moving, movingStart, patch);
  const fixedPoints = landmarksIn(fixed, fixedStart, patch);
  const names = [...fixedPoints.keys()].filter((name) => movingPoints.has(name));
  const errors = (field: Float32Array | null): readonly number[] =>
    targetRegistrationError(
      names.map((name) => fixedPoints.get(name)!),
      names.map((name) => movingPoints.get(name)!),
      field,
      patch,
      fixed.geometry.spacingMm,
    ).distancesMm;
  const [before, affine, after] = [errors(null), affineField && errors(affineField), errors(displacement)];

  const movingLabels = await reader.readLabelCrop(moving, movingStart, patch);
  const fixedLabels = await reader.readLabelCrop(fixed, fixedStart, patch);
  let labels: PairEvaluation['labels'] = null;
  let warpedLabels: LabelArray | undefined;
  if (movingLabels && fixedLabels) {
    const codes = [...new Set([...(moving.labelCodes ?? []), ...(fixed.labelCodes ?? [])])]
      .filter((code) => code !== 0)
      .sort((a, b) => a - b);
    warpedLabels = warpLabels(movingLabels, patch, displacement);
    const dice = (candidate: LabelArray): Map<number, number> =>
      new Map(labelOverlap(candidate, fixedLabels, codes).labels.map(({ label, dice: value }) => [label, value]));
    const stages = [
      dice(movingLabels),
      affineField && dice(warpLabels(movingLabels, patch, affineField)),
      dice(warpedLabels),
    ] as const;
    // a label that is in neither crop has no overlap to speak of, at any stage
    labels = codes
      .filter((code) => stages[0].has(code) || stages[2].has(code))
      .map((label) => ({
        label,
        before: stages[0].get(label) ?? 0,
        affine: stages[1] ? (stages[1].get(label) ?? 0) : null,
        after: stages[2].get(label) ?? 0,
      }));
  }
  return {
    evaluation: {
      moving: moving.id,
      fixed: fixed.id,
      ncc: {
        before: alike(images.moving),
        affine: out.affineWarped ? alike(out.affineWarped) : null,
        after: alike(warped),
      },
      foldedShare: { affine: affineField && foldedShare(affineField, patch), after: foldedShare(displacement, patch) },
      landmarksMm:
        names.length > 0
          ? names.map((name, i) => ({ name, before: before[i], affine: affine ? affine[i] : null, after: after[i] }))
          : null,
      labels,
    },
    pair: {
      spacingMm: toZyx(fixed.geometry.spacingMm),
      size: patch,
      moving: firstChannel(images.moving, patch),
      fixed: fixedChannels[0],
      warped: firstChannel(warped, patch),
      displacement,
      ...(movingLabels && fixedLabels && warpedLabels
        ? { labels: { moving: movingLabels, fixed: fixedLabels, warped: warpedLabels } }
        : {}),
    },
  };
}

/** Means of the pairs' evaluations. */
export function summarize(pairs: readonly PairEvaluation[]): Evaluation {
  const folded = pairs.map((pair) => ({ before: 0, ...pair.foldedShare }));
  const { affine, after } = meanStages(folded)!;
  const perPair = (of: (pair: PairEvaluation) => readonly Stages[] | null): Stages | null =>
    meanStages(pairs.flatMap((pair) => meanStages(of(pair) ?? []) ?? []));
  return {
    pairs: pairs.length,
    ncc: meanStages(pairs.map((pair) => pair.ncc))!,
    foldedShare: { affine, after },
    landmarkErrorMm: perPair(({ landmarksMm }) => landmarksMm),
    labelDice: perPair(({ labels }) => labels),
  };
}

/** What `best` is chosen by, the lower the better: landmark error, else label overlap, else correlation. */
export function scoreOf({ landmarkErrorMm, labelDice, ncc: correlation }: Evaluation): number {
  return landmarkErrorMm?.after ?? (labelDice ? 1 - labelDice.after : 1 - correlation.after);
}

/** Evaluates pairs one after another, with pictures of the first few. Needs the program's graph 'match'. */
export async function evaluatePairs(
  session: Session,
  reader: CohortReader,
  pairs: readonly (readonly [moving: Subject, fixed: Subject])[],
  patch: Zyx,
  { step, pictures: pictured }: EvaluationRequest,
): Promise<EvaluationRecord<Evaluation>> {
  const results: PairEvaluation[] = [];
  const pictures: EvaluationRecord['pictures'][number][] = [];
  for (const [index, [moving, fixed]] of pairs.entries()) {
    const { evaluation, pair } = await evaluatePair(session, reader, moving, fixed, patch);
    if (!pictured || index >= PICTURED_PAIRS) {
      results.push(evaluation);
      continue;
    }
    const tag = `pair/${index}`;
    const picture = pairPicture(pair, ['moving', 'fixed', 'warped', 'difference', 'grid', 'before', 'after']);
    pictures.push({ tag, picture });
    results.push({ ...evaluation, picture: picturePath(step, tag) });
  }
  const summary = summarize(results);
  const { ncc: correlation, foldedShare: folded, landmarkErrorMm, labelDice } = summary;
  return {
    score: scoreOf(summary),
    summary,
    details: { pairs: results },
    scalars: {
      'heldOut/ncc': correlation.after,
      'heldOut/foldedShare': folded.after,
      ...(landmarkErrorMm && { 'heldOut/landmarkErrorMm': landmarkErrorMm.after }),
      ...(labelDice && { 'heldOut/labelDice': labelDice.after }),
    },
    pictures,
    text: describeEvaluation(step, summary),
  };
}

/** An evaluation in a line: before -> affine -> after. */
export function describeEvaluation(step: number, { ncc, landmarkErrorMm, labelDice, foldedShare }: Evaluation): string {
  const arrow = ({ before, affine, after }: { before: number; affine: number | null; after: number }, digits: number): string =>
    [before, ...(affine === null ? [] : [affine]), after].map((value) => value.toFixed(digits)).join(' -> ');
  const parts = [`step ${step}: NCC ${arrow(ncc, 3)}`];
  if (landmarkErrorMm) parts.push(`landmark error ${arrow(landmarkErrorMm, 2)} mm`);
  if (labelDice) parts.push(`label overlap ${arrow(labelDice, 3)}`);
  parts.push(`folded ${(100 * foldedShare.after).toFixed(2)} %`);
  return parts.join(', ');
}
