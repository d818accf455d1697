/**
 * Geometric Visual Similarity Learning as a program: the graphs of one training step, and of applying the trained network.
 *
 * A step runs `gradient` once for each part of the batch (which adds to the flat state `gradients`), then `norms`, then `update`.
 * Losses are means over samples, so a batch in parts is the batch: only memory differs. A and B go through the backbone as one
 * tensor, so that every weight is read once.
 */

import type { Graph, Node, Program, Shape } from '../../engine/graph.ts';
import { Graph as TensorGraph } from '../../engine/graph.ts';
import { affineDisplacement } from '../../engine/ops/affine/affine.ts';
import { concat, slice } from '../../engine/ops/concat/concat.ts';
import { add, scale } from '../../engine/ops/elementwise/elementwise.ts';
import { maskedMseLoss, mseLoss } from '../../engine/ops/mse/mse.ts';
import { nccLoss } from '../../engine/ops/ncc/ncc.ts';
import { smoothnessLoss } from '../../engine/ops/smoothness/smoothness.ts';
import { insideMask, warp } from '../../engine/ops/warp/warp.ts';
import type { Zyx } from '../../geometry/volume.ts';
import type { Architecture } from '../../model/architecture.ts';
import { type Matching, matchingHead, restorationHead } from '../../model/heads.ts';
import { partOf, STATES } from '../../model/optimizer.ts';
import { type ParameterNodes, type ParameterTable, parameterNodes, parameterTable } from '../../model/parameters.ts';
import {
  outputLosses,
  gradientGraph as trainingGraph,
  trainingProgramOf,
  type WeightedLoss,
} from '../../model/training-program.ts';
import { type Features, unet } from '../../model/unet.ts';
import { imageShape, probedFeaturesGraph } from '../method-program.ts';

/** Weights of the losses, and the window of the correlation. */
export interface LossOptions {
  readonly nccWeight: number;
  /** Weight of the NCC of A registered to B by the affine transform alone. Not in the paper, whose field is judged as a whole. */
  readonly affineNccWeight: number;
  /**
   * Weight of the mean squared distance (voxels^2) from the affine field to that of the input `pose`, which augmentation gave the pair
   * (known-pose.ts): a target from the first step on. Not in the paper. Default 0: the program has no such input.
   */
  readonly affinePoseWeight?: number;
  readonly smoothWeight: number;
  readonly mseWeight: number;
  readonly nccWindow: number;
  /** Weight of a second NCC, over windows of side 2 `nccWindow` + 1. Not in the paper. Default 0. */
  readonly wideNccWeight?: number;
  /** Weight of matching the other way as well, B onto A: of the reverse field's NCC and smoothness, beside their own weights. Not in the paper. Default 0. */
  readonly reverseWeight?: number;
  /**
   * Weight of the mean squared distance (voxels^2) from where a voxel of B ends that goes to A by the field and back by the reverse one, over the
   * voxels whose place in A lies inside it (inverse consistency). Not in the paper. Default 0.
   */
  readonly inverseWeight?: number;
  /** Weight of the NCC of local features, those of A brought onto B by the field, channel by channel. Not in the paper. Default 0. */
  readonly featuresWeight?: number;
  /**
   * 'all': every voxel's window counts, what lies outside A as darkness (the paper). 'overlap': windows and voxels whose place in A lies
   * outside it are left out, so that the edge of the field of view is nothing to be aligned.
   */
  readonly nccOver: 'all' | 'overlap';
}
/** The paper's losses, 1 : 1 : 1 (equations 7 to 9; docs/method.md, section 6). */
export const PAPER_LOSS: LossOptions = {
  nccWeight: 1,
  affineNccWeight: 0,
  smoothWeight: 1,
  mseWeight: 1,
  nccWindow: 9,
  nccOver: 'all',
};

export interface StepOptions {
  readonly architecture: Architecture;
  readonly loss: LossOptions;
  /** (D, H, W) of a patch. */
  readonly size: Zyx;
  /** Samples that one run of `gradient` takes. */
  readonly samples: number;
  /** Samples of a batch: gradients are means over it. A multiple of `samples`. */
  readonly batch: number;
  /** Whether `gradient` scales its loss, by the inputs of `lossScaleInputs`. */
  readonly lossScaling?: boolean;
  /** What the affine head's learning rate is multiplied by; default 1. */
  readonly affineRateFactor?: number;
}

interface Outputs {
  readonly a: Features;
  readonly b: Features | undefined;
  readonly matching: Matching | undefined;
  readonly warped: Node | undefined;
  readonly restored: Node | undefined;
}

