/**
 * A viewer whose slices are covered by a heat map. The heat is painted on a canvas of its own, of each slice that is shown no more than its pixels:
 * NiiVue would make a texture of the whole image anew for each of them, and without a GPU a drag would wait for that.
 */
import { cmapper, SHOW_RENDER } from '@niivue/niivue';
import { applyAffine, physicalToVoxel } from '../../../geometry/affine.ts';
import type { Geometry, Xyz } from '../../../geometry/volume.ts';
import { otherFrame, Viewer } from '../../viewer.ts';

/** What lies over the image. */
export interface Heat {
  readonly geometry: Geometry;
  /** One for each voxel, x fastest. */
  readonly values: Float32Array;
  /** Values of the first and the last colour; those below are not shown. */
  readonly range: readonly [number, number];
  /** A voxel (x, y, z) that is marked, with its six neighbours. */
  readonly mark: Xyz;
}

/** A colour of ImageData, as one number. */
const rgba = (red: number, green: number, blue: number, alpha: number): number =>
  new Uint32Array(Uint8Array.of(red, green, blue, alpha).buffer)[0];

const COLOURS = 256;
const MARK = rgba(64, 255, 96, 255);

/** From the first colour to the last. */
function paletteOf(opacity: number): Uint32Array {
  const map = cmapper.colormap('inferno');
  return Uint32Array.from({ length: COLOURS }, (_, k) => rgba(map[4 * k], map[4 * k + 1], map[4 * k + 2], 255 * opacity));
}

const minus = (a: Xyz, b: Xyz): Xyz => [a[0] - b[0], a[1] - b[1], a[2] - b[2]];

/** @param voxelAt the voxel under a pixel of the picture, an affine map */
function paintSlice(
  { geometry, values, range: [low, high], mark }: Heat,
  palette: Uint32Array,
  { data, width, height }: ImageData,
  voxelAt: (u: number, v: number) => Xyz,
): void {
  const pixels = new Uint32Array(data.buffer).fill(0);
  const [nx, ny, nz] = geometry.size;
  const scale = (COLOURS - 1) / (high - low);
  // three pixels tell the map; NiiVue knows nothing of those outside the slice
  const [u, v] = [Math.max(1, width - 2), Math.max(1, height - 2)];
  const start = voxelAt(0, 0);
  const [alongU, alongV] = [minus(voxelAt(u, 0), start), minus(voxelAt(0, v), start)];
  for (let row = 0, at = 0; row < height; row++)
    for (let column = 0; column < width; column++, at++) {
      const [p, q] = [column / u, row / v];
      const x = Math.round(start[0] + p * alongU[0] + q * alongV[0]);
      const y = Math.round(start[1] + p * alongU[1] + q * alongV[1]);
      const z = Math.round(start[2] + p * alongU[2] + q * alongV[2]);
      if (x < 0 || y < 0 || z < 0 || x >= nx || y >= ny || z >= nz) continue;
      const value = values[(z * ny + y) * nx + x];
      if (Math.abs(x - mark[0]) + Math.abs(y - mark[1]) + Math.abs(z - mark[2]) <= 1) pixels[at] = MARK;
      else if (value >= low) pixels[at] = palette[Math.min(COLOURS - 1, Math.round((value - low) * scale))];
    }
}

export class HeatViewer extends Viewer {
  private readonly cover = document.createElement('canvas');
  private covered: HTMLCanvasElement | undefined;
  private heat: Heat | undefined;
  private palette = paletteOf(this.opacity);
  private context: CanvasRenderingContext2D | null = null;
  /** Of each slice, kept from one painting to the next. */
  private readonly pictures: ImageData[] = [];

  override attach(canvas: HTMLCanvasElement, text: HTMLElement, place: HTMLElement): void {
    this.cover.className = 'cover';
    this.cover.setAttribute('aria-hidden', 'true');
    this.cover.hidden = true;
    canvas.after(this.cover);
    this.covered = canvas;
    const { niivue } = this;
    // the heat lies in slices alone, and a rendering is drawn anew with every move
    niivue.opts.multiplanarShowRender = SHOW_RENDER.NEVER;
    super.attach(canvas, text, place);
  }

  /** Whatever moved the slices: crosshair, zoom, size. */
  protected override drawn(): void {
    this.paint();
  }

  override clear(): void {
    this.heat = undefined;
    super.clear();
  }

  /** @param crosshair where it is put (mm, LPS) */
  showHeat(heat: Heat, crosshair: Xyz): void {
    this.heat = heat;
    this.lookAt(crosshair);
  }

  /** Shows no heat: it is the other image that was asked. */
  hideHeat(): void {
    if (!this.heat) return;
    this.heat = undefined;
    this.paint();
  }

  override setOpacity(opacity: number): void {
    this.opacity = opacity;
    this.palette = paletteOf(opacity);
    this.paint();
  }

  private paint(): void {
    const { cover, covered, heat } = this;
    if (!covered) return;
    // pixels that the processor writes stay in its memory
    this.context ??= cover.getContext('2d', { willReadFrequently: true });
    const { context } = this;
    if (!context || (!heat && cover.hidden)) return;
    // of what is empty there is nothing for the browser to compose
    cover.hidden = !heat;
    // a size that is set makes another picture
    if (cover.width !== covered.width) cover.width = covered.width;
    if (cover.height !== covered.height) cover.height = covered.height;
    context.clearRect(0, 0, cover.width, cover.height);
    if (!heat) return;
    for (const [k, { leftTopWidthHeight }] of this.niivue.screenSlices.entries()) {
      const [x, y, w, h] = leftTopWidthHeight;
      const [left, top, width, height] = [Math.round(x), Math.round(y), Math.max(1, Math.round(w)), Math.max(1, Math.round(h))];
      let picture = this.pictures[k];
      if (picture?.width !== width || picture.height !== height) picture = this.pictures[k] = new ImageData(width, height);
      paintSlice(heat, this.palette, picture, (u, v) => this.voxelAt(heat.geometry, k, left + u, top + v));
      context.putImageData(picture, left, top);
    }
  }

  /** The voxel of a grid, with fractions, in the middle of a pixel of the slice k. */
  private voxelAt(geometry: Geometry, k: number, x: number, y: number): Xyz {
    const { niivue } = this;
    const fraction = niivue.screenXY2TextureFrac(x + 0.5, y + 0.5, k, false);
    return applyAffine(physicalToVoxel(geometry), otherFrame(niivue.frac2mm(fraction, 0, true)));
  }
}
