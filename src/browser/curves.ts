/** Live curves of the losses: running means, since one pair of patients is harder than another. */
import uPlot from 'uplot';
import 'uplot/dist/uPlot.min.css';

/** Steps of a mean. */
const WINDOW = 20;

const COLOURS: Readonly<Record<string, string>> = {
  total: '#e8e8e8',
  ncc: '#5ab4e5',
  affineNcc: '#8bd3a7',
  smooth: '#e6a04c',
  mse: '#d98bd0',
};

export class Curves {
  private readonly parent: HTMLElement;
  private plot: uPlot | undefined;
  private names: readonly string[] = [];
  private columns: number[][] = [];
  /** The last losses, as they were. */
  private recent: Readonly<Record<string, number>>[] = [];

  constructor(parent: HTMLElement) {
    this.parent = parent;
  }

  clear(): void {
    this.plot?.destroy();
    this.plot = undefined;
  }

  add(step: number, loss: Readonly<Record<string, number>>): void {
    if (!this.plot) this.start(Object.keys(loss));
    this.recent = [...this.recent, loss].slice(-WINDOW);
    const mean = (name: string): number => this.recent.reduce((sum, each) => sum + each[name]!, 0) / this.recent.length;
    [step, ...this.names.map(mean)].forEach((value, i) => {
      this.columns[i]!.push(value);
    });
    this.plot!.setData(this.columns as uPlot.AlignedData);
  }

  private start(names: readonly string[]): void {
    this.names = names;
    this.recent = [];
    this.columns = [[], ...names.map(() => [])];
    const axis = { stroke: '#9aa3ad', grid: { stroke: '#2c3238' }, ticks: { stroke: '#2c3238' } };
    this.plot = new uPlot(
      {
        width: this.parent.clientWidth,
        height: 320,
        scales: { x: { time: false } },
        axes: [
          { ...axis, label: 'step' },
          { ...axis, label: `loss, mean of ${WINDOW} steps` },
        ],
        series: [
          { label: 'step' },
          ...names.map((label) => ({
            label,
            stroke: COLOURS[label] ?? '#ffffff',
            width: label === 'total' ? 2 : 1,
            points: { show: false },
          })),
        ],
      },
      this.columns as uPlot.AlignedData,
      this.parent,
    );
  }
}