/** Everything that the network makes of a pair: moving view and moving image (A), fixed image (B), each (N, channels, D, H, W). */
function forward(
  graph: Graph,
  parameters: ParameterNodes,
  architecture: Architecture,
  view: Node,
  fixed: Node | undefined,
  moving: Node,
): Outputs {
  const { heads } = architecture;
  const samples = view.shape[0];
  let a: Features;
  let b: Features | undefined;
  if (fixed) {
    const both = unet(graph, parameters, concat(graph, 0, view, fixed));
    const part = (start: number): Features => ({
      global: slice(graph, both.global, 0, start, samples),
      local: slice(graph, both.local, 0, start, samples),
    });
    [a, b] = [part(0), part(samples)];
  } else {
    a = unet(graph, parameters, view);
  }
  const matching = b ? matchingHead(graph, parameters, a, b, heads.affine) : undefined;
  return {
    a,
    b,
    matching,
    warped: matching ? warp(graph, moving, matching.displacement) : undefined,
    restored: heads.restoration ? restorationHead(graph, parameters, a.local) : undefined,
  };
}

/** The mean of the channels' losses: each contrast is compared with itself. */
function channelsNcc(graph: Graph, a: Node, b: Node, window: number, mask: Node | undefined): Node {
  const channels = a.shape[1];
  if (channels === 1) return nccLoss(graph, a, b, window, mask);
  const losses = Array.from({ length: channels }, (_, c) =>
    nccLoss(graph, slice(graph, a, 1, c, 1), slice(graph, b, 1, c, 1), window, mask),
  );
  return scale(
    graph,
    losses.reduce((sum, one) => add(graph, sum, one)),
    1 / channels,
  );
}

/** Mean squared distance of p + field(p) + reverse(p + field(p)) from p, over the voxels p whose p + field(p) lies inside the volume. */
function inverseDistance(graph: Graph, field: Node, reverse: Node): Node {
  const back = scale(graph, warp(graph, reverse, field), -1);
  const inside = insideMask(graph, field);
  // the mean over three components is a third of the squared distance
  return scale(graph, maskedMseLoss(graph, field, back, concat(graph, 1, inside, inside, inside)), 3);
}

/** inputs movingView, moving and (with matching) fixed, with a weight of it pose: what the network makes of them, and the losses. */
function stepGraph({ architecture, loss, size, samples }: StepOptions, table: ParameterTable) {
  const graph = new TensorGraph();
  const shape = imageShape(architecture, samples, size);
  const view_ = graph.input('movingView', shape);
  const fixed = architecture.heads.matching ? graph.input('fixed', shape) : undefined;
  const moving = graph.input('moving', shape);
  const parameters = parameterNodes(graph, STATES.parameters, table);
  const out = forward(graph, parameters, architecture, view_, fixed, moving);

  const losses: WeightedLoss[] = [];
  if (out.matching && out.warped && fixed) {
    const maskOf = (field: Node): Node | undefined => (loss.nccOver === 'overlap' ? insideMask(graph, field) : undefined);
    const { nccWindow, wideNccWeight = 0, featuresWeight = 0, reverseWeight = 0, inverseWeight = 0 } = loss;
    const { displacement } = out.matching;
    const mask = maskOf(displacement);
    losses.push({ name: 'ncc', node: channelsNcc(graph, out.warped, fixed, nccWindow, mask), weight: loss.nccWeight });
    if (wideNccWeight > 0)
      losses.push({
        name: 'wideNcc',
        node: channelsNcc(graph, out.warped, fixed, 2 * nccWindow + 1, mask),
        weight: wideNccWeight,
      });
    if (featuresWeight > 0)
      losses.push({
        name: 'features',
        node: channelsNcc(graph, warp(graph, out.a.local, displacement), out.b!.local, nccWindow, mask),
        weight: featuresWeight,
      });
    if (reverseWeight > 0 || inverseWeight > 0) {
      const reverse = matchingHead(graph, parameters, out.b!, out.a, architecture.heads.affine);
      if (reverseWeight > 0)
        losses.push(
          {
            name: 'reverseNcc',
            node: channelsNcc(graph, warp(graph, fixed, reverse.displacement), moving, nccWindow, maskOf(reverse.displacement)),
            weight: reverseWeight * loss.nccWeight,
          },
          { name: 'reverseSmooth', node: smoothnessLoss(graph, reverse.flow), weight: reverseWeight * loss.smoothWeight },
        );
      if (inverseWeight > 0)
        losses.push({
          name: 'inverse',
          node: inverseDistance(graph, displacement, reverse.displacement),
          weight: inverseWeight,
        });
    }
    if (out.matching.affineField && loss.affineNccWeight > 0) {
      const aligned = warp(graph, moving, out.matching.affineField);
      losses.push({
        name: 'affineNcc',
        node: channelsNcc(graph, aligned, fixed, nccWindow, maskOf(out.matching.affineField)),
        weight: loss.affineNccWeight,
      });
    }
    if (out.matching.affineField && loss.affinePoseWeight) {
      const known = affineDisplacement(graph, graph.input('pose', [samples, 3, 4]), size);
      losses.push({ name: 'affinePose', node: mseLoss(graph, out.matching.affineField, known), weight: loss.affinePoseWeight });
    }
    losses.push({ name: 'smooth', node: smoothnessLoss(graph, out.matching.flow), weight: loss.smoothWeight });
  }
  if (out.restored) losses.push({ name: 'mse', node: mseLoss(graph, out.restored, moving), weight: loss.mseWeight });
  return { graph, parameters, losses, out };
}

