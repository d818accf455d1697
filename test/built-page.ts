/** The page as it was built, and why the tests that open it are skipped where they cannot. */
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { CHROMIUM } from '../scripts/chromium.mjs';

export const PAGE = fileURLToPath(new URL('../dist/page', import.meta.url));

/** Behind a description: empty where the tests run. */
export const SKIPPED = !CHROMIUM
  ? ': needs Chromium (or CHROMIUM, its path)'
  : existsSync(PAGE)
    ? ''
    : ': needs npm run build:page';
