/** Builds the page of `gvsl page` into dist/page: nothing is fetched from elsewhere. */

import { fileURLToPath } from 'node:url';
import { defineConfig, type Plugin } from 'vite';

const at = (file: string): string => fileURLToPath(new URL(`src/page/${file}`, import.meta.url));

/** One black pixel. */
const PIXEL =
  'data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR42mNgAAAAAgAB5Sfe/AAAAABJRU5ErkJggg==';

/** The colour maps that the page names, and those that NiiVue names itself: of its 69 the others are left out. */
const COLOUR_MAPS = '$itksnap blue bone gray green hot inferno random red warm winter'.split(' ');

/** The text of a shader without indentation, comments and empty lines, which no minifier takes out of it. */
const withoutComments = (shader: string): string =>
  shader
    .replace(/[ \t]*\/\/.*$/gm, '')
    .replace(/^[ \t]+/gm, '')
    .replace(/\n+/g, '\n');

/**
 * NiiVue holds two pictures as text in its code. Its font becomes a file, a quarter smaller; of the picture that lights surfaces, which the page does
 * not show, nothing but a pixel stays. Its shaders are text too.
 *
 * It computes the gradients of an image whenever something of what is shown changes, for renderings with shading, which the page does not show: without
 * a GPU they take most of the time that a large image takes to open, and twice the memory of its colours. They are left out.
 */
const slimNiivue = (): Plugin => ({
  name: 'slim-niivue',
  transform(code, id) {
    if (!id.endsWith('/@niivue/niivue/build/niivue/index.js')) return null;
    const picture = (name: string): { readonly text: string; readonly base64: string } => {
      const [text, base64] = new RegExp(`(?<=var ${name}_default = )"data:image/\\w+;base64,([^"]+)"`).exec(code) ?? [];
      if (!text || !base64) this.error(`NiiVue has no picture ${name}: is it another version? See vite.config.ts`);
      return { text, base64 };
    };
    const [font, light] = [picture('Roboto_Regular'), picture('Shiny')];
    const gradients = 'function gradientGL(params) {';
    if (!code.includes(gradients)) this.error('NiiVue has no gradientGL: is it another version? See vite.config.ts');
    const maps = /__export\(cmaps_exports, \{([^}]*)\}\);/.exec(code) ?? ['', ''];
    const kept = maps[1].split(',').filter((line) => COLOUR_MAPS.includes(line.split(':')[0].trim()));
    if (kept.length < COLOUR_MAPS.length)
      this.error('NiiVue lacks a colour map of COLOUR_MAPS: is it another version? See vite.config.ts');
    const file = this.emitFile({ type: 'asset', name: 'font.png', source: Buffer.from(font.base64, 'base64') });
    const changed = code
      .replace(font.text, () => `import.meta.ROLLUP_FILE_URL_${file}`)
      .replace(light.text, () => JSON.stringify(PIXEL))
      .replace(maps[0], () => `__export(cmaps_exports, {${kept.join()}});`)
      .replace(gradients, `${gradients} return params.gradientTexture;`)
      .replace(/`#version 300 es[^`]*`/g, withoutComments);
    return { code: changed, map: null };
  },
});

export default defineConfig({
  root: 'src/page',
  base: './',
  plugins: [slimNiivue()],
  resolve: { alias: { zarrita: at('no-zarr.ts'), fs: at('no-node.ts'), path: at('no-node.ts') } },
  build: {
    outDir: fileURLToPath(new URL('dist/page/', import.meta.url)),
    emptyOutDir: true,
    target: 'es2023',
    chunkSizeWarningLimit: 4000,
  },
  worker: { format: 'es' },
});
