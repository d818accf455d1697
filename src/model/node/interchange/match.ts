/** Which of our networks a file's tensors are: by their names and shapes alone. */
import { MAX_CHANNELS } from '../../../cohort/prepare-options.ts';
import { RunError } from '../../../common/errors.ts';
import { formatNames } from '../../../common/format-names.ts';
import { type Architecture, type Heads, hasDecoder, NO_HEADS, type Projection, scaledArchitecture } from '../../architecture.ts';
import { parameterTable } from '../../parameters.ts';

/** The factors on the published widths that are tried. */
const WIDTHS = [1, 0.5, 0.25, 0.125] as const;
const LEVELS = 5;
/** As config.json allows. */
const MAX_OUTPUTS = 65_536;
/** Every file of ours, of the oracle and of the published code has this tensor, whatever stands before it. */
const FIRST = 'inc.double_conv.0.weight';
/** What is inside the U-Net; files of the U-Net alone leave its own name out. */
const IN_UNET = /^(inc|down[1-4]|up[1-4])\./;

/** What our networks call their parts. */
const IN_NETWORK = /^(unet|sp_conv|f_conv|res_conv|out_conv|out_levels|out_flow|fc|fc_(rot|scl|trans|shear))\./;

const HEAD_NAMES = ['affine', 'matching', 'restoration', 'segmentation', 'classification'] as const;

type Shapes = ReadonlyMap<string, { readonly shape: readonly number[] }>;

export interface Matched {
  /** The factor on the published widths. */
  readonly width: number;
  readonly architecture: Architecture;
  /** The file's name for each parameter, in the table's order. */
  readonly names: ReadonlyMap<string, string>;
  /** What stood before every name ('module.'), or ''. */
  readonly prefix: string;
  /** True if the file's names lack 'unet.'. */
  readonly unetAlone: boolean;
  /** Heads that the file has not. */
  readonly missingHeads: readonly (typeof HEAD_NAMES)[number][];
  /** The file's names that belong to no parameter. */
  readonly unknown: readonly string[];
  readonly warnings: readonly string[];
}

/** Of a tensor's name: whether a network of ours begins with it. */
export const isFirstTensor = (name: string): boolean => name === FIRST || name.endsWith(`.${FIRST}`);
/** In names before a network that only follows another one: its running average, or the teacher of self-distillation. */
const FOLLOWER = /ema|averag|teacher|momentum|shadow|target|swa|_k\./i;

/** Networks that come often and are none of ours, by a tensor that each has: what they are, and what can be done with them. */
const FOREIGN: readonly (readonly [RegExp, string])[] = [
  [
    /^(module\.|_orig_mod\.)?(encoder\.(stem|stages)|decoder\.stages)\./,
    "a network of nnU-Net or nnssl: strided convolutions and instance normalisation, which gvsl's network has not, so its weights would compute something else. Fine-tune it in nnU-Net; gvsl's own models go there with `gvsl export --nnunet`",
  ],
  [
    /^(module\.|_orig_mod\.)?(body|stem)\.(inc|weight)/,
    'what `gvsl export --nnunet` wrote, or nnU-Net trained of it, for images of zero mean and unit variance; import the model that it was exported from',
  ],
  [/(^|\.)(vit|eva|patch_embed|down_projection|swinViT)\./, 'a transformer; gvsl has a 3D U-Net'],
];

/** The projection of an encoder that contrastive methods trained: the kinds differ in their layers and in the width of the first. */
function projectionOf(shapeOf: (name: string) => readonly number[] | undefined): Projection | undefined {
  const [first, second, last] = [0, 2, 3].map((layer) => shapeOf(`projector.${layer}.weight`));
  const outputs = (second ?? last)?.[0];
  if (!first || outputs === undefined || outputs < 1 || outputs > MAX_OUTPUTS) return undefined;
  if (second) return { kind: 'simclr', outputs };
  const kind = first[0] === first[1] ? 'simsiam' : 'byol';
  return { kind, outputs, ...(shapeOf('predictor.0.weight') ? {} : { predictor: false }) };
}

const format = (shape: readonly number[]): string => `[${shape.join(', ')}]`;

/** What stands before the names, by the first tensor of the U-Net. */
function findPrefix(tensors: Shapes, source: string): { prefix: string; unetAlone: boolean; warnings: string[] } {
  const all = [...tensors.keys()].filter(isFirstTensor);
  const names = [...tensors.keys()];
  const foreign = all.length > 0 ? undefined : FOREIGN.find(([tensor]) => names.some((name) => tensor.test(name)));
  if (foreign) throw new RunError(`${source}: ${foreign[1]} (it contains ${formatNames(names, 3)})`);
  if (all.length === 0)
    throw new RunError(
      `${source}: no tensor named ${FIRST}, so it is not a U-Net that gvsl supports; the file contains ${formatNames(names, 5) || 'no tensors'}`,
    );
  const leading = all.filter((name) => !FOLLOWER.test(name));
  const found = leading.length === 1 ? leading : all;
  if (found.length > 1)
    throw new RunError(`${source}: contains ${found.length} networks (${formatNames(found)}); save the state dict of one`);
  const before = found[0].slice(0, -FIRST.length);
  const unetAlone = !/(^|\.)unet\.$/.test(before);
  return {
    prefix: unetAlone ? before : before.slice(0, -'unet.'.length),
    unetAlone,
    warnings: all.length > 1 ? [`the file contains ${all.length} networks (${formatNames(all)}); using that of ${found[0]}`] : [],
  };
}

