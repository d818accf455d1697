/** A viewer with the first image and a view of the registration over it, of which there may be a before. */
import { NVImage } from '@niivue/niivue';
import { Viewer } from '../../viewer.ts';

/** How a view is laid over the image. */
export type Dress = 'overlay' | 'checkerboard' | 'difference' | 'grid' | 'folds';

export class RegistrationViewer extends Viewer {
  private dressed: Dress = 'overlay';

  async show(
    dress: Dress,
    after: Uint8Array<ArrayBuffer>,
    before: Uint8Array<ArrayBuffer> | null,
    opacity: number,
  ): Promise<void> {
    if (!this.attached) return;
    this.dressed = dress;
    this.opacity = dress === 'overlay' ? opacity : 1;
    this.keep(1);
    this.names = null;
    for (const [name, nifti] of [
      ['after.nii', after],
      ['before.nii', before],
    ] as const) {
      if (!nifti) continue;
      const volume = await NVImage.loadFromFile({ file: new File([nifti], name), name, opacity: this.opacity });
      if (dress === 'overlay') volume.colormap = 'hot';
      if (dress === 'checkerboard') volume.colormap = 'gray';
      if (dress === 'grid') volume.colormap = 'green';
      if (dress === 'folds')
        volume.setColormapLabel({ R: [0, 255], G: [0, 40], B: [0, 40], A: [0, 255], I: [0, 1], labels: ['', 'folded'] });
      if (dress === 'checkerboard' || dress === 'grid') [volume.cal_min, volume.cal_max] = [0, 255];
      // the image alone stays
      if (!this.add(volume)) this.keep(1);
    }
  }

  /** Shows what was before the registration, or after; nothing changes where there is no before. */
  showBefore(isBefore: boolean): void {
    if (!this.attached || this.niivue.volumes.length < 3) return;
    this.niivue.setOpacity(1, isBefore ? 0 : this.opacity);
    this.niivue.setOpacity(2, isBefore ? this.opacity : 0);
  }

  override setOpacity(opacity: number): void {
    if (this.dressed !== 'overlay') return;
    const isBefore = (this.niivue.volumes[2]?.opacity ?? 0) > 0;
    this.opacity = opacity;
    this.showBefore(isBefore);
  }
}
