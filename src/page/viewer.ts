/** NiiVue with an image, and a result over it. */
import { Niivue, NVImage, SHOW_RENDER } from '@niivue/niivue';
import type { Xyz } from '../geometry/volume.ts';

export type Rgb = readonly [red: number, green: number, blue: number];

/** Even steps round the colour circle by the golden angle. */
export function labelColours(count: number): Rgb[] {
  const channel = (hue: number, shift: number): number =>
    Math.round(255 * (0.5 + 0.45 * Math.cos((2 * Math.PI * (hue - shift)) / 360)));
  return Array.from({ length: count }, (_, i) => {
    const hue = (i * 137.508) % 360;
    return [channel(hue, 0), channel(hue, 120), channel(hue, 240)];
  });
}

/** Which slices are shown. */
export type Slices = 'axial' | 'coronal' | 'sagittal' | 'all';

/** Between NiiVue's frame, RAS, and ours, LPS. */
export const otherFrame = (mm: ArrayLike<number>): Xyz => [0 - mm[0], 0 - mm[1], mm[2]];

/** A position (mm, RAS) for people: to a tenth of a millimetre, since voxels may be smaller than one. */
export const positionText = (mm: Xyz): string => mm.map((at) => (Math.round(10 * at) / 10 + 0).toFixed(1)).join(', ');

/** A voxel's value for people: whole numbers as they are, others to the digits that single precision holds, however small they are. */
const valueText = (value: number): string => String(Number.isInteger(value) ? value : +value.toPrecision(6));

/** By how many voxels a key moves the crosshair along NiiVue's axes: to the right, to anterior, to superior. */
const MOVES: Readonly<Record<string, Xyz>> = {
  ArrowLeft: [-1, 0, 0],
  ArrowRight: [1, 0, 0],
  ArrowDown: [0, -1, 0],
  ArrowUp: [0, 1, 0],
  PageDown: [0, 0, -1],
  PageUp: [0, 0, 1],
  KeyH: [-1, 0, 0],
  KeyL: [1, 0, 0],
  KeyJ: [0, -1, 0],
  KeyK: [0, 1, 0],
  KeyD: [0, 0, -1],
  KeyU: [0, 0, 1],
};

/** So many voxels with Shift. */
const FAR = 10;

/** What NiiVue tells of the crosshair. */
interface Location {
  readonly mm: ArrayLike<number>;
  /** From 0 to 1 within the image. */
  readonly frac: ArrayLike<number>;
  readonly values: readonly { readonly value: number }[];
}

const CROSSHAIR_PIXELS = 1.6;

/** Whether WebGL is computed by the processor, as far as it tells. */
function isSoftware(gl: WebGL2RenderingContext): boolean {
  const told = gl.getExtension('WEBGL_debug_renderer_info');
  return /swiftshader|llvmpipe|softpipe|software|basic render/i.test(
    String(gl.getParameter(told ? told.UNMASKED_RENDERER_WEBGL : gl.RENDERER)),
  );
}

export class Viewer {
  protected readonly niivue = new Niivue({
    backColor: [0.09, 0.1, 0.12, 1],
    crosshairColor: [0.35, 0.71, 0.9, 0.8],
    // of the image's extent: so many voxels would be less than a pixel in a fine image
    crosshairWidthUnit: 'percent',
    // the page itself takes what is dropped, and says what is missing
    dragAndDropEnabled: false,
    loadingText: '',
    isResizeCanvas: true,
  });
  protected canvas: HTMLCanvasElement | undefined;
  private text: HTMLElement | undefined;
  private place: HTMLElement | undefined;
  /** What the text says where no image is open. */
  private nothing = '';
  private opened: Promise<boolean> | undefined;
  /** Counts what is asked to be shown, of which the last counts. */
  private turn = 0;
  protected opacity = 0.5;
  /** Of the labels that are shown; null of colours, whose numbers say nothing. */
  protected names: ReadonlyMap<number, string> | null = null;
  protected attached = false;
  private inSoftware = false;
  /** Nobody moved the crosshair: what lies under it changed, or the page put it there. */
  private isTelling = false;
  /** Stands in the canvas's place where there is no WebGL 2. */
  protected readonly without: string = 'This browser has no WebGL 2: images cannot be shown, but results can be saved.';
  /** Told where the user puts the crosshair: mm, LPS. */
  onPoint: (point: Xyz) => void = () => {};

  /** Once an image was to be shown: false where there is no WebGL 2. Then nothing is. */
  get works(): boolean {
    return this.attached;
  }

