// Everything that computes, in a worker: the page stays alive.
import { networkOfFiles, openModel } from 'gvsl/apply';
import { cpuBackend, openDevice, understandsRelaxedSimd, webGpuBackend } from 'gvsl/engine';
import { readNiftiFile } from 'gvsl/images';
import portableUrl from 'gvsl/wasm/kernels-portable.wasm?url';
import relaxedUrl from 'gvsl/wasm/kernels-relaxed.wasm?url';

async function backend() {
  const adapter = await navigator.gpu?.requestAdapter();
  if (adapter && !adapter.info.isFallbackAdapter) return webGpuBackend(await openDevice(adapter));
  const build = understandsRelaxedSimd() ? 'relaxed' : 'portable';
  const module = await WebAssembly.compileStreaming(fetch(build === 'relaxed' ? relaxedUrl : portableUrl));
  // one thread; src/platform/browser/cpu-host.ts of the package shows how more are started
  const startThread = () => Promise.reject(new Error('one thread only'));
  return cpuBackend({ build, module, startThread }, 1);
}

self.onmessage = async ({ data: { config, weights, name, scan } }) => {
  try {
    const model = openModel(networkOfFiles({ name: 'the model', config, weights }), await backend());
    const { volume } = await readNiftiFile(name, scan);
    const { structures } = await model.segment(volume, {
      progress: ({ done, total, unit }) => self.postMessage(`${done} of ${total} ${unit}`),
    });
    await model.close();
    self.postMessage(structures.map(({ name: structure, voxels }) => `${structure}: ${voxels} voxels`).join('\n'));
  } catch (error) {
    self.postMessage(`failed: ${error.message}`);
  }
};
