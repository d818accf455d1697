/** Compares both images by their features. */
import * as Comlink from 'comlink';
import { formatBytes } from '../../../common/format-bytes.ts';
import { Activity } from '../../activity.ts';
import type { OnProgress } from '../../compute/state.ts';
import { addSection, button } from '../../dom.ts';
import { missing } from '../../missing.ts';
import type { Workspace } from '../../workspace.ts';
import markup from './compare.html?raw';
import { Comparison } from './comparison.ts';

const PARTS = ['features of the first image', 'features of the second image', 'registration'];

export function startCompare(workspace: Workspace): void {
  const section = addSection(markup);
  const { compute } = workspace;
  const activity = new Activity(section, () => void compute.stop());
  const comparison = new Comparison((side, point, kind) => compute.similar(side, point, kind));

  async function clear(): Promise<void> {
    comparison.clear();
    activity.say('');
    await compute.endCompare();
  }

  workspace.onChange((change) => {
    if (change === 'busy') return;
    button('compare-button').disabled = missing(workspace, 'compare') !== '';
    return clear();
  });

  button('compare-button').onclick = () => {
    const { first, second, backend } = workspace;
    if (!first || !second) return;
    comparison.clear();
    workspace.alone(() =>
      activity.run('computing features ...', async () => {
        let part = 0;
        const onProgress: OnProgress = (done, of, memoryBytes) => {
          if (done === 0) part++;
          const what = PARTS[part - 1] ?? 'comparing';
          if (done === 0) activity.say(`${what}: ${formatBytes(memoryBytes)} of memory`);
          else activity.advance(done, of, `${what}: ${done} of ${of}`);
        };
        const compared = await compute.compare(second.id, first.id, backend, Comlink.proxy(onProgress));
        await comparison.show(compared, { fixed: await workspace.niftiOf(first), moving: await workspace.niftiOf(second) });
        return [`done in ${compared.seconds.toFixed(1)} s on ${compared.backend}`, ...compared.warnings].join('; ');
      }),
    );
  };

  comparison.attach();
}
