/** Pictures as plain pixels. */

/** Rows from the top, pixels from the left, four bytes each: red, green, blue, opacity. */
export interface Picture {
  readonly width: number;
  readonly height: number;
  readonly data: Uint8Array;
}

/** Red, green and blue, each 0 to 255. */
export type Colour = readonly [number, number, number];

export function setPixel({ width, data }: Picture, column: number, row: number, [red, green, blue]: Colour): void {
  const at = 4 * (row * width + column);
  data[at] = red;
  data[at + 1] = green;
  data[at + 2] = blue;
  data[at + 3] = 255;
}

/** A picture whose every pixel is what `colourAt` says. */
export function paint(width: number, height: number, colourAt: (column: number, row: number) => Colour): Picture {
  const picture = { width, height, data: new Uint8Array(4 * width * height) };
  for (let row = 0; row < height; row++)
    for (let column = 0; column < width; column++) setPixel(picture, column, row, colourAt(column, row));
  return picture;
}

/** Puts `part` into `whole` with its upper left corner at (left, top); it must fit. */
export function paste(whole: Picture, part: Picture, left: number, top: number): void {
  for (let row = 0; row < part.height; row++) {
    const line = part.data.subarray(4 * row * part.width, 4 * (row + 1) * part.width);
    whole.data.set(line, 4 * ((top + row) * whole.width + left));
  }
}

/** Lays pictures out in rows, each centred in its cell, on `background` with `gap` pixels between and around. */
export function arrange(rows: readonly (readonly Picture[])[], gap = 4, background: Colour = [24, 24, 28]): Picture {
  const columns = Math.max(...rows.map((row) => row.length));
  const widths = Array.from({ length: columns }, (_, i) => Math.max(...rows.map((row) => row[i]?.width ?? 0)));
  const heights = rows.map((row) => Math.max(0, ...row.map((picture) => picture.height)));
  const total = (sizes: readonly number[]): number => sizes.reduce((sum, size) => sum + size + gap, gap);
  const whole = paint(total(widths), total(heights), () => background);
  let top = gap;
  rows.forEach((row, r) => {
    let left = gap;
    row.forEach((picture, c) => {
      paste(whole, picture, left + ((widths[c] - picture.width) >> 1), top + ((heights[r] - picture.height) >> 1));
      left += widths[c] + gap;
    });
    top += heights[r] + gap;
  });
  return whole;
}
