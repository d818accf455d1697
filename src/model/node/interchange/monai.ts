/**
 * A model as a MONAI bundle: metadata, inference configuration, weights, and what they need in Python (scripts/monai/, scripts/gvsl_torch.py).
 *
 * MONAI's own transforms would prepare images otherwise: its resampling keeps the first voxel and not the centre of the image, and does not smooth
 * before it makes an image coarser. So the bundle has its transforms with it, which do what `gvsl prepare` and `gvsl segment` do.
 * References: MONAI's bundle specification (docs.monai.io, mb_specification), MONAI 1.5; the schema of the model zoo.
 */

import { readFile } from 'node:fs/promises';
import { basename, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { counted } from '../../../common/counted.ts';
import { UsageError } from '../../../common/errors.ts';
import { version } from '../../../common/version.ts';
import { makeFolder, writeFileAtomic, writeNewFolder } from '../../../platform/node/files.ts';
import { architectureOf, type ModelConfiguration, preprocessingOf, trainedPatch } from '../../configuration.ts';
import { jsonText } from '../documents.ts';
import type { Model } from '../model-folder.ts';
import { type NetworkPart, takePart, usualPart } from './part.ts';
import { BUNDLE_MODULES, TORCH_MODULE } from './python-modules.ts';
import { encodePyTorch } from './write-pytorch.ts';

const LICENSE = fileURLToPath(new URL('../../../../LICENSE', import.meta.url));
const SCHEMA = 'https://github.com/Project-MONAI/MONAI-extra-test-data/releases/download/0.8.1/meta_schema_20240725.json';
/** As `gvsl segment` has them (apply/network.ts). */
const USUAL_SIDE = 64;
const OVERLAP = 0.5;
/** What scripts/monai runs with; MONAI 1.3 has all that is used. */
const VERSIONS = { monai: '1.3.0', pytorch: '1.13.1', numpy: '1.24.0', nibabel: '4.0.0', ignite: '0.4.11', scipy: '1.10.0' };

type Part = Exclude<NetworkPart, 'encoder'>;
const names = (labels: readonly string[]): Record<string, string> =>
  Object.fromEntries(labels.map((label, channel) => [String(channel), label]));

/** What the network gives, and what its channels are. */
function outputOf(part: Part, { task }: ModelConfiguration, channels: number) {
  const image = { type: 'image', dtype: 'float32', spatial_shape: ['16*n', '16*n', '16*n'], is_patch_data: true };
  if (part === 'backbone')
    return { ...image, format: 'latent', num_channels: channels, value_range: [], channel_def: names(['feature']) };
  const labels = task?.kind === 'segmentation' ? task.labels.map(({ name }) => name) : (task?.classes ?? []);
  if (part === 'segmenter')
    return { ...image, format: 'segmentation', num_channels: channels, value_range: [0, 1], channel_def: names(labels) };
  return {
    type: 'probabilities',
    format: 'classes',
    num_channels: channels,
    spatial_shape: [],
    dtype: 'float32',
    value_range: [0, 1],
    is_patch_data: false,
    // one output is the probability of the second class
    channel_def: names(channels === 1 ? labels.slice(1) : labels),
  };
}

function describeWork(part: Part, { task, preprocessing }: ModelConfiguration): string {
  const images = preprocessing ? `${preprocessing.modality.toUpperCase()} images` : 'images';
  if (part === 'backbone') return `Features of 3D ${images}`;
  const found = task?.kind === 'segmentation' ? task.labels.slice(1).map(({ name }) => name) : (task?.classes ?? []);
  return `${part === 'segmenter' ? 'Segmentation' : 'Classification'} of 3D ${images}: ${found.join(', ')}`;
}

/** What the network takes. */
const channelNames = ({ preprocessing }: ModelConfiguration, channels: number): string[] =>
  preprocessing?.channels?.map(({ name }) => name) ??
  Array.from({ length: channels }, (_, k) => (channels === 1 ? 'image' : `image ${k}`));

function metadata(name: string, part: Part, configuration: ModelConfiguration, outputs: number, channels: number): object {
  const { preprocessing, postProcessing, step, task } = configuration;
  const [work] = describeWork(part, configuration).split(':');
  return {
    schema: SCHEMA,
    version: '0.1.0',
    changelog: { '0.1.0': `exported by gvsl ${version}` },
    monai_version: VERSIONS.monai,
    pytorch_version: VERSIONS.pytorch,
    numpy_version: VERSIONS.numpy,
    required_packages_version: {
      nibabel: VERSIONS.nibabel,
      'pytorch-ignite': VERSIONS.ignite,
      ...(postProcessing?.length ? { scipy: VERSIONS.scipy } : {}),
    },
    supported_apps: {},
    name,
    task: work,
    description: `${describeWork(part, configuration)}. A 3D U-Net of gvsl after ${counted(step, 'step')} of training`,
    authors: 'State the authors before publishing',
    copyright: 'State the copyright before publishing',
    data_type: 'nibabel',
    image_classes: `${counted(channels, 'channel')}, intensities in [0, 1]`,
    ...(task?.kind === 'segmentation' && {
      label_classes: task.labels.map(({ code, name: label }) => `${code} is ${label}`).join(', '),
    }),
    intended_use: 'For research. Not for clinical use',
    references: [],
    network_data_format: {
      inputs: {
        image: {
          type: 'image',
          format: 'magnitude',
          modality: preprocessing?.modality.toUpperCase() ?? 'n/a',
          num_channels: channels,
          spatial_shape: ['16*n', '16*n', '16*n'],
          dtype: 'float32',
          value_range: [0, 1],
          is_patch_data: true,
          channel_def: names(channelNames(configuration, channels)),
        },
      },
      outputs: { pred: outputOf(part, configuration, outputs) },
    },
  };
}

/** The type of numpy that holds every code. */
function codeType(codes: readonly number[]): string {
  const [low, high] = [Math.min(...codes), Math.max(...codes)];
  if (low >= 0 && high < 2 ** 8) return 'uint8';
  return low >= -(2 ** 15) && high < 2 ** 15 ? 'int16' : 'int32';
}

/** Configuration of `python -m monai.bundle run --config_file configs/inference.json`. Arrays in MONAI have the axes x, y, z. */
function inference(part: Part, configuration: ModelConfiguration, network: object, source: string): object {
  const { modality, spacingMm, intensity, crop, channels } = preprocessingOf(configuration, source, undefined);
  const window = [...(trainedPatch(configuration) ?? [USUAL_SIDE, USUAL_SIDE, USUAL_SIDE])].reverse();
  const codes = configuration.task?.kind === 'segmentation' ? configuration.task.labels.map(({ code }) => code) : [];
  const rules = configuration.postProcessing ?? [];
  const scales = channels && { scales: channels.map(({ scale }) => scale) };
  const preprocessing = [
    { _target_: 'LoadImaged', keys: 'image' },
    { _target_: 'EnsureChannelFirstd', keys: 'image' },
    {
      _target_: 'scripts.transforms.PrepareImaged',
      keys: 'image',
      spacing: [...spacingMm],
      modality,
      intensity,
      crop,
      ...scales,
    },
  ];
  const save = (more: object) => ({
    _target_: 'SaveImaged',
    keys: 'pred',
    output_dir: '@output_dir',
    output_ext: '.nii.gz',
    output_postfix: part === 'segmenter' ? 'seg' : 'features',
    separate_folder: false,
    resample: false,
    ...more,
  });
  const postprocessing = {
    segmenter: [
      {
        _target_: 'scripts.transforms.RestoreLabelsd',
        keys: 'pred',
        codes,
        ...(rules.length > 0 && { post_processing: rules }),
      },
      save({ output_dtype: `$numpy.${codeType(codes)}` }),
    ],
    backbone: [save({ output_dtype: '$numpy.float32' })],
    classifier: [{ _target_: 'ToTensord', keys: 'pred' }],
  }[part];
  const handlers =
    part === 'classifier'
      ? [
          {
            _target_: 'ClassificationSaver',
            output_dir: '@output_dir',
            batch_transform: "$lambda batch: batch[0]['image'].meta",
            output_transform: "$monai.handlers.from_engine(['pred'])",
          },
        ]
      : [];
  return {
    imports: ['$import glob', '$import os', '$import numpy', '$import scripts'],
    bundle_root: '.',
    output_dir: "$@bundle_root + '/eval'",
    dataset_dir: "$@bundle_root + '/images'",
    datalist: "$list(sorted(glob.glob(@dataset_dir + '/*.nii.gz')))",
    device: "$torch.device('cuda:0' if torch.cuda.is_available() else 'cpu')",
    network_def: network,
    network: '$@network_def.to(@device)',
    preprocessing: { _target_: 'Compose', transforms: preprocessing },
    dataset: { _target_: 'Dataset', data: "$[{'image': i} for i in @datalist]", transform: '@preprocessing' },
    dataloader: { _target_: 'DataLoader', dataset: '@dataset', batch_size: 1, shuffle: false, num_workers: 0 },
    inferer:
      part === 'classifier'
        ? { _target_: 'scripts.transforms.MeanOfWindows', roi_size: window, overlap: OVERLAP }
        : {
            _target_: 'SlidingWindowInferer',
            roi_size: window,
            sw_batch_size: 1,
            overlap: OVERLAP,
            mode: 'gaussian',
            sigma_scale: 0.125,
          },
    postprocessing: { _target_: 'Compose', transforms: postprocessing },
    handlers: [{ _target_: 'StatsHandler', iteration_log: false }, ...handlers],
    evaluator: {
      _target_: 'SupervisedEvaluator',
      device: '@device',
      val_data_loader: '@dataloader',
      network: '@network',
      inferer: '@inferer',
      postprocessing: '@postprocessing',
      val_handlers: '@handlers',
      amp: false,
    },
    checkpointloader: {
      _target_: 'CheckpointLoader',
      load_path: "$@bundle_root + '/models/model.pt'",
      load_dict: { model: '@network' },
    },
    initialize: ['$@checkpointloader(@evaluator)'],
    run: ['$@evaluator.run()'],
  };
}

function readme(name: string, part: Part, configuration: ModelConfiguration, licence?: readonly string[]): string {
  const out = {
    segmenter: 'Label maps on the grid of each image, `eval/NAME_seg.nii.gz`, with the codes of training.',
    classifier: 'Probabilities of each image in `eval/predictions.csv`.',
    backbone: 'Features of each image on the prepared grid, `eval/NAME_features.nii.gz`.',
  }[part];
  return [
    `# ${name}`,
    '',
    `${describeWork(part, configuration)}.`,
    '',
    '```sh',
    'python -m monai.bundle run --config_file configs/inference.json --bundle_root . --dataset_dir IMAGES --output_dir eval',
    'python -m monai.bundle verify_metadata --meta_file configs/metadata.json --filepath eval/schema.json',
    'python -m monai.bundle verify_net_in_out network_def --meta_file configs/metadata.json --config_file configs/inference.json',
    '```',
    '',
    `Run in this folder, so that \`scripts\` is found. ${out}`,
    '',
    "Images are prepared by `scripts/preparation.py`, which does what `gvsl prepare` does: axes to RAS, resampling about the image's centre",
    "(smoothed before it becomes coarser), then intensities to [0, 1], then the box around the patient. MONAI's own Orientationd, Spacingd and",
    'ScaleIntensity would give other images than those of training.',
    ...(part === 'segmenter'
      ? [
          "Windows are those of MONAI's SlidingWindowInferer, which places them otherwise than `gvsl segment` along axes that are longer than a",
          'window: label maps differ there in some voxels on the borders of structures.',
        ]
      : []),
    '',
    ...(configuration.preprocessing?.channels
      ? [
          `The network takes the channels ${channelNames(configuration, 0).join(', ')}, in this order and on one grid: a 4D NIfTI file for each image, or in`,
          '`datalist` a list of their files for each. `gvsl segment` also takes channels on grids of their own, and resamples them.',
          '',
        ]
      : []),
    ...(licence
      ? [
          'For research. Not for clinical use. `LICENSE` is that of the code; for the weights and the data see `docs/data_license.txt`.',
        ]
      : [
          'For research. Not for clinical use. `LICENSE` is that of the code; state the licence of the weights and of the training data (in',
          '`docs/data_license.txt`) before publishing.',
        ]),
    '',
  ].join('\n');
}

/** The network in inference.json. */
function networkDefinition(part: Part, configuration: ModelConfiguration, parameters: Model['parameters'], source: string) {
  const { widths, heads } = architectureOf(configuration, source);
  const channels = parameters.get('unet.inc.double_conv.0.weight')!.shape[1];
  const more = channels === 1 ? {} : { channels };
  const segmenter = heads.multiLevel ? 'MultiLevelSegmenter' : 'Segmenter';
  const target = { segmenter, classifier: 'Classifier', backbone: 'Backbone' }[part];
  const outputs = part === 'segmenter' ? heads.segmentation! : part === 'classifier' ? heads.classification! : widths[8];
  return {
    channels,
    outputs,
    network: {
      _target_: `scripts.net.${target}`,
      widths: part === 'classifier' ? widths.slice(0, 5) : [...widths],
      ...(part === 'segmenter' && { classes: outputs }),
      ...(part === 'classifier' && { outputs }),
      ...more,
    },
  };
}

/**
 * Writes the bundle, whose folder must be new.
 * @param licence what is said of the weights' licence, where it is known
 * @throws UsageError for a name that is none of a bundle, a model without a decoder or task, or one whose preprocessing is not known
 */
export async function writeMonai(path: string, model: Model, source: string, licence?: readonly string[]): Promise<void> {
  const name = basename(resolve(path));
  if (!/^[\w.-]+$/.test(name))
    throw new UsageError(`\`monai\` ${path}: the name of a bundle has letters, digits, '_', '-', '.' only`);
  const part = usualPart(model.configuration);
  if (part === 'encoder')
    throw new UsageError(
      `${source}: an encoder alone, which has nothing to show in MONAI; train it on a task first, or export it with \`pth\``,
    );
  const { configuration, parameters } = takePart(model, part, source);
  const { network, channels, outputs } = networkDefinition(part, configuration, parameters, source);
  const full = { ...configuration, postProcessing: model.configuration.postProcessing };
  const files: Readonly<Record<string, string>> = {
    'configs/metadata.json': jsonText(metadata(name, part, full, outputs, channels)),
    'configs/inference.json': jsonText(inference(part, full, network, source)),
    'docs/README.md': readme(name, part, full, licence),
    ...(licence ? { 'docs/data_license.txt': `${licence.join('\n')}\n` } : {}),
  };
  await writeNewFolder(path, async (folder) => {
    for (const inside of ['configs', 'docs', 'models', 'scripts']) await makeFolder(join(folder, inside));
    for (const [file, text] of Object.entries(files)) await writeFileAtomic(join(folder, file), text);
    await writeFileAtomic(join(folder, 'LICENSE'), await readFile(LICENSE));
    await writeFileAtomic(join(folder, 'models', 'model.pt'), ...encodePyTorch([...parameters.values()]));
    for (const module of [...BUNDLE_MODULES, TORCH_MODULE])
      await writeFileAtomic(join(folder, 'scripts', basename(module)), await readFile(module));
  });
}
