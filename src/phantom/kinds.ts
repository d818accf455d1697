/** The phantoms that there are. */
export const PHANTOM_KINDS = ['heart-ct', 'brain-mr'] as const;
export type PhantomKind = (typeof PHANTOM_KINDS)[number];
