/**
 * Every way to pre-train that has a name, in the order of tables: GVSL last, after its ablations (the paper's table of ablations).
 *
 * A light list: names and what is said of methods. The methods themselves, with their schemas and programs, are loaded one by one.
 */
import type { PretrainingMethod } from './method.ts';

type GvslHeads = Readonly<Record<'affine' | 'matching' | 'restoration', boolean>>;

export interface NamedMethod {
  /** As users type it, and run.json names it. */
  readonly name: string;
  /** As tables name it. */
  readonly title: string;
  /** What it is, in a line. */
  readonly summary: string;
  /** What the network is shown. */
  readonly sees: string;
  /** Whether the whole network learns, or the encoder alone: then the decoder is random when training on a task begins. */
  readonly trains: 'encoder' | 'network';
  /** What it asks of a cohort. */
  readonly needs: string;
  /** What it fixes of the method's configuration: GVSL's ablations are GVSL without some heads. */
  readonly preset?: { readonly model: { readonly heads: GvslHeads } };
  load(): Promise<PretrainingMethod>;
}

const ANY_IMAGES = 'any images';
const ALIGNABLE = 'images of one region, oriented alike';
const SEES_PAIRS = 'two subjects, one of them damaged';

const loadGvsl = async (): Promise<PretrainingMethod> => (await import('./gvsl/method.ts')).gvsl;
/** GVSL with some heads. */
const ablation = (name: string, title: string, summary: string, heads: GvslHeads): NamedMethod => ({
  name,
  title,
  summary,
  sees: heads.matching ? SEES_PAIRS : 'the image, damaged',
  trains: 'network',
  needs: heads.matching ? ALIGNABLE : ANY_IMAGES,
  preset: { model: { heads } },
  load: loadGvsl,
});

export const METHODS: readonly NamedMethod[] = [
  {
    name: 'denoising',
    title: 'denoising',
    summary: 'removes Gaussian noise',
    sees: 'the image with noise',
    trains: 'network',
    needs: ANY_IMAGES,
    load: async () => (await import('./denoising/method.ts')).denoising,
  },
  {
    name: 'in-painting',
    title: 'in-painting',
    summary: 'fills boxes of noise with the image',
    sees: 'the image with boxes of noise over a quarter of it',
    trains: 'network',
    needs: ANY_IMAGES,
    load: async () => (await import('./in-painting/method.ts')).inPainting,
  },
  {
    name: 'models-genesis',
    title: 'Models Genesis',
    summary: 'undoes changed intensities, shuffled texture and noise in a part of the image',
    sees: 'the flipped image, damaged in these ways',
    trains: 'network',
    needs: ANY_IMAGES,
    load: async () => (await import('./models-genesis/method.ts')).modelsGenesis,
  },
  {
    name: 'mae',
    title: 'MAE',
    summary: 'fills hidden cubes with the image',
    sees: 'the image with three quarters of its cubes hidden',
    trains: 'network',
    needs: ANY_IMAGES,
    load: async () => (await import('./mae/method.ts')).mae,
  },
  {
    name: 'rotation',
    title: 'rotation',
    summary: 'tells in which of ten ways the image was turned',
    sees: 'the image turned about an axis',
    trains: 'encoder',
    needs: 'images oriented alike, with one spacing for all axes; a cubic patch',
    load: async () => (await import('./rotation/method.ts')).rotation,
  },
  {
    name: 'volume-fusion',
    title: 'VolumeFusion',
    summary: 'tells of every voxel to what degree it comes from which of two subjects',
    sees: 'two subjects fused box by box',
    trains: 'network',
    needs: 'two subjects at least, also held out',
    load: async () => (await import('./volume-fusion/method.ts')).volumeFusion,
  },
  ablation('restoration-only', 'restoration only', 'GVSL without Z-matching: undoes damage', {
    affine: false,
    matching: false,
    restoration: true,
  }),
  ablation('matching-only', 'matching only', 'GVSL without restoration: aligns one subject with another', {
    affine: true,
    matching: true,
    restoration: false,
  }),
  ablation('without-affine', 'without affine head', 'GVSL whose alignment is deformable alone', {
    affine: false,
    matching: true,
    restoration: true,
  }),
  {
    name: 'gvsl',
    title: 'GVSL, whole',
    summary: 'aligns one subject with another, affine and deformable, and undoes damage',
    sees: SEES_PAIRS,
    trains: 'network',
    needs: ALIGNABLE,
    load: loadGvsl,
  },
];

/** The method of a name; undefined if there is none. */
export const methodNamed = (name: string): NamedMethod | undefined => METHODS.find((method) => method.name === name);
