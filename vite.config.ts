/** Builds the page of `gvsl page` into dist/page, with ITK's reader and writer of NIfTI beside it: nothing is fetched from elsewhere. */

import { cp, mkdir } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { defineConfig } from 'vite';

const outDir = new URL('dist/page/', import.meta.url).pathname;
const pipelines = join(dirname(createRequire(import.meta.url).resolve('@itk-wasm/image-io')), 'pipelines');

export default defineConfig({
  root: 'src/browser',
  base: './',
  build: { outDir, emptyOutDir: true, target: 'es2023', chunkSizeWarningLimit: 4000 },
  worker: { format: 'es' },
  plugins: [
    {
      name: 'itk-pipelines',
      writeBundle: async () => {
        await mkdir(join(outDir, 'pipelines'), { recursive: true });
        for (const name of ['nifti-read-image', 'nifti-write-image'])
          for (const ending of ['js', 'wasm.zst'])
            await cp(join(pipelines, `${name}.${ending}`), join(outDir, 'pipelines', `${name}.${ending}`));
      },
    },
  ],
});
