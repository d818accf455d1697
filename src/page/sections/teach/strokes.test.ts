import { describe, expect, it } from 'vitest';
import { BACKGROUND, Strokes } from './strokes.ts';

const on = (strokes: Strokes, image: number): number[] => [...(strokes.of(image) ?? [])];

describe('Strokes', () => {
  it('undoes and redoes strokes on any image, and forgets what was undone when something new is drawn', () => {
    const strokes = new Strokes();
    expect(strokes.take(7, Uint8Array.of(0, 0, 0))).toBe(false);
    expect(strokes.take(7, Uint8Array.of(1, 0, 0))).toBe(true);
    strokes.take(8, Uint8Array.of(0, BACKGROUND));
    strokes.take(7, Uint8Array.of(1, BACKGROUND, 0));
    expect(strokes.undo()).toEqual([7]);
    expect(strokes.undo()).toEqual([8]);
    expect([on(strokes, 7), on(strokes, 8)]).toEqual([
      [1, 0, 0],
      [0, 0],
    ]);
    expect(strokes.redo()).toEqual([8]);
    strokes.take(7, Uint8Array.of(1, 0, 1));
    expect(strokes.canRedo).toBe(false);
    expect(strokes.drawn.map(([image]) => image)).toEqual([7, 8]);
    strokes.forget(8);
    expect(strokes.undo()).toEqual([7]);
    expect(strokes.undo()).toEqual([7]);
    expect(strokes.undo()).toBe(null);
    expect(strokes.drawn).toEqual([]);
  });

  it('takes a structure away with its strokes, and gives both back', () => {
    const strokes = new Strokes();
    const second = strokes.addStructure();
    expect(second.code).toBe(2);
    strokes.rename(2, 'wall');
    strokes.take(1, Uint8Array.of(1, 2, BACKGROUND));
    strokes.take(3, Uint8Array.of(2));
    strokes.removeStructure(2);
    expect([on(strokes, 1), on(strokes, 3), strokes.structures.length]).toEqual([[1, 0, BACKGROUND], [0], 1]);
    expect(strokes.undo()).toEqual([1, 3]);
    expect(on(strokes, 1)).toEqual([1, 2, BACKGROUND]);
    expect(strokes.structures).toEqual([
      { code: 1, name: 'structure 1' },
      { code: 2, name: 'wall' },
    ]);
  });

  it('makes structures of codes in a file', () => {
    const strokes = new Strokes();
    strokes.load(1, Uint8Array.of(0, 9, BACKGROUND, 1));
    expect(strokes.structures.map(({ code }) => code)).toEqual([1, 9]);
    strokes.undo();
    expect(strokes.structures.map(({ code }) => code)).toEqual([1]);
    expect(on(strokes, 1)).toEqual([0, 0, 0, 0]);
  });
});
