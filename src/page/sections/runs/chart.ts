/**
 * One chart of the runs: lines over the training steps, of one run or of several, drawn by uPlot from as many points as the screen has columns
 * (report/thin.ts), anew for each part of the steps that is looked at. Its legend is of buttons, so that it works by the keyboard.
 */
import uPlot from 'uplot';
import 'uplot/dist/uPlot.min.css';
import { runningMean } from '../../../report/charts.ts';
import { short } from '../../../report/figures.ts';
import { aligned, type Points } from '../../../report/thin.ts';

const HEIGHT = 240;
/** Steps of one chart up to which each has a dot. */
const FEW = 40;

export interface ChartLine extends Points {
  /** What the legend says, and what hides it: lines of one label in all charts. */
  readonly label: string;
  /** A colour of the style sheet: --series-1. */
  readonly colour: string;
  readonly dashed?: boolean;
}

export interface ChartSpec {
  readonly title: string;
  readonly unit: string;
  readonly logarithmic: boolean;
  readonly lines: readonly ChartLine[];
  /** Shown with its running mean. */
  readonly noisy: boolean;
  /** First and last values, in words. */
  readonly summary: string;
}

/** What all charts of a view have in common. */
export interface ChartOptions {
  readonly smooth: boolean;
  readonly scale: 'auto' | 'linear' | 'logarithmic';
  /** Steps that are looked at; undefined: all. */
  readonly from: number | undefined;
  readonly to: number | undefined;
  readonly hidden: ReadonlySet<string>;
}

export interface ChartEvents {
  onZoom(from: number | undefined, to: number | undefined): void;
  onToggle(label: string): void;
}

/** A curve of a line: what was logged, or its running mean. */
interface Drawn extends ChartLine {
  readonly faint: boolean;
}

const superscript = (n: number): string =>
  String(n)
    .replace('-', '\u207b')
    .replace(/\d/g, (d) => '\u2070\u00b9\u00b2\u00b3\u2074\u2075\u2076\u2077\u2078\u2079'[Number(d)]);

function tick(value: number | null, logarithmic: boolean): string {
  if (value === null) return '';
  if (!logarithmic) return Math.abs(value) >= 1e4 ? `${value / 1e3}k` : String(+value.toPrecision(6));
  const exponent = Math.log10(value);
  if (Math.abs(exponent - Math.round(exponent)) > 1e-9) return '';
  return Math.abs(exponent) < 3 ? String(+value.toPrecision(3)) : `10${superscript(Math.round(exponent))}`;
}
const decades = (_: uPlot, values: number[]): (number | null)[] =>
  values.map((value) => (Number.isInteger(+Math.log10(value).toFixed(9)) ? value : null));

export class RunChart {
  readonly figure = document.createElement('figure');
  private readonly heading = document.createElement('h4');
  private readonly place = document.createElement('div');
  private readonly legend = document.createElement('div');
  private readonly summary = document.createElement('p');
  private readonly events: ChartEvents;
  private spec: ChartSpec | undefined;
  private options: ChartOptions | undefined;
  private drawn: readonly Drawn[] = [];
  private plot: uPlot | undefined;
  /** What the plot was made for: others need another one. */
  private shape = '';
  /** While the data are being set, the plot's own changes of scale are no reader's. */
  private setting = false;
  private readonly observer = new ResizeObserver(() => {
    if (this.plot && this.place.clientWidth > 0 && this.place.clientWidth !== this.plot.width) {
      this.plot.setSize({ width: this.place.clientWidth, height: HEIGHT });
      this.draw();
    }
  });

  constructor(events: ChartEvents) {
    this.events = events;
    this.figure.className = 'chart';
    this.legend.className = 'legend';
    this.place.setAttribute('role', 'img');
    this.figure.append(this.heading, this.place, this.legend, this.summary);
    this.observer.observe(this.place);
  }

  close(): void {
    this.observer.disconnect();
    this.plot?.destroy();
    this.figure.remove();
  }
  /** Colours are asked for at each drawing. */
  recolour(): void {
    this.plot?.redraw();
  }

  show(spec: ChartSpec, options: ChartOptions): void {
    this.spec = spec;
    this.options = options;
    const logarithmic = options.scale === 'auto' ? spec.logarithmic : options.scale === 'logarithmic';
    const axis = [spec.unit, logarithmic && 'logarithmic'].filter(Boolean).join(', ');
    this.heading.textContent = axis === '' ? spec.title : `${spec.title} (${axis})`;
    this.place.setAttribute('aria-label', `${spec.title} over the steps; ${spec.summary}`);
    this.summary.textContent = spec.summary;
    const onAxis = ({ values }: Points): readonly (number | null)[] =>
      logarithmic ? values.map((value) => (value !== null && value > 0 ? value : null)) : values;
    const smooth = spec.noisy && options.smooth;
    this.drawn = spec.lines.flatMap((line): Drawn[] => {
      if (options.hidden.has(line.label)) return [];
      const logged = { ...line, values: onAxis(line), faint: smooth };
      return smooth ? [logged, { ...logged, values: runningMean(logged.values), faint: false }] : [logged];
    });
    this.showLegend();
    const few = this.drawn.every(({ steps }) => steps.length <= FEW);
    const shape = JSON.stringify([
      logarithmic,
      few,
      this.drawn.map(({ label, colour, faint, dashed }) => [label, colour, faint, dashed]),
    ]);
    if (shape !== this.shape) {
      this.plot?.destroy();
      this.plot = this.made(logarithmic, few);
      this.shape = shape;
    }
    this.draw();
  }

