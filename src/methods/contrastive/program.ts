/**
 * Comparing two views of an image, as programs: SimCLR, SimSiam and BYOL differ in what is made of the projections.
 *
 * Inputs view1 and view2 (N, channels, D, H, W). Outputs out.z (2 N, C), the projections, those of view1 first; SimSiam's out.p, the predictions; BYOL's
 * out.q, the predictions, and out.t, the target network's projections.
 */
import { Graph, type Node } from '../../engine/graph.ts';
import { movingAverage } from '../../engine/ops/adam/adam.ts';
import { concat, slice } from '../../engine/ops/concat/concat.ts';
import { add, scale } from '../../engine/ops/elementwise/elementwise.ts';
import { globalAverage } from '../../engine/ops/reduce/reduce.ts';
import { stopGradient, view } from '../../engine/ops/shape/shape.ts';
import type { Projection } from '../../model/architecture.ts';
import { predictor, projector } from '../../model/heads.ts';
import { STATES } from '../../model/optimizer.ts';
import { type ParameterNodes, type ParameterTable, parameterNodes, parameterTable } from '../../model/parameters.ts';
import { encoder } from '../../model/unet.ts';
import { type Forward, imageShape, type MethodProgramOptions, methodProgram } from '../method-program.ts';
import { meanCosine, ntXent } from './losses.ts';

/** The state that holds BYOL's target network, shaped as the parameters. */
export const TARGET = 'target';

/** Options of a program, and of the loss. */
export interface ContrastiveOptions extends MethodProgramOptions {
  /** SimCLR's; default 0.5. */
  readonly temperature?: number;
  /**
   * BYOL's: whose encoder the target projector stands on. 'online' is no method but what a copy in PyTorch computes whose blocks still call those
   * they were copied from: for replaying files made so. Default: 'target'.
   */
  readonly targetEncoder?: 'target' | 'online';
}

/** f^g of the images averaged, and projected. */
const projected = (graph: Graph, parameters: ParameterNodes, images: Node, projection: Projection): Node =>
  projector(graph, parameters, globalAverage(graph, encoder(graph, parameters, images)[4]), projection);

/** How the projections of both views become a loss. */
type Compare = (context: {
  readonly graph: Graph;
  readonly parameters: ParameterNodes;
  readonly both: Node;
  readonly z: Node;
  readonly samples: number;
}) => Forward;

/** The first and second halves of rows: those of view1, and of view2. */
const halves = (graph: Graph, rows: Node, samples: number): readonly [Node, Node] => [
  slice(graph, rows, 0, 0, samples),
  slice(graph, rows, 0, samples, samples),
];

/** The sum of the cosines of what is predicted from each view and what the other's is, means over samples. */
function crosswise(graph: Graph, predictions: Node, targets: Node, samples: number): Node {
  const [p1, p2] = halves(graph, predictions, samples);
  const [t1, t2] = halves(graph, targets, samples);
  return add(graph, meanCosine(graph, p1, t2), meanCosine(graph, p2, t1));
}

function comparisonOf({ architecture, temperature = 0.5, targetEncoder = 'target' }: ContrastiveOptions): Compare {
  const projection = architecture.heads.projection!;
  const predict = (graph: Graph, parameters: ParameterNodes, z: Node): Node =>
    projection.predictor === false ? z : predictor(graph, parameters, z);
  switch (projection.kind) {
    case 'simclr':
      return ({ graph, z }) => ({ losses: [{ name: 'ntXent', node: ntXent(graph, z, temperature) }], outputs: { z } });
    case 'simsiam':
      return ({ graph, parameters, z, samples }) => {
        const p = predict(graph, parameters, z);
        return {
          losses: [{ name: 'negativeCosine', node: scale(graph, crosswise(graph, p, z, samples), -0.5) }],
          outputs: { z, p },
        };
      };
    case 'byol':
      return ({ graph, parameters, both, z, samples }) => {
        const q = predict(graph, parameters, z);
        const target = parameterNodes(graph, TARGET, parameterTable(architecture));
        const follower: ParameterNodes = (name) =>
          targetEncoder === 'online' && name.startsWith('unet.') ? parameters(name) : target(name);
        const t = stopGradient(graph, projected(graph, follower, both, projection));
        // 2 - 2 cos for each of the two ways
        return {
          losses: [{ name: 'distance', node: scale(graph, crosswise(graph, q, t, samples), -2, 4) }],
          outputs: { z, q, t },
        };
      };
  }
}

/** input tau (1): the target network follows, target = tau target + (1 - tau) parameters. */
function followGraph({ flatLength }: ParameterTable): Graph {
  const graph = new Graph();
  const all = (state: string): Node => view(graph, graph.state(state, [flatLength]), 0, [flatLength]);
  movingAverage(graph, all(TARGET), all(STATES.parameters), graph.input('tau', [1]));
  return graph;
}

/** The program of a method that compares views; with BYOL's projection it has the state `TARGET` and the graph `follow`. */
export function contrastiveProgram(options: ContrastiveOptions) {
  const { architecture, size } = options;
  const { projection } = architecture.heads;
  if (!projection) throw new Error('contrastiveProgram: expected an architecture with a projection');
  const compare = comparisonOf(options);
  const build = (graph: Graph, parameters: ParameterNodes, samples: number): Forward => {
    const shape = imageShape(architecture, samples, size);
    const views = [graph.input('view1', shape), graph.input('view2', shape)] as const;
    const both = concat(graph, 0, ...views);
    return compare({ graph, parameters, both, z: projected(graph, parameters, both, projection), samples });
  };
  const follows = projection.kind === 'byol';
  const more = follows ? { carried: [TARGET], graphs: (table: ParameterTable) => ({ follow: followGraph(table) }) } : {};
  return methodProgram({ ...options, ...more }, build, true);
}
