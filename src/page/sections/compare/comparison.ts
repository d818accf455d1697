/** Two images side by side: a point in one, and what the other has of it. */
import type { FeatureKind, Side } from '../../../apply/similarity/correspondence.ts';
import type { Xyz } from '../../../geometry/volume.ts';
import type { Compared, Similar } from '../../compute/compare.ts';
import { showTable } from '../../table.ts';
import { otherFrame, positionText } from '../../viewer.ts';
import { HeatViewer } from './heat-viewer.ts';

const SIDES = ['fixed', 'moving'] as const;
const other = { fixed: 'moving', moving: 'fixed' } as const;
const element = <Type extends HTMLElement>(id: string): Type => document.getElementById(id) as Type;

/** As the viewers tell positions: RAS. */
const text = (point: Xyz): string => positionText(otherFrame(point));
const similarityText = (similarity: number | null): string => (similarity === null ? 'outside' : similarity.toFixed(3));

interface Question {
  readonly side: Side;
  readonly point: Xyz;
}

export class Comparison {
  private readonly viewers = { fixed: new HeatViewer(), moving: new HeatViewer() };
  private readonly similar: (side: Side, point: Xyz, kind: FeatureKind) => Promise<Similar | null>;
  /** What is being asked, or was last. */
  private last: Question | undefined;
  /** What the user asked since: of a drag the latest place alone. */
  private next: Question | undefined;
  private asking = false;
  /** What is shown; none before. */
  private compared: Compared | undefined;

  constructor(similar: (side: Side, point: Xyz, kind: FeatureKind) => Promise<Similar | null>) {
    this.similar = similar;
    for (const side of SIDES) this.viewers[side].onPoint = (point) => void this.ask({ side, point });
    for (const id of ['kind', 'follow']) element(id).onchange = () => this.last && void this.ask(this.last);
    const heat = element<HTMLInputElement>('heat');
    heat.oninput = () => {
      for (const side of SIDES) this.viewers[side].setOpacity(Number(heat.value));
    };
  }

  attach(): void {
    const coarse = (isCoarse: boolean): void => {
      for (const side of SIDES) this.viewers[side].coarse(isCoarse);
    };
    for (const side of SIDES) {
      const canvas = element<HTMLCanvasElement>(`viewer-${side}`);
      this.viewers[side].attach(canvas, element(`viewer-${side}-text`), element(`place-${side}`));
      // before the viewer hears of the same move
      canvas.addEventListener('pointermove', ({ buttons }) => coarse(buttons === 1), { capture: true });
    }
    for (const event of ['pointerup', 'pointercancel']) addEventListener(event, () => coarse(false));
  }

  clear(): void {
    this.compared = undefined;
    this.last = undefined;
    for (const side of SIDES) this.viewers[side].clear();
    showTable(element<HTMLTableElement>('compare-table'), [], []);
    element('compare-said').textContent = '';
  }

  /** Shows both images, and asks about the middle of the first. */
  async show(compared: Compared, files: Readonly<Record<Side, File>>): Promise<void> {
    for (const side of SIDES) await this.viewers[side].showImage(files[side]);
    this.compared = compared;
    await this.ask({ side: 'fixed', point: this.viewers.fixed.point() });
  }

  private async ask(question: Question): Promise<void> {
    this.next = question;
    if (this.asking || !this.compared) return;
    this.asking = true;
    try {
      while (this.next) {
        this.last = this.next;
        this.next = undefined;
        await this.answer(this.last);
      }
    } finally {
      this.asking = false;
    }
  }

  private async answer({ side, point }: Question): Promise<void> {
    const found = await this.similar(side, point, element<HTMLSelectElement>('kind').value as FeatureKind);
    if (!this.compared) return;
    const table = element<HTMLTableElement>('compare-table');
    if (!found) {
      showTable(table, [], []);
      element('compare-said').textContent = 'The network saw nothing there.';
      return;
    }
    const { best, field, distanceMm } = found;
    this.viewers[side].hideHeat();
    const follow = element<HTMLSelectElement>('follow').value;
    const crosshair = field && follow === 'field' ? field.position : best.position;
    const heat = { geometry: this.compared.grids[other[side]], values: found.values, range: found.range, mark: best.voxel };
    this.viewers[other[side]].showHeat(heat, crosshair);
    showTable(
      table,
      [`in the ${side === 'fixed' ? 'second' : 'first'} image`, 'mm (RAS)', 'similarity'],
      [
        ['best match', text(best.position), similarityText(best.similarity)],
        ...(field ? [['registration', text(field.position), similarityText(field.similarity)]] : []),
      ],
    );
    element('compare-said').textContent =
      distanceMm === null ? 'This network predicts no registration.' : `${distanceMm.toFixed(1)} mm between both answers.`;
  }
}
