/** Makes a part that scrolls one that the keyboard reaches. */
export function scrollable(region: HTMLElement, label: string): void {
  region.tabIndex = 0;
  // no landmark: a page of results has many
  region.setAttribute('role', 'group');
  region.setAttribute('aria-label', label);
}

/** The same for the report's tables and pictures, which may be wider than the window; each is named by its heading. */
export function letScroll(place: HTMLElement): void {
  for (const region of place.querySelectorAll<HTMLElement>('.scroll'))
    scrollable(
      region,
      region.closest('figure, section, details, div')?.querySelector('h2, h3, h4, summary')?.textContent ?? 'table',
    );
}
