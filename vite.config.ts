/** Builds the page of `gvsl page` into dist/page: nothing is fetched from elsewhere. */

import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vite';

const at = (file: string): string => fileURLToPath(new URL(`src/page/${file}`, import.meta.url));

export default defineConfig({
  root: 'src/page',
  base: './',
  resolve: { alias: { zarrita: at('no-zarr.ts'), fs: at('no-node.ts'), path: at('no-node.ts') } },
  build: {
    outDir: fileURLToPath(new URL('dist/page/', import.meta.url)),
    emptyOutDir: true,
    target: 'es2023',
    chunkSizeWarningLimit: 4000,
  },
  worker: { format: 'es' },
});
