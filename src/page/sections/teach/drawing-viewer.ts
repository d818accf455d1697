/** A viewer that is drawn on, and shows a label map over the image in the colours of the strokes. */
import { cmapper, type NVImage } from '@niivue/niivue';
import type { Xyz } from '../../../geometry/volume.ts';
import { labelColours, type Rgb, Viewer } from '../../viewer.ts';
import { BACKGROUND, type DrawnStructure } from './strokes.ts';

/** What dragging does. */
export type Tool = 'look' | 'pen' | 'filled' | 'eraser';

const COLOURS = labelColours(BACKGROUND - 1);
const BACKGROUND_COLOUR: Rgb = [205, 205, 215];
/** A code's colour, whatever other structures there are. */
export const colourOf = (code: number): Rgb => (code === BACKGROUND ? BACKGROUND_COLOUR : COLOURS[code - 1]);

const STROKE_OPACITY = 0.9;

/** A colour map of NiiVue. @param codes may be changed by NiiVue */
function colourMap(codes: number[], names: string[]) {
  const channel = (k: 0 | 1 | 2): number[] => [0, ...codes.map((code) => colourOf(code)[k])];
  return {
    R: channel(0),
    G: channel(1),
    B: channel(2),
    A: [0, ...codes.map(() => 255)],
    I: [0, ...codes],
    labels: ['', ...names],
  };
}

/** Where the file's voxels are in NiiVue's drawing, which lies along patient axes. */
interface Order {
  /** x, y and z of the drawing. */
  readonly size: readonly number[];
  /** Index in the file of the drawing's first voxel, and by how much it changes along x, y and z of the drawing. */
  readonly first: number;
  readonly step: readonly number[];
}

export class DrawingViewer extends Viewer {
  protected override readonly without =
    'This browser has no WebGL 2: images cannot be shown or drawn on. Strokes can be opened as files.';
  private tool: Tool = 'look';
  private value = BACKGROUND;
  /** Told after each stroke. */
  onDrawn: () => void = () => {};

  /** Where the pen was last, in voxels of the drawing, while the keyboard holds it down. */
  private penAt: Xyz | undefined;
  /** The voxels where it was, for the filled pen. */
  private way: Xyz[] = [];

  override attach(canvas: HTMLCanvasElement, text: HTMLElement, place: HTMLElement): void {
    super.attach(canvas, text, place);
    this.niivue.onDrawingChanged = (action) => action === 'draw' && !this.isPenDown && this.onDrawn();
    // a stroke that leaves the canvas ends there, of which NiiVue says nothing
    canvas.addEventListener('mouseleave', () => this.tool !== 'look' && !this.isPenDown && this.onDrawn());
    for (const event of ['blur', 'pointerdown']) canvas.addEventListener(event, () => this.liftPen(), { capture: true });
  }

  setTool(tool: Tool, value: number, sizeVoxels: number): void {
    if (tool !== this.tool || value !== this.value) this.liftPen();
    [this.tool, this.value] = [tool, value];
    if (!this.attached) return;
    this.niivue.opts.penSize = sizeVoxels;
    this.niivue.setDrawingEnabled(tool !== 'look' && this.niivue.volumes.length > 0);
    this.niivue.setPenValue(tool === 'eraser' ? 0 : value, tool === 'filled');
    this.canvas!.style.cursor = tool === 'look' ? '' : 'crosshair';
  }

  // ---- the pen of who has no mouse

  /** Whether moves of the crosshair draw. */
  get isPenDown(): boolean {
    return this.penAt !== undefined;
  }

  /** Puts the pen down at the crosshair, which draws a dot there; moves of the crosshair draw until it is lifted. @returns whether there is something to draw with and on */
  putPenDown(): boolean {
    const { niivue } = this;
    if (!this.attached || this.tool === 'look' || !niivue.drawBitmap || this.isPenDown) return false;
    this.drawTo(niivue.frac2vox(niivue.scene.crosshairPos) as Xyz);
    return true;
  }

