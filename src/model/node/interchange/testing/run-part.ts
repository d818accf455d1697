/** What the CPU backend makes of a part of a network: the numbers that exported files are held to. */
import { elementCount, Graph, type Node, type Shape } from '../../../../engine/graph.ts';
import { sigmoid } from '../../../../engine/ops/elementwise/elementwise.ts';
import { softmax } from '../../../../engine/ops/softmax/softmax.ts';
import { nodeCpuBackend } from '../../../../platform/node/cpu-host.ts';
import type { Architecture } from '../../../architecture.ts';
import { classificationHead, segmentationLogits } from '../../../heads.ts';
import { type ParameterTable, parameterNodes } from '../../../parameters.ts';
import { encoder, unet } from '../../../unet.ts';
import type { NetworkPart } from '../part.ts';

export interface Output {
  readonly shape: Shape;
  readonly data: Float32Array;
}

/** image (batch, 1, D, H, W). */
export async function runPart(
  part: NetworkPart,
  {
    architecture,
    table,
    flat,
  }: { readonly architecture: Architecture; readonly table: ParameterTable; readonly flat: Float32Array },
  size: readonly [number, number, number],
  batch: number,
  image: Float32Array,
): Promise<Record<string, Output>> {
  const graph = new Graph();
  const parameters = parameterNodes(graph, 'parameters', table);
  const x = graph.input('image', [batch, 1, ...size]);
  const nodes: Record<string, Node> =
    part === 'classifier'
      ? { probabilities: sigmoid(graph, classificationHead(graph, parameters, encoder(graph, parameters, x).at(-1)!)) }
      : part === 'encoder'
        ? { global: encoder(graph, parameters, x)[4] }
        : part === 'backbone'
          ? { ...unet(graph, parameters, x) }
          : { probabilities: softmax(graph, segmentationLogits(graph, parameters, architecture, x)) };
  for (const [name, node] of Object.entries(nodes)) graph.output(name, node);
  const session = await nodeCpuBackend(2).open({
    states: new Map([['parameters', [table.flatLength]]]),
    graphs: new Map([['forward', graph]]),
  });
  try {
    await session.writeState('parameters', flat);
    const results = await session.run('forward', { image });
    const outputs = Object.entries(nodes).map(([name, { shape }]): [string, Output] => {
      if (results[name].length !== elementCount(shape)) throw new Error(`${name}: ${results[name].length} values`);
      return [name, { shape, data: results[name] }];
    });
    return Object.fromEntries(outputs);
  } finally {
    await session.close();
  }
}
