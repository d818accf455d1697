/**
 * What is said of every way to pre-train that has a name, in the order of tables: GVSL last, after its ablations (the paper's table of ablations).
 * Text alone, so that whoever only names methods (a report, the page) brings none of them along; registry.ts has the methods themselves.
 */

type GvslHeads = Readonly<Record<'affine' | 'matching' | 'restoration', boolean>>;

export interface DescribedMethod {
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
  /** Passes through the encoder that a sample of a step takes: what methods are compared by at equal cost. */
  readonly passes: number;
  /** Crops of subjects that a sample is made of. */
  readonly images: number;
  /** What its pictures show, from left to right. */
  readonly panels: readonly string[];
  /** Where it was published. */
  readonly paper: string;
}

const ANY_IMAGES = 'any images';
const ALIGNABLE = 'images of one region, oriented alike';
const GVSL_PAPER = 'He et al., CVPR 2023';
const GVSL_PANELS = ['moving', 'fixed', 'warped', 'difference', 'deformation', 'before', 'after'];
const SEES_PAIRS = 'two subjects, one of them damaged';

/** GVSL with some heads. */
const ablation = <Name extends string>(
  name: Name,
  title: string,
  summary: string,
  heads: GvslHeads,
): DescribedMethod & { readonly name: Name } => ({
  name,
  title,
  summary,
  sees: heads.matching ? SEES_PAIRS : 'the image, damaged',
  trains: 'network',
  needs: heads.matching ? ALIGNABLE : ANY_IMAGES,
  passes: heads.matching ? 2 : 1,
  images: heads.matching ? 2 : 1,
  panels: heads.matching ? GVSL_PANELS : ['damaged', 'restored by the network', 'the image'],
  paper: GVSL_PAPER,
  preset: { model: { heads } },
});

export const DESCRIPTIONS = [
  {
    name: 'denoising',
    title: 'denoising',
    summary: 'removes Gaussian noise',
    sees: 'the image with noise',
    trains: 'network',
    needs: ANY_IMAGES,
    passes: 1,
    images: 1,
    panels: ['with noise', 'denoised by the network', 'the image'],
    paper: 'Vincent et al., ICML 2008',
  },
  {
    name: 'in-painting',
    title: 'in-painting',
    summary: 'fills boxes of noise with the image',
    sees: 'the image with boxes of noise over a quarter of it',
    trains: 'network',
    needs: ANY_IMAGES,
    passes: 1,
    images: 1,
    panels: ['with boxes of noise', 'filled by the network', 'the image'],
    paper: 'Pathak et al., CVPR 2016',
  },
  {
    name: 'models-genesis',
    title: 'Models Genesis',
    summary: 'undoes changed intensities, shuffled texture and noise in a part of the image',
    sees: 'the flipped image, damaged in these ways',
    trains: 'network',
    needs: ANY_IMAGES,
    passes: 1,
    images: 1,
    panels: ['damaged', 'restored by the network', 'the image'],
    paper: 'Zhou et al., Medical Image Analysis 67, 2021',
  },
  {
    name: 'mae',
    title: 'MAE',
    summary: 'fills hidden cubes with the image',
    sees: 'the image with three quarters of its cubes hidden',
    trains: 'network',
    needs: ANY_IMAGES,
    passes: 1,
    images: 1,
    panels: ['with hidden cubes', 'filled by the network', 'the image'],
    paper: 'He et al., CVPR 2022',
  },
  {
    name: 'rotation',
    title: 'rotation',
    summary: 'tells in which of ten ways the image was turned',
    sees: 'the image turned about an axis',
    trains: 'encoder',
    needs: 'images oriented alike, with one spacing for all axes; a cubic patch',
    passes: 1,
    images: 1,
    panels: ['turned', 'turned back as the network says', 'turned back'],
    paper: 'Gidaris et al., ICLR 2018; in 3D: Taleb et al., NeurIPS 2020',
  },
  {
    name: 'deep-cluster',
    title: 'DeepCluster',
    summary: 'tells the cluster of a crop, and clusters its features anew now and then',
    sees: 'one changed view of a crop',
    trains: 'encoder',
    needs: 'more crops than clusters: some dozen subjects',
    passes: 1,
    images: 1,
    panels: ['a view of a crop'],
    paper: 'Caron et al., ECCV 2018',
  },
  {
    name: 'simsiam',
    title: 'SimSiam',
    summary: 'predicts the features of one view from those of the other',
    sees: 'two changed, overlapping views of a subject',
    trains: 'encoder',
    needs: ANY_IMAGES,
    passes: 2,
    images: 2,
    panels: ['one view', 'the other'],
    paper: 'Chen and He, CVPR 2021',
  },
  {
    name: 'byol',
    title: 'BYOL',
    summary: 'predicts what a slowly following network makes of the other view',
    sees: 'two changed, overlapping views of a subject',
    trains: 'encoder',
    needs: ANY_IMAGES,
    // two of them in the target network, without gradients
    passes: 4,
    images: 2,
    panels: ['one view', 'the other'],
    paper: 'Grill et al., NeurIPS 2020',
  },
  {
    name: 'simclr',
    title: 'SimCLR',
    summary: 'finds the other view of a subject among those of the whole batch',
    sees: 'two changed, overlapping views of each of several subjects',
    trains: 'encoder',
    needs: 'two subjects at least; memory for the whole batch',
    passes: 2,
    images: 2,
    panels: ['one view', 'the other'],
    paper: 'Chen et al., ICML 2020',
  },
  {
    name: 'volume-fusion',
    title: 'VolumeFusion',
    summary: 'tells of every voxel to what degree it comes from which of two subjects',
    sees: 'two subjects fused box by box',
    trains: 'network',
    needs: 'two subjects at least, also held out',
    passes: 1,
    images: 2,
    panels: ['two subjects fused', 'degree of fusion, by the network', 'degree of fusion'],
    paper: 'Wang et al., MIS-FM, arXiv 2306.16925, 2023',
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
    passes: 2,
    images: 2,
    panels: GVSL_PANELS,
    paper: GVSL_PAPER,
  },
] as const satisfies readonly DescribedMethod[];

const descriptions: readonly DescribedMethod[] = DESCRIPTIONS;

/** The method that is meant where none is named. */
export const GVSL = 'gvsl';

/** The name of what a run was trained by: GVSL's ablations are told by the heads that are left. @param method as run.json has it */
export function methodNameOf(method: string | undefined, configuration: unknown): string {
  if (method !== undefined && method !== GVSL) return method;
  const heads = (configuration as { model?: { heads?: Partial<GvslHeads> } } | undefined)?.model?.heads;
  const [affine, matching, restoration] = [heads?.affine ?? true, heads?.matching ?? true, heads?.restoration ?? true];
  const same = descriptions.find(
    ({ preset }) =>
      preset &&
      preset.model.heads.matching === matching &&
      preset.model.heads.restoration === restoration &&
      preset.model.heads.affine === (affine && matching),
  );
  return same?.name ?? GVSL;
}

/** What is said of the method of a name; undefined if there is none. */
export const methodDescribed = (name: string): DescribedMethod | undefined => descriptions.find((method) => method.name === name);
