/** Points in a plane with a number at those that matter: a map of a cohort. */
import { type Colour, type Picture, paint, setPixel } from './picture.ts';
import { drawText, textSize } from './text.ts';

/** A kind of points: its colour, and how large they are drawn. */
export interface PointKind {
  readonly name: string;
  readonly colour: Colour;
  readonly radius: number;
}

export interface MapPoint {
  readonly x: number;
  readonly y: number;
  /** Index of its kind; later kinds are drawn over earlier ones. */
  readonly kind: number;
  /** Written beside it. */
  readonly text?: string;
}

const [WIDTH, HEIGHT, MARGIN] = [720, 560, 40];
const GROUND: Colour = [24, 24, 28];
const TEXT: Colour = [230, 230, 230];

function disc(picture: Picture, left: number, top: number, radius: number, colour: Colour): void {
  for (let y = -radius; y <= radius; y++)
    for (let x = -radius; x <= radius; x++) {
      const [column, row] = [left + x, top + y];
      if (x * x + y * y > radius * radius + radius || column < 0 || row < 0) continue;
      if (column < picture.width && row < picture.height) setPixel(picture, column, row, colour);
    }
}

/** One scale for both axes; the legend is below. */
export function mapPicture(points: readonly MapPoint[], kinds: readonly PointKind[]): Picture {
  const ends = (values: readonly number[]): [number, number] => [
    values.reduce((low, value) => Math.min(low, value), Number.POSITIVE_INFINITY),
    values.reduce((high, value) => Math.max(high, value), Number.NEGATIVE_INFINITY),
  ];
  const [[left, right], [low, high]] = [ends(points.map(({ x }) => x)), ends(points.map(({ y }) => y))];
  const scale = Math.min((WIDTH - 2 * MARGIN) / (right - left || 1), (HEIGHT - 2 * MARGIN) / (high - low || 1));
  const column = (x: number): number => Math.round(WIDTH / 2 + (x - (left + right) / 2) * scale);
  const row = (y: number): number => Math.round(HEIGHT / 2 - (y - (low + high) / 2) * scale);
  const picture = paint(WIDTH, HEIGHT + 30, () => GROUND);
  kinds.forEach(({ colour, radius }, kind) => {
    for (const { x, y } of points.filter((point) => point.kind === kind)) disc(picture, column(x), row(y), radius, colour);
  });
  for (const { x, y, kind, text } of points)
    if (text !== undefined) drawText(picture, text, column(x) + kinds[kind].radius + 3, row(y) - 7, TEXT, 2);
  let at = MARGIN;
  kinds.forEach(({ name, colour, radius }, kind) => {
    const label = `${name} (${points.filter((point) => point.kind === kind).length})`;
    disc(picture, at, HEIGHT + 8, radius, colour);
    drawText(picture, label, at + 14, HEIGHT + 1, TEXT, 2);
    at += textSize(label, 2).width + 44;
  });
  return picture;
}
