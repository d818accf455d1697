/** Files that the page gives: gzipped, zipped, saved. */
import { zip } from 'fflate';
import type { ModelFiles } from '../apply/network.ts';

/** The same bytes as a .gz file. */
export async function gzipped(bytes: Uint8Array<ArrayBuffer>): Promise<Uint8Array<ArrayBuffer>> {
  const stream = new Blob([bytes]).stream().pipeThrough(new CompressionStream('gzip'));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

/** Files by their paths as a .zip file; what is compressed already is stored as it is. */
export const zipped = (files: Readonly<Record<string, Uint8Array<ArrayBuffer>>>): Promise<Uint8Array<ArrayBuffer>> =>
  new Promise((resolve, reject) => {
    zip({ ...files }, { level: 0 }, (error, bytes) => (error ? reject(error) : resolve(bytes as Uint8Array<ArrayBuffer>)));
  });

/** 'a_labels.nii.gz', or 'a_labels_2.nii.gz' if there is one of that name: images of different folders may have one name. */
export function uniqueName(taken: Readonly<Record<string, unknown>>, stem: string, ending: string): string {
  let name = stem + ending;
  for (let k = 2; name in taken; k++) name = `${stem}_${k}${ending}`;
  return name;
}

/** Saves a file as the browser saves downloads. */
export function save(bytes: Uint8Array<ArrayBuffer>, name: string): void {
  const link = document.createElement('a');
  link.href = URL.createObjectURL(new Blob([bytes]));
  link.download = name;
  link.click();
  // the download has begun by then
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}

/** Saves one file by itself, and several as a .zip of this name. */
export async function saveAll(files: Readonly<Record<string, Uint8Array<ArrayBuffer>>>, zipName: string): Promise<string> {
  const names = Object.keys(files);
  const name = names.length === 1 ? names[0] : zipName;
  save(names.length === 1 ? files[names[0]] : await zipped(files), name);
  return name;
}

/** A model folder of this name as a .zip file. */
export const modelZip = ({ config, weights }: ModelFiles, folder: string): Promise<Uint8Array<ArrayBuffer>> =>
  zipped({
    [`${folder}/config.json`]: new TextEncoder().encode(config),
    [`${folder}/model.safetensors`]: new Uint8Array(weights),
  });
