/**
 * What the page's build puts in place of `zarrita`, with which NiiVue fetches images in the Zarr format, and its codecs (1.4 MB of
 * WebAssembly): the page opens NIfTI files of this computer alone.
 */
function refuse(): never {
  throw new Error('this page does not open Zarr images');
}

export { refuse as FetchStore, refuse as get, refuse as open, refuse as root, refuse as slice };
