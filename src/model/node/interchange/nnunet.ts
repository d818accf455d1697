/**
 * A checkpoint that nnU-Net 2.8 and newer fine-tunes (`nnUNetv2_preprocess_like_nnssl`, `nnUNetv2_train_pretrained`): the form is that of
 * nnssl's checkpoints. nnU-Net builds the network from the class that the checkpoint names (scripts/gvsl_nnunet.py, which travels with it),
 * loads `body.*` as it is and repeats `stem` for several channels.
 * References: nnU-Net 2.8.1, experiment_planning/like_nnssl.py, training/nnUNetTrainer/pretraining/pretrainedTrainer.py; nnssl,
 * adaptation_planning/adaptation_plan.py.
 */
import { readFile } from 'node:fs/promises';
import { basename, join, resolve } from 'node:path';
import { UsageError } from '../../../common/errors.ts';
import { version } from '../../../common/version.ts';
import { toZyx, type Zyx } from '../../../geometry/volume.ts';
import { writeFileAtomic, writeNewFolder } from '../../../platform/node/files.ts';
import { hasDecoder, SIZE_MULTIPLE } from '../../architecture.ts';
import { architectureOf, CONFIG_FILE, type ModelConfiguration, trainedPatch } from '../../configuration.ts';
import type { NamedTensor } from '../../safetensors.ts';
import { jsonText } from '../documents.ts';
import type { Model } from '../model-folder.ts';
import { NNUNET_MODULE, TORCH_MODULE } from './python-modules.ts';
import { encodeTorch, StateDict, type TorchValue } from './write-pytorch.ts';

/** Files that nnU-Net expects by these names where it downloads a checkpoint from Hugging Face. */
export const CHECKPOINT_FILE = 'checkpoint_final.pth';
const PLAN_FILE = 'adaptation_plan.json';
/** Patch where a model does not say what it was trained on. */
const USUAL_PATCH: Zyx = [96, 96, 96];
const FIRST = 'unet.inc.double_conv.0.';

/** The plug-in's name for a parameter; undefined for the heads, which stay here. */
function nameInPlugIn(name: string): string | undefined {
  if (name.startsWith(FIRST)) return `stem.${name.slice(FIRST.length)}`;
  if (!name.startsWith('unet.')) return undefined;
  const own = name.slice('unet.'.length);
  return own.startsWith('up') ? `body.decoder.${own}` : `body.${own}`;
}

/** The backbone's tensors under the names that they have in the plug-in. */
export function plugInTensors({ parameters }: Pick<Model, 'parameters'>): NamedTensor[] {
  return [...parameters.values()].flatMap(({ name, ...tensor }) => {
    const own = nameInPlugIn(name);
    return own === undefined ? [] : [{ name: own, ...tensor }];
  });
}

/** Sizes that the network takes without padding. */
export const toMultiple = (patch: Zyx): number[] => patch.map((n) => SIZE_MULTIPLE * Math.ceil(n / SIZE_MULTIPLE));

/** What nnU-Net reads of a checkpoint beside the weights: the form of nnssl's AdaptationPlan. Sizes and spacings are z, y, x. */
export function adaptationPlan(configuration: ModelConfiguration, channels: number, folder: string, size?: Zyx) {
  const { widths, heads } = architectureOf(configuration, folder);
  const { preprocessing } = configuration;
  const patch = toMultiple(size ?? trainedPatch(configuration) ?? USUAL_PATCH);
  const spacing = preprocessing ? [...toZyx(preprocessing.spacingMm)] : null;
  return {
    architecture_plans: {
      arch_class_name: 'gvsl_nnunet.GvslPlainConvUNet',
      arch_kwargs: { features: [...widths], pretrained_decoder: hasDecoder(heads) },
      arch_kwargs_requiring_import: [],
    },
    pretrain_plan: {
      dataset_name: 'gvsl',
      plans_name: 'gvslPlans',
      original_median_spacing_after_transp: spacing ?? [1, 1, 1],
      image_reader_writer: 'SimpleITKIO',
      transpose_forward: [0, 1, 2],
      transpose_backward: [0, 1, 2],
      experiment_planner_used: 'gvsl',
      configurations: {
        gvsl: {
          data_identifier: 'gvsl',
          preprocessor_name: 'gvsl prepare',
          spacing_style: spacing === null ? 'noresample' : spacing.every((mm) => mm === 1) ? 'onemmiso' : 'median',
          // images in [0, 1]; how they get there is in config.json
          normalization_schemes: Array.from({ length: channels }, () => 'RescaleTo01Normalization'),
          use_mask_for_norm: Array.from({ length: channels }, () => false),
          resampling_fn_data: 'gvsl prepare',
          resampling_fn_data_kwargs: {},
          resampling_fn_mask: 'gvsl prepare',
          resampling_fn_mask_kwargs: {},
          spacing,
          patch_size: patch,
        },
      },
    },
    pretrain_num_input_channels: channels,
    pretrain_patch_size: patch,
    recommended_downstream_patchsize: patch,
    key_to_encoder: 'body',
    key_to_stem: 'stem',
    keys_to_in_proj: ['stem'],
    key_to_lpe: null,
  } satisfies TorchValue;
}

