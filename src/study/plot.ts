/** Small charts as SVG text: curves with bands and markers, and scattered points. Nothing but text is made, so they are the same everywhere. */

/** A curve; `spread` is drawn as bars of that half length. */
export interface Curve {
  readonly name: string;
  readonly points: readonly (readonly [x: number, y: number])[];
  readonly spread?: readonly number[];
}

export interface PlotPanel {
  readonly title: string;
  readonly curves: readonly Curve[];
  readonly xLabel: string;
  /** Texts of the x axis at given places; else its ends. */
  readonly ticks?: readonly (readonly [x: number, text: string])[];
  readonly logX?: boolean;
}

/** Ten that are told apart easily, then ten darker ones; more curves than these are also dashed. */
export const PLOT_COLOURS = [
  ...['#7f7f7f', '#ff7f0e', '#2ca02c', '#1f77b4', '#d62728', '#9467bd', '#8c564b', '#e377c2', '#17becf', '#bcbd22'],
  ...['#000000', '#a05000', '#004d1a', '#00008b', '#7a0010', '#4b0082', '#f0a0a0', '#c71585', '#00807a', '#6b8e00'],
];
const colourOf = (i: number): string => PLOT_COLOURS[i % PLOT_COLOURS.length];
const dashOf = (i: number): string =>
  i < PLOT_COLOURS.length / 2 ? '' : ` stroke-dasharray="${i < PLOT_COLOURS.length ? '6 3' : '2 3'}"`;

const [WIDTH, PLOT_HEIGHT, LEFT, TOP, RIGHT] = [430, 214, 50, 28, 14];
/** From the frame to the legend's first line, between its lines, and below the last. */
const [LEGEND, LEGEND_LINE, BELOW] = [46, 15, 11];

const escaped = (text: string): string => text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
const svg = (width: number, height: number, content: string): string =>
  `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" font-family="sans-serif" font-size="11"><rect width="100%" height="100%" fill="white"/>${content}</svg>\n`;

/** About the pixels of a text of 11 pixels: no font is at hand. East Asian signs are twice as wide. */
const widthOf = (text: string): number => [...text].reduce((sum, sign) => sum + (sign > '\u2e7f' ? 11.5 : 6.6), 0);
/** A text as markup that fits so many pixels: else its beginning. */
export function fitting(text: string, pixels: number): string {
  if (widthOf(text) <= pixels) return escaped(text);
  const signs = [...text];
  while (signs.length > 1 && widthOf(`${signs.join('')}\u2026`) > pixels) signs.pop();
  return `${escaped(signs.join(''))}\u2026`;
}

/** Names in their colours, in lines of so many pixels, the first at `top`; and how many lines that are. */
function legendOf(names: readonly string[], left: number, top: number, width: number): { content: string; lines: number } {
  let [at, line] = [left, 0];
  const texts = names.map((name, i) => {
    const own = Math.min(widthOf(name), width);
    if (at > left && at + own > left + width) [at, line] = [left, line + 1];
    const text = `<text x="${at.toFixed(1)}" y="${top + LEGEND_LINE * line}" fill="${colourOf(i)}">${fitting(name, width)}</text>`;
    at += own + 12;
    return text;
  });
  return { content: texts.join(''), lines: line + 1 };
}

