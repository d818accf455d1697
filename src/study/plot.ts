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

export const PLOT_COLOURS = [
  '#7f7f7f',
  '#ff7f0e',
  '#2ca02c',
  '#1f77b4',
  '#d62728',
  '#9467bd',
  '#8c564b',
  '#e377c2',
  '#17becf',
  '#bcbd22',
];
const [WIDTH, HEIGHT, LEFT, TOP, RIGHT, BOTTOM] = [430, 314, 50, 28, 14, 72];

const escaped = (text: string): string => text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
const svg = (width: number, height: number, content: string): string =>
  `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" font-family="sans-serif" font-size="11"><rect width="100%" height="100%" fill="white"/>${content}</svg>\n`;

function drawPanel({ title, curves, xLabel, ticks, logX = false }: PlotPanel): string {
  const at = (x: number): number => (logX ? Math.log(x) : x);
  const xs = curves.flatMap(({ points }) => points.map(([x]) => at(x)));
  const ys = curves.flatMap(({ points, spread }) =>
    points.flatMap(([, y], i) => [y - (spread?.[i] ?? 0), y + (spread?.[i] ?? 0)]),
  );
  const [left, right, low, high] = [Math.min(...xs), Math.max(...xs), Math.min(...ys), Math.max(...ys)];
  const [w, h] = [WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM];
  const px = (x: number): number => LEFT + 6 + ((w - 12) * (at(x) - left)) / (right - left || 1);
  const py = (y: number): number => TOP + h - 6 - ((h - 12) * (y - low)) / (high - low || 1);
  const parts = [
    `<text x="${LEFT}" y="16" font-weight="bold">${escaped(title)}</text>`,
    `<rect x="${LEFT}" y="${TOP}" width="${w}" height="${h}" fill="none" stroke="#999"/>`,
    `<text x="${LEFT + w}" y="${TOP + h + 27}" text-anchor="end" fill="#555">${escaped(xLabel)}</text>`,
  ];
  for (const y of [low, (low + high) / 2, high])
    parts.push(`<text x="${LEFT - 4}" y="${(py(y) + 4).toFixed(1)}" text-anchor="end">${Number(y.toPrecision(3))}</text>`);
  const shown =
    ticks ??
    [
      ...new Set([
        Math.min(...curves.flatMap(({ points }) => points.map(([x]) => x))),
        Math.max(...curves.flatMap(({ points }) => points.map(([x]) => x))),
      ]),
    ].map((x) => [x, String(x)] as const);
  for (const [x, text] of shown)
    parts.push(`<text x="${px(x).toFixed(1)}" y="${TOP + h + 14}" text-anchor="middle">${escaped(text)}</text>`);
  let [legend, line] = [LEFT, 0];
  curves.forEach(({ name, points, spread }, i) => {
    const colour = PLOT_COLOURS[i % PLOT_COLOURS.length];
    parts.push(
      `<polyline points="${points.map(([x, y]) => `${px(x).toFixed(1)},${py(y).toFixed(1)}`).join(' ')}" fill="none" stroke="${colour}" stroke-width="1.6"/>`,
    );
    points.forEach(([x, y], k) => {
      if (points.length <= 12) parts.push(`<circle cx="${px(x).toFixed(1)}" cy="${py(y).toFixed(1)}" r="2.6" fill="${colour}"/>`);
      const half = spread?.[k];
      if (half)
        parts.push(
          `<line x1="${px(x).toFixed(1)}" x2="${px(x).toFixed(1)}" y1="${py(y - half).toFixed(1)}" y2="${py(y + half).toFixed(1)}" stroke="${colour}"/>`,
        );
    });
    const width = 10 + 6 * name.length;
    if (legend + width > WIDTH) [legend, line] = [LEFT, line + 1];
    parts.push(`<text x="${legend}" y="${TOP + h + 46 + 15 * line}" fill="${colour}">${escaped(name)}</text>`);
    legend += width;
  });
  return parts.join('');
}

/** Panels side by side, two a row. */
export function plotCurves(panels: readonly PlotPanel[]): string {
  const columns = Math.min(2, panels.length);
  const drawn = panels.map(
    (panel, i) =>
      `<g transform="translate(${(i % columns) * WIDTH} ${Math.floor(i / columns) * HEIGHT})">${drawPanel(panel)}</g>`,
  );
  return svg(columns * WIDTH, Math.ceil(panels.length / columns) * HEIGHT, drawn.join(''));
}

export interface ScatterPanel {
  readonly title: string;
  /** x, y, group. */
  readonly points: readonly (readonly [x: number, y: number, group: number])[];
}

const SIDE = 300;

/** Point clouds side by side, coloured by group, with one legend. */
export function plotScatter(panels: readonly ScatterPanel[], groups: readonly string[]): string {
  const drawn = panels.map(({ title, points }, i) => {
    const xs = points.map(([x]) => x);
    const ys = points.map(([, y]) => y);
    const [left, right, low, high] = [Math.min(...xs), Math.max(...xs), Math.min(...ys), Math.max(...ys)];
    const dots = points.map(([x, y, group]) => {
      const cx = 10 + ((SIDE - 20) * (x - left)) / (right - left || 1);
      const cy = TOP + SIDE - 10 - ((SIDE - 20) * (y - low)) / (high - low || 1);
      return `<circle cx="${cx.toFixed(1)}" cy="${cy.toFixed(1)}" r="2" fill="${PLOT_COLOURS[group % PLOT_COLOURS.length]}" fill-opacity="0.75"/>`;
    });
    return `<g transform="translate(${i * (SIDE + 12)} 0)"><text x="10" y="16" font-weight="bold">${escaped(title)}</text><rect x="0" y="${TOP}" width="${SIDE}" height="${SIDE}" fill="none" stroke="#999"/>${dots.join('')}</g>`;
  });
  let at = 10;
  const legend = groups.map((name, group) => {
    const text = `<text x="${at}" y="${TOP + SIDE + 20}" fill="${PLOT_COLOURS[group % PLOT_COLOURS.length]}">${escaped(name)}</text>`;
    at += 14 + 6.2 * name.length;
    return text;
  });
  return svg(Math.max(at, panels.length * (SIDE + 12)), SIDE + TOP + 32, drawn.join('') + legend.join(''));
}
