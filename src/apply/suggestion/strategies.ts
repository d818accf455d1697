/** How subjects to label are chosen (choose.ts). Imports nothing: the command line lists it before anything is loaded. */
export const STRATEGIES = ['coverage', 'k-centre'] as const;
export type Strategy = (typeof STRATEGIES)[number];
