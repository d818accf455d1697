/** Links to the sections, and which of them the address names. Runs are a view of their own: the other sections have their images, and rest meanwhile. */
import { onAddress } from './address.ts';
import { element } from './dom.ts';

/**
 * Once all sections are on the page.
 * @param apart ids of sections that are shown alone
 * @param onOthers called when the others are first shown
 */
export function startNavigation(apart: readonly string[], onOthers: () => void): void {
  const sections = [...document.querySelectorAll<HTMLElement>('main > section[aria-labelledby]')];
  const links = new Map(
    sections.map((section): [string, HTMLAnchorElement] => {
      const link = document.createElement('a');
      link.href = `#${section.id}`;
      link.textContent = element(section.getAttribute('aria-labelledby')!).textContent;
      return [section.id, link];
    }),
  );
  element('navigation').replaceChildren(...links.values());
  let shown: string | undefined;
  let areOthersNew = true;
  onAddress(({ section }) => {
    const named = links.has(section) ? section : '';
    const alone = apart.includes(named) ? named : '';
    for (const each of sections) each.classList.toggle('away', alone === '' ? apart.includes(each.id) : each.id !== alone);
    for (const [id, link] of links)
      if (id === named) link.setAttribute('aria-current', 'true');
      else link.removeAttribute('aria-current');
    if (alone === '' && areOthersNew) {
      areOthersNew = false;
      onOthers();
    }
    // its options alone have changed: the reader stays where they are
    if (named === (shown ?? '')) return;
    shown = named;
    if (named !== '') {
      // keyboard and screen reader go along
      element(named).scrollIntoView();
      element(named).focus({ preventScroll: true });
    }
  });
}
