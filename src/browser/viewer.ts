/** NiiVue with an image, and a result over it. */
import { Niivue, NVImage } from '@niivue/niivue';

const OPACITY = 0.5;

/** Red, green and blue of the label codes: even steps round the colour circle by the golden angle. */
function colourMap(codes: readonly number[], names: readonly string[]) {
  const channel = (hue: number, shift: number): number =>
    Math.round(255 * (0.5 + 0.45 * Math.cos((2 * Math.PI * (hue - shift)) / 360)));
  const hues = codes.map((_, i) => (i * 137.508) % 360);
  const of = (shift: number): number[] => [0, ...hues.map((hue) => channel(hue, shift))];
  return {
    R: of(0),
    G: of(120),
    B: of(240),
    A: [0, ...codes.map(() => 255)],
    I: [0, ...codes],
    labels: ['background', ...names],
  };
}

export class Viewer {
  private readonly niivue = new Niivue({
    backColor: [0.09, 0.1, 0.12, 1],
    crosshairColor: [0.35, 0.71, 0.9, 0.8],
    crosshairWidth: 0.2,
    show3Dcrosshair: true,
    // nothing is loaded that is not part of the page
    dragAndDropEnabled: false,
    isResizeCanvas: true,
  });

  async attach(canvas: HTMLCanvasElement): Promise<void> {
    await this.niivue.attachToCanvas(canvas);
  }

  private clear(keep: number): void {
    while (this.niivue.volumes.length > keep) this.niivue.removeVolumeByIndex(this.niivue.volumes.length - 1);
  }

  async showImage(file: File): Promise<void> {
    this.clear(0);
    this.niivue.addVolume(await NVImage.loadFromFile({ file, name: file.name }));
  }

  private async over(nifti: Uint8Array<ArrayBuffer>, name: string): Promise<NVImage> {
    this.clear(1);
    return NVImage.loadFromFile({ file: new File([nifti], name), name, opacity: OPACITY });
  }

  async showLabels(nifti: Uint8Array<ArrayBuffer>, labels: readonly { code: number; name: string }[]): Promise<void> {
    const volume = await this.over(nifti, 'labels.nii');
    volume.setColormapLabel(
      colourMap(
        labels.map(({ code }) => code),
        labels.map(({ name }) => name),
      ),
    );
    this.niivue.addVolume(volume);
    this.niivue.updateGLVolume();
  }

  async showColours(nifti: Uint8Array<ArrayBuffer>): Promise<void> {
    this.niivue.addVolume(await this.over(nifti, 'features.nii'));
  }

  /** In warm colours over the first image's grey: where both agree, edges coincide. */
  async showWarped(nifti: Uint8Array<ArrayBuffer>): Promise<void> {
    const volume = await this.over(nifti, 'warped.nii');
    volume.colormap = 'warm';
    this.niivue.addVolume(volume);
  }
}
