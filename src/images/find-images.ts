/** What the files of a folder are, and which of them make an image together: see `node/find.ts`, which lists folders. */
import { MachineError, RunError } from '../common/errors.ts';
import { type DicomSource, dicomSources, GZIPPED_DICOM, isDicomFile, type NotRead } from './dicom/sources.ts';
import type { FileStore } from './file-store.ts';
import { isImageName, isVoxelHalf, kindOfName, withoutEnding } from './recognise.ts';

/** An image to read. */
export type ImageSource = { readonly kind: 'file'; readonly path: string } | DicomSource;

export interface Found {
  /** Sorted by path. */
  readonly images: readonly ImageSource[];
  /** Files that should be images but could not be looked at: damaged, truncated, no permission. */
  readonly refused: readonly NotRead[];
  /** Files that were recognised as something else, with what they are: DICOM SEG, structured report, dose, hidden file, ... */
  readonly passedOver: readonly NotRead[];
}

/** What systems leave in folders, and what a killed process of ours leaves. */
const LITTER = /^(\._.*|\.DS_Store|\..*\.part|Thumbs\.db|desktop\.ini)$/i;

/** Takes files one after the other, and tells the images that they are. */
export class ImageSearch {
  private readonly store: FileStore;
  private readonly files: ImageSource[] = [];
  private readonly dicom: string[] = [];
  private readonly refused: NotRead[] = [];
  private readonly passedOver: NotRead[] = [];

  constructor(store: FileStore) {
    this.store = store;
  }

  /** Notes a file or folder that cannot be looked at. */
  refuse(path: string, reason: string): void {
    this.refused.push({ path, reason });
  }

  passOver(path: string, reason: string): void {
    this.passedOver.push({ path, reason });
  }

  /**
   * Looks at a file.
   * @param name its own, without its folder
   * @param names of its folder
   * @throws MachineError
   */
  async look(name: string, path: string, names: readonly string[]): Promise<void> {
    if (LITTER.test(name)) return;
    const isDicom = await isDicomFile(this.store, path).catch((error) => {
      if (error instanceof MachineError || !(error instanceof RunError)) throw error;
      // what cannot be opened is refused as what its name says it is; without an ending it may be a slice
      if (!isImageName(name) && !/\.[a-z]\w{1,4}$/i.test(name)) this.refuse(path, error.message);
      return false;
    });
    if (isDicom || (kindOfName(name) === 'DICOM' && !name.startsWith('.'))) this.dicom.push(path);
    else if (name.startsWith('.')) this.passOver(path, 'a hidden file');
    else if (/\.gz$/i.test(name) && kindOfName(name.slice(0, -3)) === 'DICOM') this.refuse(path, GZIPPED_DICOM);
    else if (isVoxelHalf(name)) {
      const base = withoutEnding(name).toLowerCase();
      const hasHeader = names.some((n) => n.toLowerCase() === `${base}.hdr` || n.toLowerCase() === `${base}.hdr.gz`);
      if (!hasHeader) this.files.push({ kind: 'file', path });
    } else if (isImageName(name)) this.files.push({ kind: 'file', path });
  }

  /** @throws MachineError */
  async finish(): Promise<Found> {
    const series = await dicomSources(this.store, this.dicom);
    const images = [...this.files, ...series.images];
    const key = (image: ImageSource): string =>
      image.kind === 'dicom' && image.name ? `${image.path}/${image.name}` : image.path;
    const order = new Intl.Collator('en', { numeric: true });
    return {
      images: images.sort((a, b) => order.compare(key(a), key(b)) || (key(a) < key(b) ? -1 : 1)),
      refused: [...this.refused, ...series.refused],
      passedOver: [...this.passedOver, ...series.passedOver],
    };
  }
}