/**
 * Finds the architecture whose parameters these are.
 * @param refused names that stand for something else than a tensor that can be read, and why
 * @throws RunError naming source and tensor: another network, another width, or a shape that does not fit
 */
export function matchNetwork(tensors: Shapes, source: string, refused: ReadonlyMap<string, string> = new Map()): Matched {
  const unreadable = [...refused].find(([name]) => isFirstTensor(name));
  if (unreadable && ![...tensors.keys()].some(isFirstTensor))
    throw new RunError(`${source}: ${unreadable[0]} cannot be read: ${unreadable[1]}`);
  const { prefix, unetAlone, warnings } = findPrefix(tensors, source);
  // our name -> the file's
  const named = new Map<string, string>();
  for (const name of tensors.keys()) {
    if (!name.startsWith(prefix)) continue;
    const own = name.slice(prefix.length);
    named.set(unetAlone && IN_UNET.test(own) ? `unet.${own}` : own, name);
  }
  const shapeOf = (own: string): readonly number[] | undefined => {
    const name = named.get(own);
    return name === undefined ? undefined : tensors.get(name)!.shape;
  };

  // what the network would need must not count as a head that is missing
  for (const [name, reason] of refused) {
    const own = name.startsWith(prefix) ? name.slice(prefix.length) : '';
    if (IN_UNET.test(own) || IN_NETWORK.test(own)) throw new RunError(`${source}: ${name} cannot be read: ${reason}`);
  }

  const convolutions = Array.from({ length: LEVELS }, (_, level) =>
    level === 0 ? `unet.${FIRST}` : `unet.down${level}.maxpool_conv.1.double_conv.0.weight`,
  );
  const channels = convolutions.map((name) => shapeOf(name)?.[0]);
  const absent = convolutions.filter((_, level) => channels[level] === undefined);
  if (absent.length > 0) throw new RunError(`${source}: ${absent[0]} is missing: incomplete U-Net`);
  const width = WIDTHS.find((factor) => scaledArchitecture(factor).widths.slice(0, LEVELS).join() === channels.join());
  if (width === undefined)
    throw new RunError(
      `${source}: channels ${channels.join(', ')}; gvsl has ${WIDTHS.map((factor) => scaledArchitecture(factor).widths.slice(0, LEVELS).join('-')).join(', ')} (widths ${WIDTHS.join(', ')})`,
    );

  const matching = named.has('sp_conv.double_conv.0.weight');
  const multiLevel = !named.has('out_conv.weight') && named.has('out_levels.image.weight');
  const segmentationName = multiLevel ? 'out_levels.image.weight' : 'out_conv.weight';
  const segmentation = shapeOf(segmentationName)?.[0];
  const classification = shapeOf('fc.weight')?.[0];
  for (const [name, outputs, least] of [
    [segmentationName, segmentation, 2],
    ['fc.weight', classification, 1],
  ] as const) {
    if (outputs !== undefined && (outputs < least || outputs > MAX_OUTPUTS))
      throw new RunError(`${source}: ${prefix}${name} has ${outputs} outputs; expected ${least} to ${MAX_OUTPUTS}`);
  }
  // only a network without a decoder is one of contrastive methods; beside one, a projector is another program's
  const encoderAlone = ![...named.keys()].some((name) => name.startsWith('unet.up'));
  const projection = encoderAlone ? projectionOf(shapeOf) : undefined;
  const heads: Heads = {
    ...NO_HEADS,
    matching,
    affine: matching && named.has('f_conv.double_conv.0.weight'),
    restoration: named.has('res_conv.0.weight'),
    ...(segmentation === undefined ? {} : { segmentation, ...(multiLevel && { multiLevel }) }),
    ...(classification === undefined ? {} : { classification }),
    ...(projection && { projection }),
  };
  if (encoderAlone && hasDecoder(heads) && !matching && !heads.restoration && segmentation === undefined)
    throw new RunError(
      `${source}: an encoder alone (no ${prefix}unet.up1 to up4), without a head that says so: expected ${prefix}fc.weight [classes, ${channels[LEVELS - 1]}] and ${prefix}fc.bias, or a projector of SimCLR, SimSiam or BYOL; add an fc of any values, which \`gvsl train\` starts anew`,
    );
  const inputs = shapeOf(convolutions[0])?.[1] ?? 1;
  if (inputs > MAX_CHANNELS)
    throw new RunError(`${source}: ${prefix}${convolutions[0]} has ${inputs} input channels; expected 1 to ${MAX_CHANNELS}`);
  const architecture = scaledArchitecture(width, heads, inputs);
  const names = new Map<string, string>();
  for (const { name, shape } of parameterTable(architecture).parameters) {
    const found = shapeOf(name);
    if (found?.join() !== shape.join())
      throw new RunError(
        `${source}: expected ${prefix}${name} ${format(shape)}, found ${found ? format(found) : 'none'}; is it a different kind of network?`,
      );
    names.set(name, named.get(name)!);
  }
  const used = new Set(names.values());
  return {
    width,
    architecture,
    names,
    prefix,
    unetAlone,
    missingHeads: HEAD_NAMES.filter((head) => heads[head] === undefined || heads[head] === false),
    unknown: [...tensors.keys()].filter((name) => !used.has(name)),
    warnings,
  };
}
