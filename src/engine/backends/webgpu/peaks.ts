/** What a GPU can do at best, measured: the bound that its kernels are held against. */
import type { WebGpuHost } from './backend.ts';

/** Accumulators of a thread: enough independent chains to hide the latency of one, few enough to stay in registers. */
const CHAINS = 8;
const ITERATIONS = 256;
const THREADS = 256;
const MAX_WORKGROUPS = 65_535;
/** A measurement shorter than this would time the submission. */
const ENOUGH_SECONDS = 0.05;

const CODE = `
@group(0) @binding(0) var<storage, read_write> memory: array<f32>;
@compute @workgroup_size(${THREADS})
fn main(@builtin(global_invocation_id) id: vec3u) {
  let a = vec4f(memory[0]);
  let b = vec4f(memory[1]);
  ${Array.from({ length: CHAINS }, (_, k) => `var sum${k} = vec4f(f32(id.x) + ${k}.0);`).join('\n  ')}
  for (var i = 0u; i < ${ITERATIONS}u; i++) {
    ${Array.from({ length: CHAINS }, (_, k) => `sum${k} = fma(sum${k}, a, b);`).join('\n    ')}
  }
  let sum = ${Array.from({ length: CHAINS }, (_, k) => `sum${k}`).join(' + ')};
  // never so, but the compiler cannot know
  if (sum.x + sum.y + sum.z + sum.w == -1.0) { memory[2] = sum.x; }
}`;

/** Multiplications and additions a second of float32 multiply-adds from registers, the best of three. */
export async function peakMultiplyAdds({ device }: WebGpuHost): Promise<number> {
  const module = device.createShaderModule({ label: 'peak', code: CODE });
  const pipeline = await device.createComputePipelineAsync({
    label: 'peak',
    layout: 'auto',
    compute: { module, entryPoint: 'main' },
  });
  const memory = device.createBuffer({ label: 'peak', size: 16, usage: 0x80 | 0x8 }); // STORAGE, COPY_DST
  device.queue.writeBuffer(memory, 0, Float32Array.of(0.999, 0.001));
  const bindGroup = device.createBindGroup({
    layout: pipeline.getBindGroupLayout(0),
    entries: [{ binding: 0, resource: { buffer: memory } }],
  });
  const run = async (workgroups: number): Promise<number> => {
    const encoder = device.createCommandEncoder();
    const pass = encoder.beginComputePass();
    pass.setPipeline(pipeline);
    pass.setBindGroup(0, bindGroup);
    pass.dispatchWorkgroups(workgroups);
    pass.end();
    const start = performance.now();
    device.queue.submit([encoder.finish()]);
    await device.queue.onSubmittedWorkDone();
    return (performance.now() - start) / 1000;
  };
  try {
    let workgroups = 64;
    let seconds = await run(workgroups);
    while (seconds < ENOUGH_SECONDS && workgroups < MAX_WORKGROUPS) {
      workgroups = Math.min(MAX_WORKGROUPS, 2 * workgroups);
      seconds = await run(workgroups);
    }
    for (let i = 0; i < 2; i++) seconds = Math.min(seconds, await run(workgroups));
    return (2 * 4 * CHAINS * ITERATIONS * THREADS * workgroups) / seconds;
  } finally {
    memory.destroy();
  }
}
