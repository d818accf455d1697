/** What a user chose or dropped. */

/**
 * The two files of a model among those of a folder. A run has several models; the best one is meant, as on the command line.
 * @throws Error saying what was expected
 */
export function modelFiles(files: readonly File[]): { readonly name: string; readonly config: File; readonly weights: File } {
  const find = (name: string): File | undefined =>
    ['', 'best/', 'last/']
      .map((folder) => files.find(({ webkitRelativePath: path }) => path.split('/').slice(1).join('/') === folder + name))
      .find((file) => file !== undefined);
  const [config, weights] = [find('config.json'), find('model.safetensors')];
  if (!config || !weights) {
    const folder = files[0]?.webkitRelativePath.split('/')[0] ?? 'an empty folder';
    throw new Error(`${folder}: expected config.json and model.safetensors, or a run with them in best/ or last/`);
  }
  return { name: config.webkitRelativePath.split('/').slice(0, -1).join('/'), config, weights };
}

/** 'case_7' of 'case_7_0000.nii.gz', nnU-Net's name of its first channel. */
export const imageName = (fileName: string): string =>
  fileName
    .replace(/\.gz$/i, '')
    .replace(/\.nii$/i, '')
    .replace(/_0000$/, '');

/**
 * Takes files that are dropped anywhere on the page, which would otherwise leave it and open them. Those dropped on a field are the field's.
 */
export function takeDropped(take: (file: File) => void): void {
  const onField = ({ target }: DragEvent): boolean => target instanceof HTMLInputElement && target.type === 'file';
  addEventListener('dragover', (event) => {
    if (!onField(event)) event.preventDefault();
  });
  addEventListener('drop', (event) => {
    if (onField(event)) return;
    event.preventDefault();
    const file = event.dataTransfer?.files[0];
    if (file) take(file);
  });
}
