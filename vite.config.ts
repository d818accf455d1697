/** Builds the page of `gvsl page` into dist/page: nothing is fetched from elsewhere. */

import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vite';

export default defineConfig({
  root: 'src/page',
  base: './',
  resolve: { alias: { zarrita: fileURLToPath(new URL('src/page/no-zarr.ts', import.meta.url)) } },
  build: {
    outDir: fileURLToPath(new URL('dist/page/', import.meta.url)),
    emptyOutDir: true,
    target: 'es2023',
    chunkSizeWarningLimit: 4000,
  },
  worker: { format: 'es' },
});
