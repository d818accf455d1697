/** What a training starts from: random numbers, or what fits of another model's parameters. */
import type { Cohort } from '../cohort/cohort.ts';
import { RunError } from '../common/errors.ts';
import { GVSL } from '../methods/descriptions.ts';
import type { ModelConfiguration } from '../model/configuration.ts';
import { initialParameters, type Parameter, type ParameterTable, STEM, valuesOf } from '../model/parameters.ts';
import type { NamedTensor } from '../model/safetensors.ts';

/** What a new run starts from. */
export interface Start {
  /** Draws and fills the flat state. */
  parameters(): Float32Array;
  /** Parts of the network that the initial model gave, and those that start at random; null without one. run.json says it. */
  readonly parts: { readonly taken: readonly string[]; readonly anew: readonly string[] } | null;
  /** In a line. */
  readonly text: string;
  /** What is unusual about it, for people. */
  readonly warnings: readonly string[];
}

/** A model to start from. */
export interface InitialModel {
  readonly configuration: ModelConfiguration;
  readonly parameters: ReadonlyMap<string, NamedTensor>;
  readonly init: string;
  readonly folder: string;
  readonly width: number;
}

/** How a cohort's preparation differs from the one that a model learned from, in words. */
function differences({ options }: Pick<Cohort, 'options'>, { configuration: { preprocessing } }: InitialModel): string[] {
  if (!preprocessing) return [];
  const { modality, spacingMm, intensity } = options;
  const found: string[] = [];
  if (preprocessing.modality !== modality) found.push(`it was trained on ${preprocessing.modality}, the cohort is ${modality}`);
  if (preprocessing.spacingMm.some((mm, k) => Math.abs(mm - spacingMm[k]) > 1e-3))
    found.push(`it was trained at ${preprocessing.spacingMm.join(' x ')} mm, the cohort is at ${spacingMm.join(' x ')} mm`);
  const [before, now] = [preprocessing, options].map(({ channels = [] }) => channels.map(({ name }) => name).join(', '));
  if (before !== '' && before !== now) found.push(`it was trained on the channels ${before}, the cohort has ${now || 'one'}`);
  if (modality === 'mr' && preprocessing.intensity !== intensity)
    found.push(`intensities were scaled by ${preprocessing.intensity}, the cohort's by ${intensity}`);
  return found.map((difference) => `initial model: ${difference}`);
}

/** Whether a part is of the backbone, and not a head. */
export const isBackbone = (part: string): boolean => part === 'encoder' || part === 'decoder';

/**
 * The method that a model's heads were pre-trained by; an imported model's are GVSL's, whose files they are read from. Undefined for those of a task.
 */
export const methodOfHeads = ({
  task,
  training,
  method = GVSL,
}: Pick<ModelConfiguration, 'task' | 'training' | 'method'>): string | undefined => (task || training ? undefined : method);

/** The part that a parameter belongs to: the backbone's `encoder` or `decoder`, or a head by the first word of its names. */
const partOf = ({ name }: Pick<Parameter, 'name'>): string =>
  /^unet\.up/.test(name) ? 'decoder' : name.startsWith('unet.') ? 'encoder' : name.split('.', 1)[0];

/**
 * A stem for another number of input channels: its filters added up over the channels that it had, repeated, and divided by the number of those
 * that it gets, so that an image whose channels are all the same is seen as it was. As nnU-Net and nnssl do from one channel to several, and timm
 * (`adapt_input_conv`) in general. For as many channels it stays as it is.
 */
export function adaptedStem(stem: NamedTensor, channels: number): NamedTensor {
  const [out, inputs, ...kernel] = stem.shape;
  if (inputs === channels) return stem;
  const taps = kernel.reduce((product, n) => product * n, 1);
  const data = new Float32Array(out * channels * taps);
  for (let filter = 0; filter < out; filter++)
    for (let tap = 0; tap < taps; tap++) {
      let sum = stem.data[filter * inputs * taps + tap];
      for (let c = 1; c < inputs; c++) sum += stem.data[(filter * inputs + c) * taps + tap];
      for (let c = 0; c < channels; c++) data[(filter * channels + c) * taps + tap] = sum / channels;
    }
  return { ...stem, shape: [out, channels, ...kernel], data };
}

/**
 * Random numbers, with every part of the network that a model has under the same names and in the same shapes put in their place. A part that
 * it has not whole starts at random whole; the encoder must be there.
 * @param wanted which of the parts that fit are taken: names and shapes alone do not say that a head does what it should
 * @throws RunError naming the first parameter of a backbone that does not fit
 */
export function startFrom(
  cohort: Pick<Cohort, 'options'>,
  table: ParameterTable,
  seed: number,
  model: InitialModel | undefined,
  wanted: (part: string) => boolean = isBackbone,
): Start {
  if (!model) return { parameters: () => initialParameters(table, seed), parts: null, text: 'random parameters', warnings: [] };
  const tensorOf = (parameter: Parameter): NamedTensor | undefined => {
    const tensor = model.parameters.get(parameter.name);
    return tensor && parameter.name === STEM ? adaptedStem(tensor, parameter.shape[1]) : tensor;
  };
  const fits = (parameter: Parameter): boolean => tensorOf(parameter)?.shape.join() === parameter.shape.join();
  const [had, gets] = [model.parameters.get(STEM)?.shape[1] ?? 1, table.parameters.find(({ name }) => name === STEM)?.shape[1]];
  const taken: string[] = [];
  const anew: string[] = [];
  for (const part of new Set(table.parameters.map(partOf))) {
    const members = table.parameters.filter((parameter) => partOf(parameter) === part);
    const wrong = members.find((parameter) => !fits(parameter));
    if (wrong && (part === 'encoder' || (part === 'decoder' && members.some(tensorOf)))) {
      const [expected, found] = [wrong, tensorOf(wrong)].map((one) => (one ? `[${one.shape.join(', ')}]` : 'none'));
      throw new RunError(`${model.folder}: expected ${wrong.name} ${expected}, found ${found}: its backbone cannot be used here`);
    }
    (!wrong && wanted(part) ? taken : anew).push(part);
  }
  return {
    parameters: () => {
      const flat = initialParameters(table, seed);
      for (const parameter of table.parameters)
        if (taken.includes(partOf(parameter))) valuesOf(flat, parameter).set(tensorOf(parameter)!.data);
      return flat;
    },
    parts: { taken, anew },
    text: `${model.init}: ${taken.join(', ')}${anew.length > 0 ? `; starting anew: ${anew.join(', ')}` : ''}`,
    warnings: [
      ...differences(cohort, model),
      ...(had > 1 && had !== gets
        ? [
            `initial model: it sees ${had} channels and this network ${gets}: its first convolution was added up over them and shared out evenly`,
          ]
        : []),
      ...(anew.includes('decoder') ? ['initial model: it has no decoder, which starts at random'] : []),
    ],
  };
}
