/** `gvsl models`: the models that the package brings along. */
import type { Command } from 'commander';
import type { ModelCard, ShippedModel } from '../../model/node/shipped.ts';
import { action, type CommandResult } from '../run-command.ts';

const HELP = `
Examples:
  gvsl models
  gvsl models hippocampus-mr-segmentation
  gvsl segment scan.nii.gz --model hippocampus-mr-segmentation --out labels
  gvsl train segmentation --data cohort --init hippocampus-mr-segmentation --out runs/segment
  gvsl export hippocampus-mr-segmentation --onnx hippocampus.onnx

A name stands wherever a command takes a model; a model or run of that name here goes first. Weights are checked against the card's SHA-256.`;

const scoreText = ({ measure, mean, interval, subjects, on }: ModelCard['scores'][number]): string =>
  `${measure} ${mean.toFixed(3)}${interval ? ` (${interval.map((end) => end.toFixed(3)).join(' to ')})` : ''}: ${subjects} ${on}`;

const sizeOf = ({ files }: ModelCard): string =>
  `${(Object.values(files).reduce((sum, { sizeBytes }) => sum + sizeBytes, 0) / 1e6).toFixed(1)} MB`;

function table(models: readonly ShippedModel[], format: typeof import('../table.ts').formatTable): string {
  const rows = models.map(({ card }) => [card.name, card.kind, card.images, card.licence, sizeOf(card)]);
  return format(['name', 'trained for', 'images', 'licence', 'size'], rows, [4]);
}

function cardText({ folder, card }: ShippedModel): string {
  const list = (heading: string, lines: readonly string[]): string[] => ['', `${heading}:`, ...lines.map((line) => `  ${line}`)];
  return [
    `${card.name}: ${card.title}`,
    '',
    `images   ${card.images}`,
    `licence  ${card.licence}`,
    `size     ${sizeOf(card)}`,
    `folder   ${folder}`,
    ...list(
      'Trained on',
      card.data.map(({ name, source, licence, subjects }) => `${name}: ${subjects} subjects; ${source}; ${licence}`),
    ),
    ...list('How', card.protocol),
    ...list('Scores (95 % interval)', card.scores.map(scoreText)),
    ...list('Limits', card.limits),
    ...list('Made by', card.commands),
  ].join('\n');
}

async function run(name: string | undefined): Promise<CommandResult> {
  const { shippedModel, shippedModels } = await import('../../model/node/shipped.ts');
  const { formatTable } = await import('../table.ts');
  if (name === undefined) {
    const models = await shippedModels();
    return { json: models.map(({ folder, card }) => ({ folder, ...card })), text: table(models, formatTable) };
  }
  const found = await shippedModel(name);
  if (!found) {
    const { UsageError } = await import('../../common/errors.ts');
    const names = (await shippedModels()).map(({ card }) => card.name);
    throw new UsageError(`${name}: no model of that name; gvsl brings along ${names.join(', ')}`);
  }
  return { json: { folder: found.folder, ...found.card }, text: cardText(found) };
}

/** Adds `gvsl models`. */
export function registerModels(program: Command): void {
  const command = program
    .command('models')
    .description('list the models that gvsl brings along, or show the card of one: data, licence, scores, limits')
    .argument('[name]', 'model to show the card of')
    .addHelpText('after', HELP);
  action(command, run);
}
