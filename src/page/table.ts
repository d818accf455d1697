/** A small table of results. */

/** Replaces what a table shows, numbers last; a colour for each row stands before its first cell. No headings: no table. */
export function showTable(
  table: HTMLTableElement,
  headings: readonly string[],
  rows: readonly (readonly string[])[],
  colours: readonly (readonly [red: number, green: number, blue: number])[] = [],
): void {
  const cell = (kind: 'th' | 'td', text: string): HTMLTableCellElement => {
    const made = document.createElement(kind);
    made.textContent = text;
    if (kind === 'th') made.scope = 'col';
    return made;
  };
  const row = (cells: readonly HTMLTableCellElement[]): HTMLTableRowElement => {
    const made = document.createElement('tr');
    made.append(...cells);
    return made;
  };
  table.hidden = headings.length === 0;
  table.tHead?.remove();
  table.createTHead().append(row(headings.map((text) => cell('th', text))));
  table.tBodies[0].replaceChildren(
    ...rows.map((texts, i) => {
      const cells = texts.map((text) => cell('td', text));
      const colour = colours[i];
      if (colour) {
        const swatch = document.createElement('span');
        swatch.className = 'swatch';
        swatch.style.background = `rgb(${colour.join(' ')})`;
        cells[0].prepend(swatch);
      }
      return row(cells);
    }),
  );
}
