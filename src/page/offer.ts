/** Results as links that save them. */

import { element } from './dom.ts';
import { gzipped } from './download.ts';

/** Makes a link save a file. */
export function offer(link: string, bytes: Uint8Array<ArrayBuffer>, name: string): void {
  const anchor = element<HTMLAnchorElement>(link);
  URL.revokeObjectURL(anchor.href);
  anchor.href = URL.createObjectURL(new Blob([bytes]));
  anchor.download = name;
  anchor.textContent = `Save ${name}`;
}

/** Makes a link save a .nii file as `name`.nii.gz. */
export const offerGzipped = async (link: string, nifti: Uint8Array<ArrayBuffer>, name: string): Promise<void> =>
  offer(link, await gzipped(nifti), `${name}.nii.gz`);
