/** Label maps of open images that one section makes and others use. */

export interface LabelMap {
  /** Codes on the image's own grid. */
  readonly labels: Uint8Array;
  readonly structures: readonly { readonly code: number; readonly name: string; readonly volumeMl: number }[];
}

export class LabelMaps {
  private readonly maps = new Map<number, LabelMap>();
  private readonly listeners: (() => void)[] = [];

  /** Of an image by its id. */
  of(image: number): LabelMap | undefined {
    return this.maps.get(image);
  }
  get all(): readonly (readonly [number, LabelMap])[] {
    return [...this.maps];
  }

  set(image: number, map: LabelMap): void {
    this.maps.set(image, map);
    this.changed();
  }
  /** Forgets those that are not to stay. */
  keepOnly(stays: (image: number) => boolean): void {
    for (const image of [...this.maps.keys()]) if (!stays(image)) this.maps.delete(image);
    this.changed();
  }

  onChange(listener: () => void): void {
    this.listeners.push(listener);
  }
  private changed(): void {
    for (const listener of this.listeners) listener();
  }
}