  /**
   * Says where on the page it is. WebGL begins with the first image: without a GPU that takes a second, and not every view is looked at.
   * @param text stands in the canvas's place while there is no image
   * @param place is told what lies under the crosshair
   */
  attach(canvas: HTMLCanvasElement, text: HTMLElement, place: HTMLElement): void {
    [this.canvas, this.text, this.place] = [canvas, text, place];
    this.nothing = text.textContent ?? '';
    this.niivue.onLocationChange = (location) => {
      place.textContent = this.describe(location as Location);
      if (!this.isTelling) this.onPoint(otherFrame((location as Location).mm));
    };
    // screen readers leave it the keys, and say where they bring the crosshair; with a pointer that would never end
    canvas.setAttribute('role', 'application');
    canvas.addEventListener('pointerdown', () => place.removeAttribute('aria-live'));
    // NiiVue has such keys too, but hears them under the mouse alone
    canvas.addEventListener('keydown', (event) => {
      const move = MOVES[event.code];
      if (!move || event.ctrlKey || event.metaKey || event.altKey) return;
      event.preventDefault();
      event.stopImmediatePropagation();
      if (this.niivue.volumes.length === 0) return;
      place.ariaLive = 'polite';
      const far = event.shiftKey ? FAR : 1;
      this.moveBy(move.map((step) => far * step) as unknown as Xyz);
    });
    this.drawOnceAFrame();
  }

  /** Moves the crosshair by voxels along NiiVue's axes, within the image. */
  protected moveBy([x, y, z]: Xyz): void {
    this.niivue.moveCrosshairInVox(x, y, z);
  }

  /** NiiVue draws at once whatever changes, three times for each move of a drag: without a GPU that takes longer than the time between two frames. */
  private drawOnceAFrame(): void {
    const { niivue } = this;
    const draw = niivue.drawScene.bind(niivue);
    let isAsked = false;
    niivue.drawScene = () => {
      // it reads from the picture what was touched
      if (niivue.uiData.mouseDepthPicker) return draw();
      if (isAsked) return;
      isAsked = true;
      requestAnimationFrame(() => {
        isAsked = false;
        this.drawNow();
      });
    };
    this.drawNow = () => {
      draw();
      this.drawn();
    };
  }
  private drawNow = (): void => {};

  /** Draws with half as many pixels along each axis while something is dragged, where the processor draws: then speed counts more. */
  coarse(isCoarse: boolean): void {
    const ratio = isCoarse ? devicePixelRatio / 2 : 0;
    if (!this.attached || !this.inSoftware || this.niivue.opts.forceDevicePixelRatio === ratio) return;
    this.niivue.opts.forceDevicePixelRatio = ratio;
    this.niivue.resizeListener();
    // where slices lie now must be known before the pointer's next event
    this.drawNow();
  }

  /** After each picture. */
  protected drawn(): void {}

  /** Begins with WebGL; resolves to whether there is one. */
  private async begin(): Promise<boolean> {
    try {
      await this.niivue.attachToCanvas(this.canvas!);
      this.attached = true;
      const { clientWidth, clientHeight } = this.canvas!;
      // each of four views shows the image's extent
      this.niivue.opts.crosshairWidth = (100 * CROSSHAIR_PIXELS) / (Math.min(clientWidth, clientHeight) / 2 || 1);
      // of what is drawn anew with every move, the rendering would take four fifths of the time
      this.inSoftware = isSoftware(this.niivue.gl);
      if (this.inSoftware) this.niivue.opts.multiplanarShowRender = SHOW_RENDER.NEVER;
    } catch {
      this.canvas!.hidden = true;
      this.text!.textContent = this.without;
    }
    return this.attached;
  }

  /** Says anew what lies under the crosshair. */
  protected tell(): void {
    if (!this.attached || this.niivue.volumes.length === 0) return;
    this.isTelling = true;
    this.niivue.createOnLocationChange();
    this.isTelling = false;
  }

  /** The millimetres of the file, as viewers tell them; the image's value, and the result's: a name, if it is a label. */
  private describe({ mm, frac, values }: Location): string {
    const at = `${positionText([mm[0], mm[1], mm[2]])} mm (RAS)`;
    // where a registration leads the crosshair, there may be no voxel
    if (Array.from(frac).some((share) => share < 0 || share > 1)) return `${at}: outside the image`;
    const [image, result] = values.map(({ value }) => value);
    const shown = result === undefined || !this.names ? '' : `; result ${this.names.get(result) ?? result}`;
    return `${at}: ${valueText(image)}${shown}`;
  }

  protected keep(count: number): void {
    while (this.niivue.volumes.length > count) this.niivue.removeVolumeByIndex(this.niivue.volumes.length - 1);
  }

  clearResult(): void {
    if (this.niivue.volumes.length < 2) return;
    this.keep(1);
    this.tell();
  }

  clear(): void {
    this.turn++;
    if (!this.attached) return;
    this.empty();
    this.text!.textContent = this.nothing;
  }

  private empty(): void {
    this.keep(0);
    this.niivue.drawScene();
    this.text!.hidden = false;
    this.place!.textContent = '';
  }

  /** WebGL's errors since the last call. */
  private errors(): Set<number> {
    const { gl } = this.niivue;
    const found = new Set<number>();
    for (let error = gl.getError(); error !== gl.NO_ERROR && error !== gl.CONTEXT_LOST_WEBGL; error = gl.getError())
      found.add(error);
    return found;
  }

