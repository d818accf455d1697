/** One window through the backbone by gvsl and by onnxruntime-web, in turn. */
import { networkOfFiles } from '../../src/apply/network.ts';
import { randomStream } from '../../src/common/random.ts';
import { Graph } from '../../src/engine/graph.ts';
import { parameterNodes, parameterTable } from '../../src/model/parameters.ts';
import { unet } from '../../src/model/unet.ts';
import { type BackendName, openBackend } from '../../src/platform/browser/backends.ts';
import { availableThreads } from '../../src/platform/browser/cpu-host.ts';

interface Request {
  readonly backend: BackendName;
  readonly side: number;
  readonly rounds: number;
}
type Outputs = Readonly<Record<string, ArrayLike<number>>>;

/** Threads of either go on looking for work for a while after a run: the other waits until they sleep. */
const PAUSE_MS = 300;
const pause = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, PAUSE_MS));

async function ours({ backend, side }: Request): Promise<(image: Float32Array) => Promise<Outputs>> {
  const [config, weights] = await Promise.all(
    ['config.json', 'model.safetensors'].map(async (name) => (await fetch(`../model/${name}`)).arrayBuffer()),
  );
  const { architecture, parameters } = networkOfFiles({ name: 'model', config: new TextDecoder().decode(config), weights }, 'ct');
  const table = parameterTable(architecture);
  const graph = new Graph();
  const nodes = unet(graph, parameterNodes(graph, 'parameters', table), graph.input('image', [1, 1, side, side, side]));
  for (const [name, node] of Object.entries(nodes)) graph.output(name, node);
  const session = await (await openBackend(backend)).open({
    states: new Map([['parameters', [table.flatLength]]]),
    graphs: new Map([['forward', graph]]),
  });
  await session.writeState('parameters', parameters);
  return (image) => session.run('forward', { image });
}

async function theirs({ backend, side }: Request): Promise<(image: Float32Array) => Promise<Outputs>> {
  // as it is published, and not through a bundler
  const address = new URL(`../ort/${backend === 'cpu' ? 'ort.wasm.min.mjs' : 'ort.all.min.mjs'}`, location.href).href;
  const ort = await import(/* @vite-ignore */ address);
  ort.env.wasm.wasmPaths = new URL('../ort/', location.href).href;
  ort.env.wasm.numThreads = availableThreads();
  const session = await ort.InferenceSession.create(new URL('../model/model.onnx', location.href).href, {
    executionProviders: [backend === 'cpu' ? 'wasm' : 'webgpu'],
  });
  return async (image) => {
    const results = await session.run({ image: new ort.Tensor('float32', image, [1, 1, side, side, side]) });
    return Object.fromEntries(Object.entries(results).map(([name, tensor]) => [name, (tensor as { data: Float32Array }).data]));
  };
}

/** Of the greatest value of either, at least 1. */
function difference(a: Outputs, b: Outputs): number {
  let most = 0;
  for (const [name, values] of Object.entries(a)) {
    if (values.length !== b[name]?.length) throw new Error(`${name}: ${values.length} and ${b[name]?.length} values`);
    let [apart, scale] = [0, 1];
    for (let i = 0; i < values.length; i++) {
      apart = Math.max(apart, Math.abs(values[i] - b[name][i]));
      scale = Math.max(scale, Math.abs(values[i]));
    }
    most = Math.max(most, apart / scale);
  }
  return most;
}

async function bench(request: Request): Promise<object> {
  const { side, rounds } = request;
  const stream = randomStream(1, 'bench-browser');
  const image = Float32Array.from({ length: side ** 3 }, () => stream.uniform(0, 1));
  const runs = [await ours(request)];
  let refused: string | undefined;
  try {
    const other = await theirs(request);
    await other(image);
    runs.push(other);
  } catch (error) {
    // an operation that it lacks in three dimensions
    refused = (error as Error).message;
  }
  const outputs: Outputs[] = [];
  const times: number[][] = [[], []];
  for (let round = -1; round < rounds; round++)
    for (const [k, run] of runs.entries()) {
      await pause();
      const startMs = performance.now();
      const found = await run(image);
      // the first round compiles and warms up
      if (round < 0) outputs[k] = found;
      else times[k].push(performance.now() - startMs);
    }
  const found = { threads: availableThreads(), ours: times[0] };
  return refused === undefined
    ? { ...found, theirs: times[1], difference: difference(outputs[0], outputs[1]) }
    : { ...found, refused };
}

addEventListener('message', async ({ data }: MessageEvent<Request>) => {
  try {
    postMessage({ result: await bench(data) });
  } catch (error) {
    postMessage({ error: String((error as Error).message ?? error) });
  }
});
