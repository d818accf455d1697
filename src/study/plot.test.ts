import { expect, it } from 'vitest';
import { fitting, plotCurves, plotScatter } from './plot.ts';

const attribute = (svg: string, name: string): number => Number(new RegExp(`<svg [^>]*\\b${name}="([\\d.]+)"`).exec(svg)![1]);

it('tells fifteen curves apart, and has room for all of their names', () => {
  const curves = Array.from({ length: 15 }, (_, i) => ({
    name: `method number ${i}`,
    points: [
      [4, i / 15],
      [8, (i + 1) / 15],
    ] as const,
    spread: [0.01, 0.02],
  }));
  const svg = plotCurves([{ title: 'all', xLabel: 'labelled subjects', logX: true, curves }]);
  const lines = [...svg.matchAll(/<polyline points="([^"]*)" fill="none" stroke="([^"]*)"/g)];
  expect(new Set(lines.map(([, , colour]) => colour)).size).toBe(15);
  const names = [...svg.matchAll(/<text x="([\d.]+)" y="(\d+)" fill="(#\w{6})">method number/g)];
  expect(names.map(([, , , colour]) => colour)).toEqual(lines.map(([, , colour]) => colour));
  for (const [, , y] of names) expect(Number(y)).toBeLessThan(attribute(svg, 'height'));
  // bars of one number of labels stand beside each other, inside the frame
  const firsts = lines.map(([, points]) => Number(points.split(',')[0]));
  expect(new Set(firsts).size).toBe(15);
  expect(Math.min(...firsts)).toBeGreaterThan(50);
  // low, middle and high of 0 - 0.01 to 1 + 0.02
  expect([...svg.matchAll(/text-anchor="end">(-?[\d.]+)</g)].map(([, text]) => Number(text))).toEqual([-0.01, 0.505, 1.02]);
});

it('has an empty frame for a panel without scores, and a flat line for equal ones', () => {
  const svg = plotCurves([
    { title: 'none', xLabel: 'steps', curves: [{ name: 'a', points: [] }] },
    {
      title: 'ones',
      xLabel: 'steps',
      curves: [
        {
          name: 'a',
          points: [
            [0, 1],
            [9, 1],
          ],
        },
      ],
    },
  ]);
  expect(svg).not.toMatch(/NaN|Infinity/);
  expect(svg).toContain('no scores');
  expect([...svg.matchAll(/text-anchor="end">([\d.]+)</g)].map(([, text]) => text)).toEqual(['1']);
});

it('keeps distances of point clouds, wraps them, and tells twelve groups apart', () => {
  const points = Array.from({ length: 12 }, (_, i) => [i % 2, i % 3 === 0 ? 0.1 : 0, i] as const);
  const panels = Array.from({ length: 7 }, (_, i) => ({ title: `panel ${i}`, points }));
  const groups = points.map((_, i) => `group ${i}`);
  const svg = plotScatter(panels, groups, 'a note');
  expect(attribute(svg, 'width')).toBeLessThan(1600);
  expect(attribute(svg, 'height')).toBeGreaterThan(2 * 328);
  const dots = [...svg.matchAll(/<circle cx="([\d.]+)" cy="([\d.]+)" r="2" fill="([^"]*)"/g)].slice(0, 12);
  expect(new Set(dots.map(([, , , colour]) => colour)).size).toBe(12);
  const [xs, ys] = [dots.map(([, x]) => Number(x)), dots.map(([, , y]) => Number(y))];
  expect(Math.max(...ys) - Math.min(...ys)).toBeCloseTo(0.1 * (Math.max(...xs) - Math.min(...xs)), 0);
  expect(svg).toContain('a note');
});

it('shortens what does not fit, and escapes it', () => {
  expect(fitting('a <b>', 100)).toBe('a &lt;b&gt;');
  expect(fitting('abcdefghij', 40)).toMatch(/^abcd?e?\u2026$/);
});
