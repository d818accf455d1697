/** Says in every section what its works would need of memory, beside what there is, before they begin. */
import { formatBytes } from '../common/format-bytes.ts';
import { select } from './dom.ts';
import type { Workspace } from './workspace.ts';

const WORKS = { segment: 'segmenting', features: 'features', register: 'registering', compare: 'comparing' } as const;
type Work = keyof typeof WORKS;

/** Chrome tells so much, in whole powers of two up to 8. */
const machineText = (): string => {
  const { deviceMemory } = navigator as { deviceMemory?: number };
  if (deviceMemory === undefined) return '';
  return `; this computer has ${deviceMemory >= 8 ? '8 GiB or more' : `about ${deviceMemory} GiB`}`;
};

/** Fills the elements with `data-memory`: the works that they tell of, such as "segment features". */
export function startMemoryLines(workspace: Workspace): void {
  const lines = document.querySelectorAll<HTMLElement>('[data-memory]');
  let latest = 0;

  async function tell(): Promise<void> {
    const mine = ++latest;
    const { first, second, backend, compute } = workspace;
    const found = await compute.estimates(backend, first?.id ?? null, second?.id ?? null).catch(() => null);
    if (mine !== latest) return;
    for (const line of lines) {
      const works = line.dataset.memory!.split(' ') as Work[];
      const needed = works.flatMap((work) => {
        const bytes = found?.[work];
        return bytes === null || bytes === undefined ? [] : [{ name: WORKS[work], bytes }];
      });
      const most = Math.max(0, ...needed.map(({ bytes }) => bytes));
      const texts = needed.map(
        ({ name, bytes }) => `${name} ${Number.isFinite(bytes) ? formatBytes(bytes) : 'more than there is'}`,
      );
      line.hidden = texts.length === 0;
      line.classList.toggle('wrong', found !== null && most > found.limit);
      line.textContent = found
        ? `Memory, at most: ${texts.join(', ')}. Open images hold ${formatBytes(found.images)}; ${formatBytes(found.limit)} can be addressed${machineText()}.`
        : '';
    }
  }

  workspace.onChange((change) => {
    if (change !== 'busy') void tell();
  });
  select('backend').addEventListener('change', () => void tell());
}