function drawPanel({ title, curves, xLabel, ticks, logX = false }: PlotPanel): { content: string; height: number } {
  const [w, h] = [WIDTH - LEFT - RIGHT, PLOT_HEIGHT];
  const legend = legendOf(
    curves.map(({ name }) => name),
    LEFT,
    TOP + h + LEGEND,
    w,
  );
  const height = TOP + h + LEGEND + LEGEND_LINE * (legend.lines - 1) + BELOW;
  const parts = [
    `<text x="${LEFT}" y="16" font-weight="bold">${fitting(title, w)}</text>`,
    `<rect x="${LEFT}" y="${TOP}" width="${w}" height="${h}" fill="none" stroke="#999"/>`,
    `<text x="${LEFT + w}" y="${TOP + h + 27}" text-anchor="end" fill="#555">${escaped(xLabel)}</text>`,
    legend.content,
  ];
  const all = curves.flatMap(({ points, spread }) => points.map(([x, y], i) => ({ x, y, half: spread?.[i] ?? 0 })));
  if (all.length === 0) {
    parts.push(`<text x="${LEFT + w / 2}" y="${TOP + h / 2}" text-anchor="middle" fill="#555">no scores</text>`);
    return { content: parts.join(''), height };
  }
  const at = (x: number): number => (logX ? Math.log(x) : x);
  const ends = (values: readonly number[]): [number, number] => [
    values.reduce((least, value) => Math.min(least, value), Number.POSITIVE_INFINITY),
    values.reduce((most, value) => Math.max(most, value), Number.NEGATIVE_INFINITY),
  ];
  const [first, last] = ends(all.map(({ x }) => x));
  const [left, right] = [at(first), at(last)];
  const [low, high] = ends(all.flatMap(({ y, half }) => [y - half, y + half]));
  // bars of one place stand beside each other
  const apart = all.some(({ half }) => half > 0) ? Math.min(5, 40 / curves.length) : 0;
  const inset = 6 + (apart * (curves.length - 1)) / 2;
  const px = (x: number): number => LEFT + inset + ((w - 2 * inset) * (at(x) - left)) / (right - left || 1);
  const py = (y: number): number => TOP + h - 6 - ((h - 12) * (y - low)) / (high - low || 1);
  for (const y of new Set([low, (low + high) / 2, high]))
    parts.push(`<text x="${LEFT - 4}" y="${(py(y) + 4).toFixed(1)}" text-anchor="end">${Number(y.toPrecision(3))}</text>`);
  const shown = ticks ?? [...new Set([first, last])].map((x) => [x, String(x)] as const);
  for (const [x, text] of shown)
    parts.push(`<text x="${px(x).toFixed(1)}" y="${TOP + h + 14}" text-anchor="middle">${escaped(text)}</text>`);
  curves.forEach(({ points, spread }, i) => {
    const colour = colourOf(i);
    const beside = apart * (i - (curves.length - 1) / 2);
    const placed = points.map(([x, y]) => [(px(x) + beside).toFixed(1), py(y).toFixed(1)] as const);
    parts.push(
      `<polyline points="${placed.map((point) => point.join(',')).join(' ')}" fill="none" stroke="${colour}" stroke-width="1.6"${dashOf(i)}/>`,
    );
    placed.forEach(([x, y], k) => {
      if (points.length <= 12) parts.push(`<circle cx="${x}" cy="${y}" r="2.6" fill="${colour}"/>`);
      const half = spread?.[k];
      if (half)
        parts.push(
          `<line x1="${x}" x2="${x}" y1="${py(points[k][1] - half).toFixed(1)}" y2="${py(points[k][1] + half).toFixed(1)}" stroke="${colour}"/>`,
        );
    });
  });
  return { content: parts.join(''), height };
}

/** Panels side by side, two a row. */
export function plotCurves(panels: readonly PlotPanel[]): string {
  const columns = Math.min(2, panels.length);
  const drawn = panels.map(drawPanel);
  const height = drawn.reduce((most, panel) => Math.max(most, panel.height), 0);
  const placed = drawn.map(
    ({ content }, i) => `<g transform="translate(${(i % columns) * WIDTH} ${Math.floor(i / columns) * height})">${content}</g>`,
  );
  return svg(columns * WIDTH, Math.ceil(panels.length / columns) * height, placed.join(''));
}

export interface ScatterPanel {
  readonly title: string;
  /** x, y, group. */
  readonly points: readonly (readonly [x: number, y: number, group: number])[];
}

const [SIDE, APART, COLUMNS] = [300, 12, 5];

/** Point clouds, five a row, coloured by group, with one legend. Distances are what they show: each has one scale for both axes. @param note below them */
export function plotScatter(panels: readonly ScatterPanel[], groups: readonly string[], note = ''): string {
  const columns = Math.min(COLUMNS, panels.length);
  const drawn = panels.map(({ title, points }, i) => {
    const xs = points.map(([x]) => x);
    const ys = points.map(([, y]) => y);
    const [left, right, low, high] = [Math.min(...xs), Math.max(...xs), Math.min(...ys), Math.max(...ys)];
    const scale = (SIDE - 20) / (Math.max(right - left, high - low) || 1);
    const dots = points.map(([x, y, group]) => {
      const cx = SIDE / 2 + scale * (x - (left + right) / 2);
      const cy = TOP + SIDE / 2 - scale * (y - (low + high) / 2);
      return `<circle cx="${cx.toFixed(1)}" cy="${cy.toFixed(1)}" r="2" fill="${colourOf(group)}" fill-opacity="0.75"/>`;
    });
    const place = `${(i % columns) * (SIDE + APART)} ${Math.floor(i / columns) * (TOP + SIDE)}`;
    return `<g transform="translate(${place})"><text x="10" y="16" font-weight="bold">${fitting(title, SIDE - 20)}</text><rect x="0" y="${TOP}" width="${SIDE}" height="${SIDE}" fill="none" stroke="#999"/>${dots.join('')}</g>`;
  });
  const bottom = Math.ceil(panels.length / columns) * (TOP + SIDE);
  const width = columns * (SIDE + APART);
  const legend = legendOf(groups, 10, bottom + 20, width - 20);
  const below = bottom + 20 + LEGEND_LINE * (legend.lines - 1);
  const said = note === '' ? '' : `<text x="10" y="${below + LEGEND_LINE + 3}" fill="#555">${fitting(note, width - 20)}</text>`;
  return svg(width, below + BELOW + (note === '' ? 0 : LEGEND_LINE + 3), drawn.join('') + legend.content + said);
}
