/** Says in every section what its works would need of memory, beside what there is, before they begin. */
import { formatBytes } from '../common/format-bytes.ts';
import type { Need } from './compute/memory.ts';
import { element, select } from './dom.ts';
import type { Workspace } from './workspace.ts';

const WORKS = {
  segment: 'segmenting',
  features: 'features',
  register: 'registering',
  compare: 'comparing',
  teach: 'teaching',
} as const;
type Work = keyof typeof WORKS;

interface NamedNeed {
  readonly name: string;
  readonly bytes: number;
}

/** Chrome tells so much, in whole powers of two up to 8. */
const machineText = (): string => {
  const { deviceMemory } = navigator as { deviceMemory?: number };
  if (deviceMemory === undefined) return '';
  return `; this computer has ${deviceMemory >= 8 ? '8 GiB or more' : `about ${deviceMemory} GiB`}`;
};

/** Fills a line, and warns in it of what will not fit. @param images bytes that open images hold, if they count */
function showNeeds(line: HTMLElement, needs: readonly NamedNeed[], limit: number, images?: number): void {
  const texts = needs.map(({ name, bytes }) => `${name} ${Number.isFinite(bytes) ? formatBytes(bytes) : 'more than there is'}`);
  const tooMuch = needs.filter(({ bytes }) => bytes > limit).map(({ name }) => name);
  line.hidden = texts.length === 0;
  line.classList.toggle('wrong', tooMuch.length > 0);
  line.textContent = [
    `Memory, at most: ${texts.join(', ')}.`,
    `${images === undefined ? '' : `Open images hold ${formatBytes(images)}; `}${formatBytes(limit)} can be addressed${machineText()}.`,
    ...(tooMuch.length > 0
      ? [`There is not enough for ${tooMuch.join(' and ')} here: use less of it, or gvsl on the command line.`]
      : []),
  ].join(' ');
}

/**
 * A line of one work, told anew whenever something changes that it depends on.
 * @param need asks the worker; null: nothing to say
 * @returns what tells it anew
 */
export function memoryLine(id: string, name: string, need: () => Promise<Need | null>): () => Promise<void> {
  const line = element(id);
  let latest = 0;
  async function tell(): Promise<void> {
    const mine = ++latest;
    const found = await need().catch(() => null);
    if (mine !== latest) return;
    if (found) showNeeds(line, [{ name, bytes: found.bytes }], found.limit);
    else line.hidden = true;
  }
  select('backend').addEventListener('change', () => void tell());
  return tell;
}

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
      const needs = works.flatMap((work) => {
        const bytes = found?.[work] ?? null;
        return bytes === null ? [] : [{ name: WORKS[work], bytes }];
      });
      if (found) showNeeds(line, needs, found.limit, found.images);
      else line.hidden = true;
    }
  }

  workspace.onChange((change) => {
    if (change !== 'busy') void tell();
  });
  select('backend').addEventListener('change', () => void tell());
}
