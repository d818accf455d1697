/** Live curves of the losses: running means, since one pair of patients is harder than another. */
import uPlot from 'uplot';
import 'uplot/dist/uPlot.min.css';

/** Steps of a mean. */
const WINDOW = 20;
const HEIGHT = 320;

const CURVES: Readonly<Record<string, { readonly label: string; readonly stroke: string }>> = {
  total: { label: 'total', stroke: '--text' },
  ncc: { label: '1 \u2212 NCC', stroke: '--blue' },
  affineNcc: { label: '1 \u2212 NCC, affine only', stroke: '--green' },
  smooth: { label: 'smoothness of the flow', stroke: '--orange' },
  dice: { label: '1 \u2212 Dice', stroke: '--blue' },
  crossEntropy: { label: 'cross-entropy', stroke: '--green' },
  mse: { label: 'restoration (MSE)', stroke: '--pink' },
};

type Losses = Readonly<Record<string, number>>;

/** Of one loss over the last steps. */
export function meanOfLast(losses: readonly Losses[], name: string): number {
  const last = losses.slice(-WINDOW);
  return last.reduce((sum, each) => sum + each[name], 0) / last.length;
}

/** A colour of style.css, asked for at each drawing: the scheme may have changed. */
const colour = (name: string) => (): string => getComputedStyle(document.documentElement).getPropertyValue(name);

export class Curves {
  private readonly parent: HTMLElement;
  private plot: uPlot | undefined;
  private names: readonly string[] = [];
  private columns: number[][] = [];
  /** The last losses, as they were. */
  private recent: Losses[] = [];

  constructor(parent: HTMLElement) {
    this.parent = parent;
    new ResizeObserver(() => this.plot?.setSize({ width: this.parent.clientWidth, height: HEIGHT })).observe(parent);
    matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => this.plot?.redraw());
  }

  clear(): void {
    this.plot?.destroy();
    this.plot = undefined;
  }

  add(step: number, loss: Losses): void {
    if (!this.plot) this.start(Object.keys(loss));
    this.recent = [...this.recent, loss].slice(-WINDOW);
    [step, ...this.names.map((name) => meanOfLast(this.recent, name))].forEach((value, i) => {
      this.columns[i].push(value);
    });
    this.plot!.setData(this.columns as uPlot.AlignedData);
    // the legend tells the latest values, or those under the mouse
    if (this.plot!.cursor.idx == null) this.plot!.setLegend({ idx: this.columns[0].length - 1 });
  }

  private start(names: readonly string[]): void {
    this.parent.replaceChildren();
    // the total first
    this.names = [...names].sort((a, b) => Number(b === 'total') - Number(a === 'total'));
    this.recent = [];
    this.columns = [[], ...names.map(() => [])];
    const axis = { stroke: colour('--quiet'), grid: { stroke: colour('--line') }, ticks: { stroke: colour('--line') } };
    this.plot = new uPlot(
      {
        width: this.parent.clientWidth,
        height: HEIGHT,
        scales: { x: { time: false } },
        axes: [
          { ...axis, label: 'step' },
          { ...axis, label: `loss, mean of ${WINDOW} steps` },
        ],
        series: [
          { label: 'step' },
          ...this.names.map((name) => ({
            label: CURVES[name]?.label ?? name,
            stroke: colour(CURVES[name]?.stroke ?? '--quiet'),
            width: name === 'total' ? 2 : 1,
            points: { show: false },
            value: (_: uPlot, value: number | null) => value?.toFixed(4) ?? '',
          })),
        ],
      },
      this.columns as uPlot.AlignedData,
      this.parent,
    );
  }
}
