/** Every way to pre-train that has a name, in the order of tables: GVSL last, after its ablations (the paper's table of ablations). */
import { ALL_HEADS, type Heads } from '../model/architecture.ts';

export interface NamedMethod {
  readonly name: string;
  /** As tables name it. */
  readonly title: string;
  /** The heads that it trains. */
  readonly heads: Heads;
}

export const METHODS: readonly NamedMethod[] = [
  { name: 'restoration-only', title: 'restoration only', heads: { ...ALL_HEADS, matching: false, affine: false } },
  { name: 'matching-only', title: 'matching only', heads: { ...ALL_HEADS, restoration: false } },
  { name: 'without-affine', title: 'without affine head', heads: { ...ALL_HEADS, affine: false } },
  { name: 'gvsl', title: 'GVSL, whole', heads: ALL_HEADS },
];
