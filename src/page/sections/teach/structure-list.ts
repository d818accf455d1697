/** The structures that are taught, a row each: which one the pen draws, its colour, its name, and a button that removes it. */
import { colourOf } from './drawing-viewer.ts';
import { BACKGROUND, type DrawnStructure } from './strokes.ts';

export interface StructureActions {
  choose(code: number): void;
  rename(code: number, name: string): void;
  remove(code: number): void;
}

/** @param value the code that the pen draws */
export function structureRows(structures: readonly DrawnStructure[], value: number, actions: StructureActions): HTMLElement[] {
  return [...structures, { code: BACKGROUND, name: 'background' }].map(({ code, name }) => {
    const row = document.createElement('div');
    const choice = document.createElement('label');
    const radio = document.createElement('input');
    Object.assign(radio, {
      type: 'radio',
      name: 'teach-value',
      value: String(code),
      checked: code === value,
      ariaLabel: `draw ${name}`,
    });
    radio.onchange = () => actions.choose(code);
    const swatch = document.createElement('span');
    swatch.className = 'swatch';
    swatch.style.background = `rgb(${colourOf(code).join(' ')})`;
    choice.append(radio, swatch);
    row.append(choice);
    if (code === BACKGROUND) {
      choice.append(name);
      return row;
    }
    const field = document.createElement('input');
    Object.assign(field, { type: 'text', value: name, ariaLabel: `name of structure ${code}`, maxLength: 60, required: true });
    field.onchange = () => actions.rename(code, field.value.trim() || `structure ${code}`);
    const remove = document.createElement('button');
    Object.assign(remove, { type: 'button', className: 'second', textContent: '\u00d7', ariaLabel: `remove ${name}` });
    remove.disabled = structures.length === 1;
    remove.onclick = () => actions.remove(code);
    row.append(field, remove);
    return row;
  });
}
