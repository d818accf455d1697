/** The kernels of src/geometry/axis-operator.as.ts as the text of a module. */
import asc from 'assemblyscript/asc';

/** @param root the repository's folder @returns the module's length in bytes, and the text of src/geometry/axis-kernels.ts */
export async function axisKernels(root) {
  const entry = 'src/geometry/axis-operator.as.ts';
  const outputs = new Map();
  const { error, stderr } = await asc.main(
    [
      entry,
      '--baseDir',
      root,
      '--outFile',
      'out.wasm',
      '-O3',
      '--noAssert',
      '--runtime',
      'stub',
      '--importMemory',
      '--enable',
      'simd',
    ],
    { writeFile: (name, contents) => void outputs.set(name, contents) },
  );
  if (error) throw new Error(`${entry}: ${error.message}\n${stderr.toString()}`);
  const wasm = outputs.get('out.wasm');
  const lines = Buffer.from(wasm)
    .toString('hex')
    .match(/.{1,120}/g);
  const text = `/** Made by scripts/build-wasm.mjs from axis-operator.as.ts: a WebAssembly module in hexadecimal digits. */
export const AXIS_KERNELS =
${lines.map((line) => `  '${line}'`).join(' +\n')};
`;
  return { bytes: wasm.length, text };
}