/** The inputs of `stepGraph`; outputs loss.*, and with `everything` out.*; adds to the gradients. */
function gradientGraph(options: StepOptions, table: ParameterTable, everything: boolean): Graph {
  const { graph, parameters, losses, out } = stepGraph(options, table);
  if (everything) {
    const { a, b, matching, warped, restored } = out;
    const named = {
      local_a: a.local,
      global_a: a.global,
      local_b: b?.local,
      global_b: b?.global,
      affine: matching?.affine,
      flow: matching?.flow,
      dvf: matching?.displacement,
      warped,
      restored,
    };
    for (const [name, node] of Object.entries(named)) if (node) graph.output(`out.${name}`, node);
  }
  return trainingGraph(graph, losses, {
    table,
    parameters,
    share: options.samples / options.batch,
    lossScaling: options.lossScaling,
  });
}

/** What evaluations of a network without the matching head run: the losses of one sample as outputs, and out.restored (judgement/judge.ts). */
function judgeGraph(options: StepOptions, table: ParameterTable): Graph {
  const { graph, losses, out } = stepGraph({ ...options, samples: 1 }, table);
  graph.output('out.restored', out.restored!);
  outputLosses(graph, losses);
  return graph;
}

/** inputs moving and fixed (1, channels, D, H, W); outputs affine, displacement, warped; with the affine head also affineDisplacement, affineWarped. */
function matchGraph(architecture: Architecture, size: Zyx, table: ParameterTable): Graph {
  const graph = new TensorGraph();
  const shape = imageShape(architecture, 1, size);
  const moving = graph.input('moving', shape);
  const fixed = graph.input('fixed', shape);
  const parameters = parameterNodes(graph, STATES.parameters, table);
  const { matching, warped } = forward(
    graph,
    parameters,
    { ...architecture, heads: { ...architecture.heads, restoration: false } },
    moving,
    fixed,
    moving,
  );
  graph.output('affine', matching!.affine);
  graph.output('displacement', matching!.displacement);
  graph.output('warped', warped!);
  if (matching!.affineField) {
    graph.output('affineDisplacement', matching!.affineField);
    graph.output('affineWarped', warp(graph, moving, matching!.affineField));
  }
  return graph;
}

/** The program of pre-training. Graphs: gradient, norms, update, and match (with the matching head) or judge and features (without). `everything`: `gradient` also gives out.*. */
export function trainingProgram(options: StepOptions, everything = false): { program: Program; table: ParameterTable } {
  if (options.batch % options.samples !== 0)
    throw new Error(`a batch of ${options.batch} is not divisible into micro-batches of ${options.samples}`);
  const table = parameterTable(options.architecture);
  const { architecture, size, affineRateFactor = 1 } = options;
  const program = trainingProgramOf(
    table,
    {
      gradient: gradientGraph(options, table, everything),
      ...(architecture.heads.matching
        ? { match: matchGraph(architecture, size, table) }
        : { judge: judgeGraph(options, table), features: probedFeaturesGraph(architecture, size, table) }),
    },
    { rateFactor: (parameter) => (partOf(parameter) === 'affine' ? affineRateFactor : 1) },
  );
  return { program, table };
}

/** The program that lays one image onto another, with parameters alone. Graph: match. */
export function matchingProgram(architecture: Architecture, size: Zyx): { program: Program; table: ParameterTable } {
  const table = parameterTable(architecture);
  const states = new Map([[STATES.parameters, [table.flatLength] as Shape]]);
  return { program: { states, graphs: new Map([['match', matchGraph(architecture, size, table)]]) }, table };
}
