/** The methods that a study can name, in the order of its tables, and variants of them that it declares. */
import { GVSL } from '../methods/descriptions.ts';
import { METHODS, methodNamed } from '../methods/registry.ts';

/** What every other method is compared with: no pre-training. */
export const SCRATCH = 'scratch';

export interface StudyMethod {
  readonly name: string;
  readonly title: string;
  /** Whether its decoder is random when training on a segmentation begins. */
  readonly encoderOnly: boolean;
  /** The method of the registry that it is, or is a variant of. */
  readonly of: string;
}

export const STUDY_METHODS: readonly StudyMethod[] = [
  { name: SCRATCH, title: SCRATCH, encoderOnly: false, of: SCRATCH },
  ...METHODS.map(({ name, title, trains }) => ({ name, title, encoderOnly: trains === 'encoder', of: name })),
];

/** Those of GVSL and its ablations: the paper's own table. */
export const GVSL_METHODS: readonly string[] = [
  SCRATCH,
  ...METHODS.filter(({ name, preset }) => name === GVSL || preset !== undefined).map(({ name }) => name),
];

/** The names whose keys in `pretraining.methods` a method takes, the later before the earlier: GVSL's ablations take GVSL's. */
export const namesOfKeys = (name: string): readonly string[] => (methodNamed(name)?.preset ? [GVSL, name] : [name]);

/** What a study says of a variant beside its keys. */
export interface VariantHead {
  readonly of: string;
  readonly title?: string | undefined;
}

/** What of a study says which methods it has. */
export interface MethodsDeclared {
  readonly methods: readonly string[];
  readonly pretraining: { readonly variants: Readonly<Record<string, VariantHead>> };
}

/** The methods of a study in the order of its tables: each variant after what it is a variant of. */
export function methodsOf({ methods, pretraining: { variants } }: MethodsDeclared): readonly StudyMethod[] {
  const own = Object.entries(variants);
  return STUDY_METHODS.flatMap((method) => [
    method,
    ...own.filter(([, { of }]) => of === method.name).map(([name, { title = name }]) => ({ ...method, name, title })),
  ]).filter(({ name }) => methods.includes(name));
}

/** The method that a name of a study stands for. */
export const baseOf = ({ pretraining: { variants } }: MethodsDeclared, name: string): string => variants[name]?.of ?? name;
