/**
 * What is looked at, in the address: `#SECTION?NAME=VALUE&...`. So a link reopens the same view, and the browser's back and forward buttons work.
 * The part behind `#` stays in the browser. Nothing of it may tell who a patient is: names of images and subjects do not belong there.
 */
import { select } from './dom.ts';

export interface Address {
  /** The id of a section; '' for the top of the page. */
  readonly section: string;
  readonly options: URLSearchParams;
}

export function readAddress(): Address {
  const [, section = '', options = ''] = /^#([\w-]*)\??(.*)$/s.exec(location.hash) ?? [];
  return { section, options: new URLSearchParams(options) };
}

/** The address of a view, for links. Slashes stay readable. */
export function addressOf(section: string, options: URLSearchParams): string {
  const text = options.toString().replaceAll('%2F', '/');
  return `#${section}${text === '' ? '' : `?${text}`}`;
}

/** Writes what is looked at. @param replace for a view's options: the back button does not undo them one by one */
export function writeAddress(section: string, options: URLSearchParams, replace: boolean): void {
  const address = addressOf(section, options);
  if (address === location.hash) return;
  if (replace) history.replaceState(null, '', address);
  else history.pushState(null, '', address);
}

/** Calls for the address that there is, and for each that a link or the back button leads to. */
export function onAddress(listener: (address: Address) => void): void {
  addEventListener('popstate', () => listener(readAddress()));
  listener(readAddress());
}

/** Keeps the choices of a section in the address while it is what the address names, and takes them from there. */
export function keepInAddress(section: string, ids: readonly string[]): void {
  onAddress((address) => {
    if (address.section !== section) return;
    for (const id of ids) {
      const value = address.options.get(id);
      const control = select(id);
      if (value === null || ![...control.options].some((option) => option.value === value) || control.value === value) continue;
      control.value = value;
      control.dispatchEvent(new Event('change'));
    }
  });
  for (const id of ids)
    select(id).addEventListener('change', () => {
      const { section: current, options } = readAddress();
      const kept = current === section ? options : new URLSearchParams();
      kept.set(id, select(id).value);
      writeAddress(section, kept, true);
    });
}
