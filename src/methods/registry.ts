/** Every way to pre-train that has a name. A light list: methods, with their schemas and programs, are loaded one by one. */
import { DESCRIPTIONS, type DescribedMethod } from './descriptions.ts';
import type { PretrainingMethod } from './method.ts';

export interface NamedMethod extends DescribedMethod {
  load(): Promise<PretrainingMethod>;
}

const loadGvsl = async (): Promise<PretrainingMethod> => (await import('./gvsl/method.ts')).gvsl;
const LOADERS: Readonly<Record<(typeof DESCRIPTIONS)[number]['name'], () => Promise<PretrainingMethod>>> = {
  denoising: async () => (await import('./denoising/method.ts')).denoising,
  'in-painting': async () => (await import('./in-painting/method.ts')).inPainting,
  'models-genesis': async () => (await import('./models-genesis/method.ts')).modelsGenesis,
  mae: async () => (await import('./mae/method.ts')).mae,
  rotation: async () => (await import('./rotation/method.ts')).rotation,
  'deep-cluster': async () => (await import('./deep-cluster/method.ts')).deepCluster,
  simsiam: async () => (await import('./simsiam/method.ts')).simsiam,
  byol: async () => (await import('./byol/method.ts')).byol,
  simclr: async () => (await import('./simclr/method.ts')).simclr,
  'volume-fusion': async () => (await import('./volume-fusion/method.ts')).volumeFusion,
  'restoration-only': loadGvsl,
  'matching-only': loadGvsl,
  'without-affine': loadGvsl,
  gvsl: loadGvsl,
};

/** In the order of tables. */
export const METHODS: readonly NamedMethod[] = DESCRIPTIONS.map((described) => ({ ...described, load: LOADERS[described.name] }));

/** The method of a name; undefined if there is none. */
export const methodNamed = (name: string): NamedMethod | undefined => METHODS.find((method) => method.name === name);