  /** Ends the stroke; what the filled pen went around in one slice is filled. Nothing happens while the pen is up. */
  liftPen(): void {
    if (!this.penAt) return;
    const { niivue, way } = this;
    const slice = way.length > 1 ? [2, 1, 0].find((axis) => way.every((at) => at[axis] === way[0][axis])) : undefined;
    if (this.tool === 'filled' && slice !== undefined) {
      // NiiVue's numbers of slices: 0 axial, 1 coronal, 2 sagittal
      niivue.drawPenAxCorSag = 2 - slice;
      niivue.drawPenFillPts = way.map((at) => [...at]);
      niivue.drawPenFilled();
      niivue.drawPenAxCorSag = -1;
      niivue.drawScene();
    }
    // before it is told: the stroke has ended
    this.penAt = undefined;
    this.way = [];
    this.onDrawn();
  }

  protected override moveBy(step: Xyz): void {
    super.moveBy(step);
    if (this.penAt) this.drawTo(this.niivue.frac2vox(this.niivue.scene.crosshairPos) as Xyz);
  }

  /** A line from where the pen was, as wide as the pen in axial slices. */
  private drawTo(at: Xyz): void {
    const { niivue } = this;
    const value = this.tool === 'eraser' ? 0 : this.value;
    niivue.drawPenAxCorSag = 0;
    if (this.penAt) niivue.drawPenLine([...this.penAt], [...at], value);
    else niivue.drawPt(at[0], at[1], at[2], value);
    niivue.drawPenAxCorSag = -1;
    niivue.refreshDrawing(true);
    this.penAt = at;
    this.way.push(at);
  }

  setStructures(structures: readonly DrawnStructure[]): void {
    const codes = structures.map(({ code }) => code);
    const names = structures.map(({ name }) => name);
    this.names = new Map([[0, 'background'], ...structures.map(({ code, name }) => [code, name] as const)]);
    if (!this.attached) return;
    this.niivue.drawLut = cmapper.makeDrawLut(colourMap([...codes, BACKGROUND], [...names, 'background']) as unknown as string);
    this.labels?.setColormapLabel(colourMap(codes, names));
    this.refreshResult();
  }

  /**
   * Shows an image with nothing drawn on it and no label map.
   * @param empty a .nii file of zeros on its grid
   * @returns whether it is shown: another one may have been asked for meanwhile
   */
  async show(image: File, empty: Uint8Array<ArrayBuffer>): Promise<boolean> {
    if (!(await this.showImage(image))) return false;
    this.niivue.setDrawOpacity(STROKE_OPACITY);
    const { names } = this;
    if (!(await this.over(empty, 'labels.nii', (volume) => volume.setColormapLabel(colourMap([], []))))) return false;
    this.names = names;
    this.tell();
    this.niivue.createEmptyDrawing();
    return true;
  }

  /** Shows a label map of the image, in the file's order of voxels. */
  setLabels(codes: Uint8Array | null): void {
    const img = this.labels?.img;
    if (!img) return;
    if (codes) img.set(codes);
    else img.fill(0);
    this.refreshResult();
  }

  /** The strokes in the file's order of voxels; null without an image. */
  strokes(): Uint8Array | null {
    const drawing = this.niivue.drawBitmap;
    const order = this.order;
    if (!this.attached || !drawing || !order) return null;
    const out = new Uint8Array(drawing.length);
    this.inOrder(order, (inFile, inDrawing) => {
      out[inFile] = drawing[inDrawing];
    });
    return out;
  }

  setStrokes(strokes: Uint8Array): void {
    const drawing = this.niivue.drawBitmap;
    const order = this.order;
    if (!this.attached || !drawing || !order || drawing.length !== strokes.length) return;
    this.inOrder(order, (inFile, inDrawing) => {
      drawing[inDrawing] = strokes[inFile];
    });
    this.niivue.refreshDrawing(true);
  }

  private get labels(): NVImage | undefined {
    return this.attached ? this.niivue.volumes[1] : undefined;
  }

  private get order(): Order | null {
    const image = this.niivue.volumes[0];
    if (!image?.dimsRAS || !image.img2RASstart || !image.img2RASstep) return null;
    const { dimsRAS, img2RASstart, img2RASstep } = image;
    return { size: dimsRAS.slice(1, 4), first: img2RASstart.reduce((sum, each) => sum + each, 0), step: img2RASstep };
  }

  private inOrder({ size, first, step }: Order, visit: (inFile: number, inDrawing: number) => void): void {
    const [nx, ny, nz] = size;
    for (let z = 0, at = 0; z < nz; z++)
      for (let y = 0; y < ny; y++) {
        let inFile = first + y * step[1] + z * step[2];
        for (let x = 0; x < nx; x++, at++, inFile += step[0]) visit(inFile, at);
      }
  }
}
