/** What draws: the tool, its size and the code that it leaves, chosen by pointer or by keys; and what the keys say of it to screen readers. */
import { input, say } from '../../dom.ts';
import type { DrawingViewer, Tool } from './drawing-viewer.ts';
import { BACKGROUND, type DrawnStructure } from './strokes.ts';

/** What the pen is told of what is drawn on. */
export interface Paper {
  readonly structures: readonly DrawnStructure[];
  /** Whether an image is open to draw on. */
  readonly isThere: boolean;
  /** Voxels that are drawn on it. */
  readonly drawnVoxels: number;
}

const voxelsText = (count: number): string => `${count} ${count === 1 ? 'voxel' : 'voxels'}`;

export class Pen {
  /** What it draws: a structure's code, or `BACKGROUND`. */
  value: number;
  private readonly section: HTMLElement;
  private readonly viewer: DrawingViewer;
  private readonly paper: () => Paper;
  private readonly size = input('teach-size');
  /** The last size that the field held rightly. */
  private lastSize = Number(this.size.value);

  constructor(section: HTMLElement, viewer: DrawingViewer, paper: () => Paper) {
    this.section = section;
    this.viewer = viewer;
    this.paper = paper;
    this.value = paper().structures[0].code;
    for (const one of section.querySelectorAll<HTMLInputElement>('[name=teach-tool]')) one.onchange = () => this.use();
    this.size.onchange = () => this.size.reportValidity() && this.use();
  }

  private get tool(): Tool {
    return this.section.querySelector<HTMLInputElement>('[name=teach-tool]:checked')!.value as Tool;
  }

  /** Makes the viewer draw as it is chosen. */
  use(): void {
    if (this.size.validity.valid) this.lastSize = Number(this.size.value);
    this.viewer.setTool(this.tool, this.value, this.lastSize);
  }

  private useTool(name: Tool): void {
    this.section.querySelector<HTMLInputElement>(`[name=teach-tool][value=${name}]`)!.checked = true;
    this.use();
  }

  /** Draws this from now on. */
  choose(code: number): void {
    this.value = code;
    if (this.tool === 'eraser' || this.tool === 'look') this.useTool('pen');
    else this.use();
  }

  /** Says what a key did. */
  tell(text: string): void {
    say('teach-said', text);
  }

  /** Says what a key did, and how much is drawn since. */
  tellDrawn(what: string): void {
    this.tell(`${what} ${voxelsText(this.paper().drawnVoxels)} drawn on this image.`);
  }

  private nameOf(code: number): string {
    return this.paper().structures.find((one) => one.code === code)?.name ?? 'background';
  }

  private lift(): void {
    this.viewer.liftPen();
    this.tellDrawn(this.tool === 'eraser' ? 'Erased;' : `Stroke of ${this.nameOf(this.value)};`);
  }

  private putDown(): boolean {
    if (this.viewer.putPenDown()) return true;
    this.tell(
      this.paper().isThere ? 'Nothing draws: P chooses the pen, F the filled pen, E the eraser.' : 'Open an image to draw on it.',
    );
    return false;
  }

  private resize(by: 1 | -1): void {
    if (by > 0) this.size.stepUp();
    else this.size.stepDown();
    this.use();
    this.tell(`Pen of ${voxelsText(this.lastSize)}.`);
  }

  private takeUp(name: Tool, said: string): void {
    this.useTool(name);
    this.tell(said);
  }

  /** What a key does in the viewer, beside the crosshair's keys. @returns whether it does anything */
  pressed(key: string): boolean {
    const { viewer } = this;
    if (/^[0-9]$/.test(key)) {
      const code = key === '0' ? BACKGROUND : this.paper().structures[Number(key) - 1]?.code;
      if (code === undefined) this.tell(`There is no structure ${key}.`);
      else {
        this.choose(code);
        this.section.querySelector<HTMLInputElement>(`[name=teach-value][value="${code}"]`)!.checked = true;
        this.tell(`Draws ${this.nameOf(code)}.`);
      }
    } else if (key === ' ') {
      if (!viewer.isPenDown && !this.putDown()) return true;
      this.lift();
    } else if (key === 'enter' && !viewer.isPenDown) {
      if (this.putDown())
        this.tell(`Pen down, ${this.tool === 'eraser' ? 'erases' : `draws ${this.nameOf(this.value)}`}. Enter lifts it.`);
    } else if ((key === 'enter' || key === 'escape') && viewer.isPenDown) this.lift();
    else if (key === '+' || key === '=') this.resize(1);
    else if (key === '-') this.resize(-1);
    else if (key === 'p') this.takeUp('pen', 'Pen.');
    else if (key === 'f') this.takeUp('filled', 'Filled pen.');
    else if (key === 'e') this.takeUp('eraser', 'Eraser.');
    else return false;
    return true;
  }
}
