/** What is drawn on images, and the structures that it means; every change can be undone and done again. Knows no viewer. */

/** The value of the background in strokes. */
export const BACKGROUND = 255;

export interface DrawnStructure {
  /** Its value in strokes and label maps: 1 to 254. */
  readonly code: number;
  readonly name: string;
}

/** Voxels of an image that changed. */
interface Part {
  readonly image: number;
  readonly at: Uint32Array;
  readonly before: Uint8Array;
  readonly after: Uint8Array;
}

interface Change {
  readonly parts: readonly Part[];
  readonly structures?: { readonly before: readonly DrawnStructure[]; readonly after: readonly DrawnStructure[] };
}

/** Changes that can be undone. */
const MOST_CHANGES = 200;

export class Strokes {
  private readonly drawings = new Map<number, Uint8Array>();
  private readonly past: Change[] = [];
  private readonly undone: Change[] = [];
  private list: readonly DrawnStructure[];

  constructor(structures: readonly DrawnStructure[] = [{ code: 1, name: 'structure 1' }]) {
    this.list = structures;
  }

  get structures(): readonly DrawnStructure[] {
    return this.list;
  }
  get canUndo(): boolean {
    return this.past.length > 0;
  }
  get canRedo(): boolean {
    return this.undone.length > 0;
  }

  /** The strokes of an image, which is not to be written to; undefined if there never were any. */
  of(image: number): Uint8Array | undefined {
    return this.drawings.get(image);
  }

  /** Images on which something is drawn. */
  get drawn(): readonly (readonly [number, Uint8Array])[] {
    return [...this.drawings].filter(([, data]) => data.some((value) => value !== 0));
  }

  /** Takes an image's strokes as they are now. @returns whether they differ from before */
  take(image: number, now: Uint8Array): boolean {
    const part = this.difference(image, now);
    if (part.at.length === 0) return false;
    this.make({ parts: [part] });
    return true;
  }

  /** @throws RangeError if all 254 codes are taken */
  addStructure(): DrawnStructure {
    const code = Array.from({ length: BACKGROUND - 1 }, (_, i) => i + 1).find(
      (free) => !this.list.some((structure) => structure.code === free),
    );
    if (code === undefined) throw new RangeError('254 structures at most');
    const added = { code, name: `structure ${code}` };
    this.make({ parts: [], structures: { before: this.list, after: [...this.list, added] } });
    return added;
  }

  /** Takes a structure away, and its strokes on all images. */
  removeStructure(code: number): void {
    const parts = [...this.drawings].map(([image, data]) =>
      this.difference(
        image,
        data.map((value) => (value === code ? 0 : value)),
      ),
    );
    const after = this.list.filter((structure) => structure.code !== code);
    this.make({ parts: parts.filter(({ at }) => at.length > 0), structures: { before: this.list, after } });
  }

  rename(code: number, name: string): void {
    this.list = this.list.map((structure) => (structure.code === code ? { code, name } : structure));
  }

  /** Takes strokes from elsewhere in the place of an image's; codes that have no structure get one. */
  load(image: number, data: Uint8Array): void {
    const found = [...new Set(data)].filter((code) => code !== 0 && code !== BACKGROUND).sort((a, b) => a - b);
    const missing = found.filter((code) => !this.list.some((structure) => structure.code === code));
    const after = [...this.list, ...missing.map((code) => ({ code, name: `structure ${code}` }))].sort((a, b) => a.code - b.code);
    this.make({
      parts: [this.difference(image, data)],
      ...(missing.length > 0 && { structures: { before: this.list, after } }),
    });
  }

  /** Forgets an image: what was done to it can no longer be undone. */
  forget(image: number): void {
    this.drawings.delete(image);
    const keep = ({ parts }: Change): boolean => !parts.some((part) => part.image === image);
    for (const changes of [this.past, this.undone]) changes.splice(0, changes.length, ...changes.filter(keep));
  }

  /** @returns the images whose strokes changed; null if there was nothing to undo */
  undo(): readonly number[] | null {
    const change = this.past.pop();
    if (!change) return null;
    this.undone.push(change);
    return this.apply(change, 'before');
  }
  redo(): readonly number[] | null {
    const change = this.undone.pop();
    if (!change) return null;
    this.past.push(change);
    return this.apply(change, 'after');
  }

  private make(change: Change): void {
    this.past.push(change);
    if (this.past.length > MOST_CHANGES) this.past.shift();
    this.undone.length = 0;
    this.apply(change, 'after');
  }

  private apply({ parts, structures }: Change, which: 'before' | 'after'): number[] {
    for (const part of parts) {
      const drawing = this.drawings.get(part.image);
      part.at.forEach((voxel, i) => {
        if (drawing) drawing[voxel] = part[which][i];
      });
    }
    if (structures) {
      // names are no part of what is undone
      const names = new Map(this.list.map(({ code, name }) => [code, name]));
      this.list = structures[which].map(({ code, name }) => ({ code, name: names.get(code) ?? name }));
    }
    return parts.map(({ image }) => image);
  }

  private difference(image: number, now: Uint8Array): Part {
    let known = this.drawings.get(image);
    if (!known) {
      known = new Uint8Array(now.length);
      this.drawings.set(image, known);
    }
    const at: number[] = [];
    for (let i = 0; i < now.length; i++) if (now[i] !== known[i]) at.push(i);
    return {
      image,
      at: Uint32Array.from(at),
      before: Uint8Array.from(at, (i) => known[i]),
      after: Uint8Array.from(at, (i) => now[i]),
    };
  }
}