  /** Adds a volume. @returns whether it found room: an image's colours take four bytes a voxel of graphics memory */
  protected add(volume: NVImage): boolean {
    const { OUT_OF_MEMORY, INVALID_VALUE, INVALID_FRAMEBUFFER_OPERATION } = this.niivue.gl;
    this.errors();
    this.niivue.addVolume(volume);
    const errors = this.errors();
    return ![OUT_OF_MEMORY, INVALID_VALUE, INVALID_FRAMEBUFFER_OPERATION].some((error) => errors.has(error));
  }

  /** @returns whether it is shown: not where there is no room for it, or another one was asked for meanwhile */
  async showImage(file: File): Promise<boolean> {
    const turn = ++this.turn;
    this.opened ??= this.begin();
    if (!(await this.opened)) return false;
    const volume = await NVImage.loadFromFile({ file, name: file.name });
    if (turn !== this.turn) return false;
    this.keep(0);
    this.text!.hidden = true;
    if (this.add(volume)) {
      this.tell();
      return true;
    }
    this.empty();
    this.text!.textContent = 'This image is too large for the graphics memory here: it is not shown, but results can be saved.';
    return false;
  }

  /** Lays a volume over the image. @returns whether the image is still the one that was shown */
  protected async over(nifti: Uint8Array<ArrayBuffer>, name: string, dress: (volume: NVImage) => void): Promise<boolean> {
    if (!this.attached || this.niivue.volumes.length === 0) return false;
    const { turn } = this;
    this.keep(1);
    this.names = new Map();
    const volume = await NVImage.loadFromFile({ file: new File([nifti], name), name, opacity: this.opacity });
    if (turn !== this.turn) return false;
    dress(volume);
    if (!this.add(volume)) this.keep(1);
    this.tell();
    return true;
  }

  /** Shows what has changed of the first result alone: the image's colours stay as they are. */
  protected refreshResult(): void {
    if (!this.attached || this.niivue.volumes.length < 2) return;
    this.niivue.refreshLayers(this.niivue.volumes[1], 1);
    this.niivue.drawScene();
    this.tell();
  }

  /** In the order of `labelColours`. */
  showLabels(nifti: Uint8Array<ArrayBuffer>, labels: readonly { code: number; name: string }[]): Promise<boolean> {
    const colours = labelColours(labels.length);
    const channel = (k: 0 | 1 | 2): number[] => [0, ...colours.map((colour) => colour[k])];
    return this.over(nifti, 'labels.nii', (volume) => {
      this.names = new Map([[0, 'background'], ...labels.map(({ code, name }) => [code, name] as const)]);
      volume.setColormapLabel({
        R: channel(0),
        G: channel(1),
        B: channel(2),
        A: [0, ...labels.map(() => 255)],
        I: [0, ...labels.map(({ code }) => code)],
        labels: ['background', ...labels.map(({ name }) => name)],
      });
    });
  }

  showColours(nifti: Uint8Array<ArrayBuffer>): Promise<boolean> {
    return this.over(nifti, 'features.nii', () => {
      this.names = null;
    });
  }

  /** Where the crosshair is: mm, LPS. NiiVue must be told (true) to take an oblique image's own axes. */
  point(): Xyz {
    return this.attached ? otherFrame(this.niivue.frac2mm(this.niivue.scene.crosshairPos, 0, true)) : [0, 0, 0];
  }

  /** Puts the crosshair on a point (mm, LPS), without telling `onPoint`. */
  lookAt(point: Xyz): void {
    if (!this.attached || this.niivue.volumes.length === 0) return;
    this.putCrosshair(point);
    this.niivue.drawScene();
    // who asked by keys hears of where they are
    this.place!.ariaLive = null;
    this.tell();
  }
  private putCrosshair(point: Xyz): void {
    const [x, y, z] = otherFrame(point);
    this.niivue.scene.crosshairPos = this.niivue.mm2frac([x, y, z], 0, true);
  }

  /** What is shown of the image at a point (mm, LPS), as the viewer understands its file; null if nothing is shown there. */
  valueAt(point: Xyz): number | null {
    const [volume] = this.niivue.volumes;
    if (!this.attached || !volume) return null;
    const [x, y, z] = otherFrame(point);
    const [i, j, k] = volume.convertFrac2Vox(this.niivue.mm2frac([x, y, z], 0, true));
    return volume.getValue(i, j, k);
  }

  slices(slices: Slices): void {
    const { sliceTypeAxial, sliceTypeCoronal, sliceTypeSagittal, sliceTypeMultiplanar } = this.niivue;
    const types = { axial: sliceTypeAxial, coronal: sliceTypeCoronal, sagittal: sliceTypeSagittal, all: sliceTypeMultiplanar };
    if (this.attached) this.niivue.setSliceType(types[slices]);
  }

  /** Of the result: 0 shows the image alone, 1 the result alone. */
  setOpacity(opacity: number): void {
    this.opacity = opacity;
    if (this.niivue.volumes.length > 1) this.niivue.setOpacity(1, opacity);
  }
}
