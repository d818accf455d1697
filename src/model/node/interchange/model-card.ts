/** A model card (README.md of a Hugging Face folder): what the configuration says of a model, how to use it, and what is not known. */
import { counted } from '../../../common/counted.ts';
import { UsageError } from '../../../common/errors.ts';
import { markdownCell } from '../../../common/markdown.ts';
import type { ModelConfiguration } from '../../configuration.ts';
import { usualPart } from './part.ts';

const PIPELINE_TAGS = {
  segmenter: 'image-segmentation',
  classifier: 'image-classification',
  backbone: 'image-feature-extraction',
  encoder: 'image-feature-extraction',
} as const;
const OUTPUTS = {
  segmenter: 'probabilities = network(image)   # (N, classes, D, H, W)',
  classifier: 'probabilities = network(image)   # (N, outputs)',
  backbone: 'global_feature, local_feature = network(image)   # (N, C, D/16, H/16, W/16), (N, C, D, H, W)',
  encoder: 'global_feature = network.unet.encode(image)[4]   # (N, C, D/16, H/16, W/16)',
} as const;
const INTENSITIES = {
  ct: 'Hounsfield units plus 1024, clipped to 0 to 2048, divided by 2048',
  minmax: 'clipped at 0, then minimum to 0 and maximum to 1',
  percentile: 'clipped at 0, then percentile 0.5 to 0 and 99.5 to 1',
  signed: 'percentile 0.5 to 0 and 99.5 to 1, negative values kept',
} as const;

const list = (items: readonly string[]): string => (items.length === 0 ? 'none' : items.join(', '));

function training({ method, pretraining, training: task, step, seed }: ModelConfiguration): string[] {
  const how = [
    pretraining
      ? `Pre-trained without labels by ${method === undefined ? 'Geometric Visual Similarity Learning (He et al., CVPR 2023, arXiv 2303.00874)' : `the method ${markdownCell(method)} of gvsl`}.`
      : 'Pre-training is not recorded: the weights were imported or randomly initialised.',
    ...(task ? ['Then trained on a task.'] : []),
    ...(pretraining || task ? [`${counted(step, 'step')}; seed ${seed}. The full configuration is in \`config.json\`.`] : []),
  ];
  return how;
}

function preprocessing({ preprocessing: known }: ModelConfiguration): string[] {
  if (!known) return ['The preprocessing of the training images is not recorded.'];
  const intensities = known.modality === 'ct' ? INTENSITIES.ct : INTENSITIES[known.intensity];
  return [
    `${known.modality.toUpperCase()} images, axes in RAS order, resampled to ${known.spacingMm.join(' x ')} mm (x, y, z); intensities: ${intensities}.`,
    ...(known.channels
      ? [
          `Channels: ${known.channels.map(({ name, scale }, k) => `${k} ${name} (${scale})`).join(', ')}; on the grid of the first.`,
        ]
      : []),
    `\`gvsl prepare\` does this. The network takes (N, ${known.channels?.length ?? 1}, D, H, W) tensors with axes z, y, x.`,
  ];
}

function classes({ task }: ModelConfiguration): string[] {
  if (!task) return [];
  const rows =
    task.kind === 'segmentation'
      ? task.labels.map(({ code, name }, channel) => `| ${channel} | ${markdownCell(name)} | ${code} |`)
      : task.classes.map((name, output) => `| ${output} | ${markdownCell(name)} |`);
  const head =
    task.kind === 'segmentation'
      ? ['| channel | class | label code |', '| --- | --- | --- |']
      : ['| class | name |', '| --- | --- |'];
  return ['', '## Classes', '', ...head, ...rows, '', `Trained on images of ${task.patch.join(' x ')} voxels (z, y, x).`];
}

/** Of weights whose licence is known. */
export interface CardLicence {
  /** Of SPDX. */
  readonly identifier: string;
  /** What is said of it, and of the training data. */
  readonly lines: readonly string[];
}

/** Text for `name`, which is what the model is called. @throws UsageError if the name has a line break */
export function modelCard(configuration: ModelConfiguration, parameters: number, name: string, licence?: CardLicence): string {
  if (/[\r\n]/.test(name)) throw new UsageError(`the name ${JSON.stringify(name)} of the folder has a line break`);
  const { architecture, preprocessing: known } = configuration;
  const { channels, heads } = architecture;
  const part = usualPart(configuration);
  const standing = Object.entries(heads).flatMap(([head, value]) =>
    value === false || value === undefined ? [] : [value === true ? head : `${head} (${value})`],
  );
  const tags = [
    'gvsl',
    'medical-imaging',
    '3d',
    'unet',
    ...(known ? [known.modality] : []),
    ...(configuration.pretraining ? ['self-supervised-learning'] : []),
  ];
  return [
    '---',
    'library_name: gvsl',
    ...(licence ? [`license: ${licence.identifier.toLowerCase()}`] : []),
    `pipeline_tag: ${PIPELINE_TAGS[part]}`,
    'tags:',
    ...tags.map((tag) => `  - ${tag}`),
    '---',
    '',
    `# ${name}`,
    '',
    `A 3D U-Net with ${channels.join(', ')} channels from full resolution to the bottleneck; heads: ${list(standing)}; ${parameters.toLocaleString('en-US')} parameters.`,
    '',
    '## Training',
    '',
    ...training(configuration),
    '',
    '## Images',
    '',
    ...preprocessing(configuration),
    ...classes(configuration),
    '',
    '## Use',
    '',
    'With gvsl:',
    '',
    '```sh',
    'gvsl import . --out model                 # make a model folder for the other commands',
    ...(heads.matching ? ['gvsl register --model model --moving a.nii.gz --fixed b.nii.gz --out a-on-b'] : []),
    `gvsl export model --onnx ${part}.onnx     # for onnxruntime`,
    '```',
    '',
    'In PyTorch, with `gvsl_torch.py` from this folder and the package safetensors:',
    '',
    '```python',
    'import torch',
    'from gvsl_torch import load',
    '',
    "network = load('model.safetensors')",
    'with torch.no_grad():',
    `    ${OUTPUTS[part]}`,
    '```',
    '',
    '## Intended use and limits',
    '',
    'For research: as initial weights for training on tasks with few labels, or for the tasks of its heads, on images like those above.',
    'Images of another modality, body region, spacing or preprocessing are out of distribution. This folder does not state how well the model',
    'performs: evaluate it on your own data before relying on it. Not for clinical use.',
    '',
    ...(licence?.lines ?? ['State the licence of these weights and the training data here before publishing.']),
    '',
  ].join('\n');
}
