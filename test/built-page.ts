/** The page as it was built: why the tests that open it are skipped where they cannot, and what its viewers show. */
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { Page } from 'playwright-core';
import { CHROMIUM } from '../scripts/chromium.mjs';

export const PAGE = fileURLToPath(new URL('../dist/page', import.meta.url));

/** Behind a description: empty where the tests run. */
export const SKIPPED = !CHROMIUM
  ? ': needs Chromium (or CHROMIUM, its path)'
  : existsSync(PAGE)
    ? ''
    : ': needs npm run build:page';

/** How many greys and how many colours a viewer of the page shows now: an image has dozens of greys, its crosshair and letters have few colours. */
export async function coloursOf(page: Page, viewer: string): Promise<{ readonly greys: number; readonly colours: number }> {
  return page.evaluate(`{
    const viewer = ${viewer};
    viewer.drawNow();
    const { gl } = viewer.niivue;
    const [width, height] = [gl.drawingBufferWidth, gl.drawingBufferHeight];
    const pixels = new Uint8Array(4 * width * height);
    gl.readPixels(0, 0, width, height, gl.RGBA, gl.UNSIGNED_BYTE, pixels);
    const [greys, colours] = [new Set(), new Set()];
    for (let at = 0; at < pixels.length; at += 4) {
      const [red, green, blue] = pixels.subarray(at, at + 3);
      (red === green && green === blue ? greys : colours).add((red << 16) | (green << 8) | blue);
    }
    ({ greys: greys.size, colours: colours.size });
  }`);
}