  private showLegend(): void {
    const lines = this.spec!.lines;
    const shown = [...this.legend.querySelectorAll('button')];
    if (shown.length !== lines.length || lines.some(({ label }, i) => shown[i].dataset.label !== label))
      this.legend.replaceChildren(
        ...lines.map(({ label, colour, dashed }) => {
          const button = document.createElement('button');
          button.type = 'button';
          button.dataset.label = label;
          const marker = document.createElement('span');
          marker.className = dashed ? 'marker dashed' : 'marker';
          marker.style.setProperty('--colour', `var(${colour})`);
          const value = document.createElement('span');
          value.className = 'value';
          button.append(marker, label, value);
          button.onclick = () => this.events.onToggle(label);
          return button;
        }),
      );
    for (const button of this.legend.querySelectorAll('button'))
      button.setAttribute('aria-pressed', String(!this.options!.hidden.has(button.dataset.label!)));
  }

  /** The values under the mouse, beside the names. */
  private tell(place: number | null | undefined): void {
    const data = this.plot?.data;
    for (const button of this.legend.querySelectorAll('button')) {
      const k = this.drawn.findIndex(({ label, faint }) => label === button.dataset.label && !faint);
      const column = k < 0 || !data ? undefined : data[k + 1];
      // a column of the screen may have its value at its other place
      const value =
        place === null || place === undefined ? undefined : (column?.[place] ?? column?.[place - 1] ?? column?.[place + 1]);
      button.querySelector('.value')!.textContent = typeof value === 'number' ? short(value) : '';
    }
    const step = place === null || place === undefined ? undefined : data?.[0][place];
    this.summary.textContent = step === undefined ? this.spec!.summary : `step ${Math.round(step)}`;
  }

  private colour(name: string): string {
    return getComputedStyle(this.place).getPropertyValue(name).trim();
  }

  private made(logarithmic: boolean, few: boolean): uPlot {
    const axis = (isLogarithmic: boolean): uPlot.Axis => ({
      stroke: () => this.colour('--muted'),
      font: '12px system-ui, sans-serif',
      gap: 4,
      grid: { stroke: () => this.colour('--line'), width: 1, ...(isLogarithmic && { filter: decades }) },
      ticks: { stroke: () => this.colour('--line'), width: 1, size: 4, ...(isLogarithmic && { filter: decades }) },
      values: (_, values) => values.map((value) => tick(value, isLogarithmic)),
    });
    return new uPlot(
      {
        width: Math.max(this.place.clientWidth, 50),
        height: HEIGHT,
        padding: [8, 22, 0, 0],
        legend: { show: false },
        cursor: {
          drag: { x: true, y: false },
          points: { size: 6 },
          sync: { key: 'runs' },
          // the plot's own would end where its thinned data do
          bind: {
            dblclick: () => () => {
              this.events.onZoom(undefined, undefined);
              return null;
            },
          },
        },
        scales: {
          x: { time: false },
          y: logarithmic ? { distr: 3 } : { range: { min: { pad: 0.1, soft: 0, mode: 2 }, max: { pad: 0.1 } } },
        },
        axes: [
          { ...axis(false), size: 30 },
          { ...axis(logarithmic), size: 56 },
        ],
        hooks: {
          setCursor: [(plot) => this.tell(plot.cursor.idx)],
          setScale: [
            (plot, key) => {
              if (key !== 'x' || this.setting) return;
              const { min, max } = plot.scales.x;
              if (typeof min === 'number' && typeof max === 'number') queueMicrotask(() => this.events.onZoom(min, max));
            },
          ],
        },
        series: [
          { label: 'step' },
          ...this.drawn.map(({ label, colour, faint, dashed }): uPlot.Series => {
            const stroke = (): string => this.colour(colour);
            return {
              label,
              stroke: faint ? () => `${stroke()}4d` : stroke,
              width: faint ? 1 : 2,
              spanGaps: true,
              points: { show: few && !faint, size: 6, stroke, fill: () => this.colour('--ground') },
              ...(dashed && { dash: [6, 4] }),
            };
          }),
        ],
      },
      [[], ...this.drawn.map(() => [])],
      this.place,
    );
  }

  private draw(): void {
    const plot = this.plot;
    if (!plot || !this.options) return;
    const ends = this.drawn.flatMap(({ steps }) => (steps.length > 0 ? [steps[0], steps.at(-1)!] : []));
    const from = this.options.from ?? Math.min(...ends);
    const to = this.options.to ?? Math.max(...ends);
    const { steps, curves } = aligned(this.drawn, from, to, Math.max(50, Math.floor(plot.width / 2)));
    this.setting = true;
    plot.batch(() => {
      plot.setData([[...steps], ...curves.map((curve) => [...curve])], false);
      if (ends.length > 0) plot.setScale('x', { min: from, max: from === to ? from + 1 : to });
    });
    this.setting = false;
  }
}
