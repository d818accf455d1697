/** What the page's build puts in place of Node's `fs` and `path`, which the decoders of compressed DICOM ask for in Node alone. */
export {};
