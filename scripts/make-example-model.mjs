/**
 * The example model of the page, src/page/public/example-model: the training of `gvsl demo` on its synthetic hearts with an eighth of the paper's
 * width, its parameters stored in half precision.
 *
 *   npm run build:ts && node scripts/make-example-model.mjs [FOLDER]
 *
 * FOLDER keeps cohort and run: the same call continues an interrupted training. Minutes on two cores. What the page shows with it are patients of
 * another seed.
 */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { readModel, writeModel } from '../dist/index.js';
import { DEMO_SETTINGS } from '../dist/training/demo-settings.js';

const WIDTH = 0.125;
const SEED = 1;
const root = fileURLToPath(new URL('..', import.meta.url));
const folder = process.argv[2] ?? mkdtempSync(join(tmpdir(), 'gvsl-example-'));
mkdirSync(folder, { recursive: true });
const gvsl = (...words) => {
  console.log(`gvsl ${words.join(' ')}`);
  execFileSync(process.execPath, [join(root, 'dist', 'cli', 'main.js'), ...words], { cwd: folder, stdio: 'inherit' });
};

const { phantoms, prepare, pretrain } = DEMO_SETTINGS;
const count = (name, value) => [`--${name}`, String(value)];
if (!existsSync(join(folder, 'cohort'))) {
  const { kind, subjects, spacingMm, pose } = phantoms;
  gvsl(
    'phantom',
    'patients',
    '--kind',
    kind,
    ...count('subjects', subjects),
    ...count('spacing', spacingMm),
    ...count('pose', pose),
    ...count('seed', SEED),
  );
  gvsl('prepare', 'patients', 'cohort', '--modality', prepare.modality, ...count('spacing', spacingMm), '--crop', prepare.crop);
}
writeFileSync(join(folder, 'config.json'), JSON.stringify({ ...pretrain, model: { width: WIDTH }, seed: SEED }));
gvsl('pretrain', 'cohort', '--out', 'run', '--config', 'config.json', ...(existsSync(join(folder, 'run')) ? ['--resume'] : []));

const from = join(folder, 'run', 'best');
const out = join(root, 'src', 'page', 'public', 'example-model');
mkdirSync(out, { recursive: true });
const { configuration, parameters } = await readModel(from);
await writeModel(out, configuration, parameters.values(), 'F16');
console.log(`${out}: ${statSync(join(out, 'model.safetensors')).size} bytes`);
