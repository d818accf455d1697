/** What is used of jsfive, which has no types of its own. */
declare module 'jsfive' {
  /** Numbers, texts, or one text. */
  type Value = ArrayLike<number | string> | string;
  export interface Group {
    readonly keys: string[];
    get(name: string): Group & { readonly value: Value };
  }
  export const File: new (bytes: ArrayBuffer, name: string) => Group;
}
