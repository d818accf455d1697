/** Elements of the page by their ids, and the markup of its sections. */

export const element = <Type extends HTMLElement>(id: string): Type => document.getElementById(id) as Type;
export const input = (id: string): HTMLInputElement => element<HTMLInputElement>(id);
export const button = (id: string): HTMLButtonElement => element<HTMLButtonElement>(id);
export const select = (id: string): HTMLSelectElement => element<HTMLSelectElement>(id);
export const table = (id: string): HTMLTableElement => element<HTMLTableElement>(id);

/** Whether fields hold what they may; at the first that does not the browser says what is expected. */
export const areValid = (...ids: readonly string[]): boolean => ids.every((id) => input(id).reportValidity());

/** Puts a section behind those that are there. @param markup of this page's own: `import markup from './NAME.html?raw'` */
export function addSection(markup: string): HTMLElement {
  const template = document.createElement('template');
  template.innerHTML = markup;
  const section = template.content.firstElementChild as HTMLElement;
  document.querySelector('main')!.append(section);
  return section;
}

/** Says something in a line of text, as an error if it is one. */
export function say(id: string, text: string, wrong = false): void {
  element(id).textContent = text;
  element(id).classList.toggle('wrong', wrong);
}