/** Who is to be cited, as nnU-Net prints it at the start of a training. */
const citations = ({ pretraining, method }: ModelConfiguration): TorchValue => [
  { type: 'Software', name: 'gvsl', apa_citations: [`gvsl ${version}`] },
  ...(pretraining && method === undefined
    ? [
        {
          type: 'Pre-training',
          name: 'GVSL',
          apa_citations: [
            'He, Y., Yang, G., Ge, R., Chen, Y., Coatrieux, J.-L., Wang, B., & Li, S. (2023). Geometric visual similarity learning in 3D medical image self-supervised pre-training. CVPR.',
          ],
        },
      ]
    : []),
];

function readme(
  name: string,
  configuration: ModelConfiguration,
  patch: readonly number[],
  licence: readonly string[] = ['State the licence of these weights and the training data here before publishing.'],
): string {
  const { preprocessing: known } = configuration;
  const mode = known ? '-am like_pretrained' : '-am default_nnunet';
  return [
    `# ${name}`,
    '',
    'Pre-trained weights of gvsl for nnU-Net 2.8 or newer. The data set must have been planned once (`nnUNetv2_plan_and_preprocess -d ID`).',
    '',
    '```sh',
    'export PYTHONPATH="$PWD:$PYTHONPATH"      # this folder: nnU-Net imports the network from it',
    `nnUNetv2_preprocess_like_nnssl -d ID -n ${name} -pc "$PWD/${CHECKPOINT_FILE}" ${mode}`,
    `nnUNetv2_train_pretrained ID 3d_fullres FOLD -p ptPlans__${name}____...   # the plans' name as the first command prints it`,
    '```',
    '',
    `Loaded: ${hasDecoder(configuration.architecture.heads) ? 'encoder and decoder' : 'the encoder; the decoder is new'}. The last layer is new. Patches of ${patch.join(' x ')} voxels (z, y, x); for others change \`patch_size\` in the plans.`,
    known?.channels
      ? `The network takes the channels ${known.channels.map(({ name }) => name).join(', ')}: the data set must have the same in this order. nnU-Net normalises every channel to zero mean`
      : 'With several channels nnU-Net repeats the first convolution and divides it by their number. nnU-Net normalises every channel to zero mean',
    `and unit variance, whereas pre-training saw ${known ? `${known.modality.toUpperCase()} ` : ''}images in [0, 1]: the first layers have to adapt in the warm-up.`,
    '`nnUNetv2_train_pretrained` with `--from_scratch` trains the same network from random weights, for comparison.',
    '',
    '## Prediction',
    '',
    'nnU-Net 2.8.1 trains and validates such a model, but `nnUNetv2_predict` stops with "missing a required argument" while it builds the',
    'network: in `nnunetv2/inference/predict_from_raw_data.py`, `initialize_from_trained_model_folder` calls',
    '`trainer_class.build_network_architecture` without the patch size. Until that is mended there, insert the argument',
    '`configuration_manager.patch_size,` after `configuration_manager.network_arch_init_kwargs_req_import,` in that call.',
    'That holds for every model of PretrainedTrainer, not for those of gvsl alone.',
    '',
    ...licence,
    '',
  ].join('\n');
}

/**
 * Writes the folder, which must be new: checkpoint, adaptation plan, config.json, the network in Python, README.
 * @param size patch (z, y, x) that is recommended to nnU-Net; default: what the model was trained on
 * @param licence what is said of the weights' licence, where it is known
 * @throws UsageError for a folder whose name cannot be an argument of nnU-Net's commands
 */
export async function writeNnUnet(
  path: string,
  model: Model,
  source: string,
  size?: Zyx,
  licence?: readonly string[],
): Promise<void> {
  const name = basename(resolve(path));
  if (!/^[\w.+-]+$/.test(name))
    throw new UsageError(`\`nnunet\` ${path}: its name becomes part of nnU-Net's plans; use letters, digits, '_', '-', '.'`);
  const { configuration } = model;
  const tensors = plugInTensors(model);
  const plan = adaptationPlan(configuration, tensors[0].shape[1], source, size);
  await writeNewFolder(path, async (folder) => {
    await writeFileAtomic(
      join(folder, CHECKPOINT_FILE),
      ...encodeTorch({
        network_weights: new StateDict(tensors),
        nnssl_adaptation_plan: plan,
        citations: citations(configuration),
      }),
    );
    await writeFileAtomic(join(folder, PLAN_FILE), jsonText(plan));
    await writeFileAtomic(join(folder, CONFIG_FILE), jsonText(configuration));
    await writeFileAtomic(join(folder, 'README.md'), readme(name, configuration, plan.recommended_downstream_patchsize, licence));
    for (const module of [TORCH_MODULE, NNUNET_MODULE])
      await writeFileAtomic(join(folder, basename(module)), await readFile(module));
  });
}
