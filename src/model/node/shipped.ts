/**
 * The models that the package brings along: a folder of `models/` each, with its weights in half precision and a card that says what they were
 * trained on, how, with what result, and under which licence. `resolveModel` knows them by name.
 */
import { existsSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { z } from 'zod';
import { RunError } from '../../common/errors.ts';
import { contentOf } from '../../platform/node/files.ts';
import { CONFIG_FILE, MODEL_FILE } from '../configuration.ts';
import { readJson } from './documents.ts';

/** Beside src/ and dist/. */
const FOLDER = fileURLToPath(new URL('../../../models', import.meta.url));
export const CARD_FILE = 'card.json';

const fileSchema = z.strictObject({ sizeBytes: z.int().positive(), sha256: z.string().regex(/^[0-9a-f]{64}$/) });

export const cardSchema = z.strictObject({
  format: z.literal('gvsl-model-card'),
  formatVersion: z.literal(1),
  /** The folder's. */
  name: z.string().regex(/^[a-z][a-z0-9-]*$/),
  /** What it is for, in a few words. */
  title: z.string(),
  kind: z.enum(['pre-training', 'segmentation', 'classification']),
  /** Which images it takes. */
  images: z.string(),
  /** Of the weights: an SPDX identifier. */
  licence: z.string(),
  /** What it was trained on. */
  data: z.array(z.strictObject({ name: z.string(), source: z.string(), licence: z.string(), subjects: z.int().positive() })),
  /** How, in sentences. */
  protocol: z.array(z.string()).min(1),
  /** What made it. */
  commands: z.array(z.string()).min(1),
  scores: z.array(
    z.strictObject({
      measure: z.string(),
      /** On whom, and what they were not used for. */
      on: z.string(),
      subjects: z.int().positive(),
      mean: z.number(),
      /** 95 % interval of the mean, by bootstrap over subjects. */
      interval: z.tuple([z.number(), z.number()]).nullable(),
      command: z.string(),
    }),
  ),
  limits: z.array(z.string()).min(1),
  files: z.strictObject({ [MODEL_FILE]: fileSchema, [CONFIG_FILE]: fileSchema }),
});

/** What is known of a model: docs/file-formats.md. */
export type ModelCard = Readonly<z.output<typeof cardSchema>>;

export interface ShippedModel {
  readonly folder: string;
  readonly card: ModelCard;
}

async function readShipped(folder: string): Promise<ShippedModel> {
  return { folder, card: await readJson(join(folder, CARD_FILE), cardSchema) };
}

/** What goes with weights that are passed on: their licence, and what they were trained on, a line each. */
export const licenceLines = ({ name, licence, data }: ModelCard): string[] => [
  `Weights of ${name} of gvsl; licence: ${licence}. Trained on:`,
  ...data.map((set) => `- ${set.name} (${set.source}), ${set.subjects} subjects; licence: ${set.licence}`),
];

/** All of them, by name. */
export async function shippedModels(): Promise<ShippedModel[]> {
  const names = await readdir(FOLDER).catch(() => [] as string[]);
  const are = names.filter((name) => existsSync(join(FOLDER, name, CARD_FILE)));
  return Promise.all(are.sort().map((name) => readShipped(join(FOLDER, name))));
}

/**
 * One by its name, its files checked against the hashes of its card.
 * @param models the folder that has them
 * @returns undefined if there is none of that name
 * @throws RunError if a file is missing, or another than the card's
 */
export async function shippedModel(name: string, models: string = FOLDER): Promise<ShippedModel | undefined> {
  const folder = join(models, name);
  if (!/^[a-z][a-z0-9-]*$/.test(name) || !existsSync(join(folder, CARD_FILE))) return undefined;
  const found = await readShipped(folder);
  for (const [file, expected] of Object.entries(found.card.files)) {
    const { sizeBytes, sha256 } = await contentOf([join(folder, file)]);
    if (sizeBytes !== expected.sizeBytes || sha256 !== expected.sha256)
      throw new RunError(
        `${join(folder, file)}: not the file that the card of '${name}' names (SHA-256 ${sha256}, expected ${expected.sha256}); install gvsl again`,
      );
  }
  return found;
}

/** The card of a folder, where it is one of these. @throws as `shippedModel` */
export const cardOf = async (folder: string): Promise<ModelCard | undefined> =>
  dirname(resolve(folder)) === resolve(FOLDER) ? (await shippedModel(basename(folder)))?.card : undefined;
