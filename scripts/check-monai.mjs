/**
 * A model as a MONAI bundle beside gvsl, on real images: node scripts/check-monai.mjs MODEL IMAGE...     (after npm run build:ts)
 *
 * Exports the model, runs the bundle on each image with scripts/check-monai.py (Python with torch and nibabel; MONAI if it is there), prepares and
 * segments or classifies it with gvsl, and prints the largest difference of prepared voxels and how many voxels of the label maps differ.
 */

import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { classifyImages } from '../dist/apply/node/classify.js';
import { segmentImages } from '../dist/apply/node/segment.js';
import { findPython } from '../dist/cli/bench/peer.js';
import { readForNetwork } from '../dist/cohort/node/read-for-network.js';
import { readImage } from '../dist/images/node/read.js';
import { preprocessingOf } from '../dist/model/configuration.js';
import { exportModel } from '../dist/model/node/interchange/export.js';
import { readModel, resolveModel } from '../dist/model/node/model-folder.js';

const [model, ...images] = process.argv.slice(2);
const folder = mkdtempSync(join(tmpdir(), 'gvsl-monai-'));
const python = await findPython();
try {
  await exportModel({ model, monai: join(folder, 'bundle') });
  const { configuration } = await readModel(await resolveModel(model));
  const options = preprocessingOf(configuration, model, undefined);
  for (const path of images) {
    const script = fileURLToPath(new URL('check-monai.py', import.meta.url));
    const said = JSON.parse(
      execFileSync(python, [script, join(folder, 'bundle'), path, folder], {
        encoding: 'utf8',
        stdio: ['ignore', 'pipe', 'inherit'],
      }),
    );
    const { cropped } = await readForNetwork(path, options, true);
    const theirs = new Float32Array(new Uint8Array(readFileSync(join(folder, 'prepared.bin'))).buffer);
    let most = theirs.length === cropped.data.length ? 0 : Number.POSITIVE_INFINITY;
    for (let i = 0; i < theirs.length; i++) most = Math.max(most, Math.abs(theirs[i] - cropped.data[i]));
    const about = `${basename(path)} (${said.monai ? `MONAI ${said.monai}` : 'stand-ins'}): prepared ${said.size.join(' x ')}, differs by ${most.toExponential(1)} at most`;
    const call = { model, inputs: [path], out: join(folder, 'out'), overwrite: true };
    if (configuration.task?.kind === 'classification') {
      const { images: found } = await classifyImages(call);
      console.log(
        `${about}; ${JSON.stringify(found[0].probabilities)}, the bundle ${said.probabilities.map((p) => p.toFixed(7)).join(', ')}`,
      );
      continue;
    }
    const report = await segmentImages(call);
    const ours = (await readImage(join(folder, 'out', report.images[0].files[0]))).volume.data;
    const labels = new Int32Array(new Uint8Array(readFileSync(join(folder, 'labels.bin'))).buffer);
    let [differing, labelled] = [0, 0];
    for (let i = 0; i < ours.length; i++) {
      if (ours[i] !== labels[i]) differing++;
      if (ours[i] !== 0) labelled++;
    }
    console.log(
      `${about}; ${report.images[0].windows} windows, ${differing} of ${ours.length} voxels differ (${labelled} labelled)`,
    );
  }
} finally {
  rmSync(folder, { recursive: true });
}
