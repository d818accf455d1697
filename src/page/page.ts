/** The page: a workspace, and the sections that are given it. */
import * as Comlink from 'comlink';
import type { BackendName } from '../platform/browser/backends.ts';
import { keepInAddress } from './address.ts';
import { element, select } from './dom.ts';
import { LabelMaps } from './label-maps.ts';
import { startMemoryLines } from './memory-lines.ts';
import { startMissingLines } from './missing.ts';
import { startNavigation } from './navigation.ts';
import { startApply } from './sections/apply/apply.ts';
import { startCompare } from './sections/compare/compare.ts';
import { startFineTune } from './sections/fine-tune/fine-tune.ts';
import { startOpen } from './sections/open/open.ts';
import { startRegister } from './sections/register/register.ts';
import { startRuns } from './sections/runs/runs.ts';
import { startStart } from './sections/start/start.ts';
import { startTeach } from './sections/teach/teach.ts';
import { startTrain } from './sections/train/train.ts';
import { Workspace } from './workspace.ts';

const worker = new Worker(new URL('./compute/worker.ts', import.meta.url), { type: 'module' });
worker.onerror = ({ message }) => {
  element('notes').textContent = `The worker of the page failed: ${message}`;
};
const workspace = new Workspace(worker, () => select('backend').value as BackendName);

// in their order on the page
const openExample = startStart(workspace);
startOpen(workspace);
const viewer = startApply(workspace);
startRegister(workspace);
startCompare(workspace);
const maps = new LabelMaps();
const teaching = startTeach(workspace, maps);
const fineTuned = startFineTune(workspace, maps);
const { losses } = startTrain(workspace);
startRuns();
async function showDevices(): Promise<void> {
  const { choices, notes } = await workspace.compute.devices();
  select('backend').append(...choices.map(({ name, label }) => new Option(label, name)));
  element('notes').textContent = notes.join(' ');
  element('where').textContent +=
    ` The page and the network (1 MB) came from ${location.host}; everything else is computed in this browser, on its ${choices[0].label}.`;
}
const devices = showDevices();
/** The example, unless something is open already. */
async function openFirst(): Promise<void> {
  await devices;
  if (!workspace.model && workspace.images.length === 0) await openExample();
}
/** For who watches runs the example waits: its images cost the time of a viewer. */
let opening = Promise.resolve();
startNavigation(['runs'], () => {
  opening = openFirst();
});
keepInAddress('compare', ['kind', 'follow']);
keepInAddress('training', ['width']);
startMissingLines(workspace);
startMemoryLines(workspace);

// work is lost with the page, and so is its result
addEventListener('beforeunload', (event) => {
  if (workspace.busy) event.preventDefault();
});

await devices;
await opening;

/** For scripts and the tests. */
Object.assign(globalThis, {
  gvsl: { workspace, compute: workspace.compute, viewer, Comlink, losses, teaching, fineTuned, ready: true },
});
