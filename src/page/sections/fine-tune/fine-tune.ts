/** Fine-tunes the open model on labelled images, and opens what comes out. */
import * as Comlink from 'comlink';
import type { LabelArray } from '../../../cohort/reader.ts';
import { counted } from '../../../common/counted.ts';
import { formatBytes } from '../../../common/format-bytes.ts';
import { formatDuration } from '../../../common/format-duration.ts';
import type { Zyx } from '../../../geometry/volume.ts';
import { Activity } from '../../activity.ts';
import { chosenFiles, listed } from '../../chosen-files.ts';
import type { Judgement, LabelledImage } from '../../compute/fine-tune.ts';
import type { ChosenFile } from '../../compute/open.ts';
import { Curves, meanOfLast } from '../../curves.ts';
import { addSection, areValid, button, element, input, select, table } from '../../dom.ts';
import { modelZip, save } from '../../download.ts';
import type { LabelMaps } from '../../label-maps.ts';
import { memoryLine } from '../../memory-lines.ts';
import { missing } from '../../missing.ts';
import { showTable } from '../../table.ts';
import type { OpenImage, OpenModel, Workspace } from '../../workspace.ts';
import markup from './fine-tune.html?raw';

type Source = 'none' | 'taught' | 'file';
/** Sides of crops that can be chosen beside the model's own. */
const CROPS = [32, 48, 64, 96];
/** Times that the images which judge are segmented in a fine-tuning. */
const JUDGEMENTS = 6;
const NOBODY = '';

/** The codes that occur. */
function codesIn(data: LabelArray): number[] {
  const codes = new Set<number>();
  let last = Number.NaN;
  for (let i = 0; i < data.length; i++) {
    // label maps are runs of one code
    if (data[i] === last) continue;
    last = data[i];
    codes.add(last);
  }
  return [...codes];
}

export interface FineTuned {
  readonly losses: readonly Readonly<Record<string, number>>[];
  readonly judgements: readonly Judgement[];
}

/** @param maps what Teach made */
export function startFineTune(workspace: Workspace, maps: LabelMaps): FineTuned {
  const section = addSection(markup);
  const { compute } = workspace;
  const activity = new Activity(section, () => void compute.stop());
  const curves = new Curves(element('fine-tune-curves'));
  const losses: Readonly<Record<string, number>>[] = [];
  const judgements: Judgement[] = [];
  /** Where an image's labels come from, as it was chosen; by id. */
  const sources = new Map<number, Source>();
  const files = new Map<number, { readonly name: string; readonly codes: LabelArray }>();
  /** The classes of the fine-tuning, and the model that came out. */
  let names: readonly string[] = [];
  let tuned: OpenModel | undefined;
  /** Steps that were asked for in all. */
  let wanted = 0;

  const sourceOf = ({ id }: OpenImage): Source => {
    const chosen = sources.get(id) ?? (maps.of(id) ? 'taught' : 'none');
    return (chosen === 'taught' && !maps.of(id)) || (chosen === 'file' && !files.has(id)) ? 'none' : chosen;
  };
  const labelled = (): readonly OpenImage[] => workspace.images.filter((image) => sourceOf(image) !== 'none');

  const crop = (): Zyx => select('fine-tune-crop').value.split(',').map(Number) as unknown as Zyx;
  const codesOf = (image: OpenImage): LabelArray =>
    sourceOf(image) === 'taught' ? maps.of(image.id)!.labels : files.get(image.id)!.codes;
  const tellMemory = memoryLine('fine-tune-memory', 'fine-tuning', async () => {
    const images = labelled();
    if (images.length === 0 || !select('fine-tune-crop').value) return null;
    const codes = new Set(images.flatMap((image) => codesIn(codesOf(image))));
    return compute.fineTuningEstimate(
      workspace.backend,
      images.map(({ id }) => id),
      new Set([0, ...codes]).size,
      crop(),
    );
  });

  function showImages(): void {
    const rows = workspace.images.map((image) => {
      const { id, title } = image;
      const row = document.createElement('div');
      const label = document.createElement('label');
      label.className = 'wide-label';
      const choice = document.createElement('select');
      choice.append(new Option('not used', 'none'));
      if (maps.of(id)) choice.append(new Option('label map of Teach', 'taught'));
      const file = files.get(id);
      if (file) choice.append(new Option(file.name, 'file'));
      // last, since who goes through the list by arrow keys opens a window there
      choice.append(new Option('label file ...', 'choose'));
      choice.value = sourceOf(image);
      choice.onchange = () => {
        if (choice.value === 'choose') {
          choice.value = sourceOf(image);
          chooseFile(image);
          return;
        }
        sources.set(id, choice.value as Source);
        show();
      };
      label.append(title, choice);
      row.append(label);
      return row;
    });
    const list = element('fine-tune-images');
    const focused = [...list.children].findIndex((row) => row.contains(document.activeElement));
    list.replaceChildren(...rows);
    // who chooses by arrow keys goes on where they were
    list.querySelectorAll('select')[focused]?.focus();
  }

  function show(): void {
    showImages();
    const images = labelled();
    const judge = select('fine-tune-judge');
    const before = judge.value;
    judge.replaceChildren(
      ...(images.length > 1 ? images.map(({ id, title }) => new Option(title, String(id))) : []),
      new Option('the images that train', NOBODY),
    );
    const ids = images.map(({ id }) => String(id));
    judge.value =
      images.length < 2 ? NOBODY : ids.includes(before) || (before === NOBODY && judged) ? before : ids[ids.length - 1];
    explainJudge();
    button('fine-tune-start').disabled = missing(workspace, 'fine-tune') !== '' || images.length === 0;
    void tellMemory();
  }
  /** Whether the user chose who judges. */
  let judged = false;
  function explainJudge(): void {
    element('fine-tune-judge-text').textContent =
      select('fine-tune-judge').value === NOBODY
        ? 'A score on images that train says little: open and label another one to judge on. The last state is kept.'
        : 'This image is not trained on. The best state on it is kept.';
  }

  function chooseFile(image: OpenImage): void {
    const field = document.createElement('input');
    // a header and its voxels may be two files
    Object.assign(field, { type: 'file', multiple: true });
    field.onchange = () => void useLabels(chosenFiles(field.files ?? []), [image]);
    field.click();
  }
  /** Opens label files, each for the one of the images that it is of. */
  const useLabels = (chosen: readonly ChosenFile[], images: readonly OpenImage[]): Promise<void> =>
    workspace.alone(async () => {
      if (chosen.length === 0) return;
      try {
        activity.say('reading label files ...');
        const owners = images.map(({ id, title, name }) => ({ id, title, name }));
        const { labels, refused } = await compute.openLabels(chosen, owners);
        for (const { image, name, codes } of labels) {
          files.set(image, { name, codes });
          sources.set(image, 'file');
        }
        const warnings = labels.flatMap(({ name, isLikeImage, warnings: said }) => [
          ...(isLikeImage ? [`${name}: expected a label map, but the values look like an image`] : []),
          ...said,
        ]);
        activity.say(
          [
            ...(images.length > 1 ? [`${counted(labels.length, 'label file')} opened`] : []),
            ...(warnings.length > 0 ? [listed(warnings)] : []),
            ...(refused.length > 0 ? [listed(refused)] : []),
          ].join('. '),
          refused.length > 0,
        );
      } catch (error) {
        activity.say((error as Error).message, true);
      }
      show();
    });

  async function showCrops(): Promise<void> {
    const usual = await compute.usualCrop();
    select('fine-tune-crop').replaceChildren(
      new Option(`${usual.join(' x ')} (the model's)`, usual.join()),
      ...CROPS.map((side) => new Option(`${side} x ${side} x ${side}`, [side, side, side].join())),
    );
    await tellMemory();
  }

  workspace.onChange(async (change) => {
    if (change === 'busy') return;
    const { model } = workspace;
    for (const id of [...sources.keys()])
      if (!workspace.images.some((image) => image.id === id)) {
        sources.delete(id);
        files.delete(id);
      }
    show();
    if (change !== 'model' || !model) return;
    await showCrops();
    // what was fine-tuned can go on as long as it is the open model
    if (model.name === 'fine-tuned') return;
    tuned = undefined;
    await compute.endFineTuning();
    for (const id of ['fine-tune-continue', 'fine-tune-save']) button(id).disabled = true;
  });
  maps.onChange(show);

  function showJudgement(judgement: Judgement): void {
    judgements.push(judgement);
    showTable(
      table('fine-tune-table'),
      ['step', 'Dice', ...(names.length > 1 ? names : [])],
      judgements.map(({ step, dice, dicePerClass }) => [
        String(step),
        dice?.toFixed(3) ?? '-',
        ...(names.length > 1 ? dicePerClass.map((each) => each?.toFixed(3) ?? '-') : []),
      ]),
    );
    const { picture } = judgement;
    element('fine-tune-figure').hidden = picture === null;
    if (!picture) return;
    const canvas = element<HTMLCanvasElement>('fine-tune-picture');
    [canvas.width, canvas.height] = [picture.width, picture.height];
    canvas.ariaLabel = `segmentation after ${judgement.step} steps, Dice ${dice(judgement)}`;
    canvas
      .getContext('2d')!
      .putImageData(new ImageData(new Uint8ClampedArray(picture.data), picture.width, picture.height), 0, 0);
  }
  const dice = (judgement: Judgement): string => judgement.dice?.toFixed(3) ?? '-';

  /** Trains up to `wanted` steps, and opens the model that comes out, also if it was stopped. */
  async function run(steps: number): Promise<string> {
    const every = Math.max(1, Math.ceil(steps / JUDGEMENTS));
    const startedMs = performance.now();
    const began = losses.length;
    const summary = (): string => `step ${losses.length} of ${wanted}, loss ${meanOfLast(losses, 'total').toFixed(4)}`;
    let stopped = false;
    try {
      await compute.fineTune(
        wanted,
        every,
        Comlink.proxy(({ step, loss }: { step: number; loss: Readonly<Record<string, number>> }) => {
          losses.push(loss);
          curves.add(step, loss);
          activity.advance(step - began, wanted - began, summary());
        }),
        Comlink.proxy(showJudgement),
      );
    } catch (error) {
      if ((error as Error).name !== 'AbortError' || losses.length === 0) throw error;
      stopped = true;
    }
    const { files: model, step } = await compute.fineTunedModel();
    tuned = await workspace.openModel(model);
    for (const id of ['fine-tune-continue', 'fine-tune-save']) button(id).disabled = false;
    const seconds = ((performance.now() - startedMs) / 1000).toFixed(1);
    return `${summary()}; ${stopped ? 'stopped' : 'done'} after ${seconds} s. Its state of step ${step} is the open model now: Segment applies it.`;
  }

  button('fine-tune-start').onclick = () =>
    areValid('fine-tune-steps', 'fine-tune-rate') &&
    workspace.alone(() =>
      activity.run('preparing ...', async () => {
        const images = labelled().map((image): LabelledImage => {
          const { id, name } = image;
          // the model that comes out ends what Teach made of the one before
          if (sourceOf(image) === 'taught') {
            files.set(id, { name: `${name}_labels of Teach`, codes: maps.of(id)!.labels });
            sources.set(id, 'file');
          }
          const { codes } = files.get(id)!;
          return { image: id, codes, judges: String(id) === select('fine-tune-judge').value };
        });
        const known = maps.all.flatMap(([, { structures: of }]) => of);
        const found = new Set(images.flatMap(({ codes }) => codesIn(codes)));
        const structures = [...found]
          .filter((code) => code !== 0)
          .sort((a, b) => a - b)
          .map((code) => known.find((structure) => structure.code === code) ?? { code, name: `label ${code}` });
        names = structures.map(({ name }) => name);
        wanted = Number(input('fine-tune-steps').value);
        const plan = await compute.openFineTuning(
          {
            images,
            labels: [{ code: 0, name: 'background' }, ...structures.map(({ code, name }) => ({ code, name }))],
            learningRate: Number(input('fine-tune-rate').value),
            crop: crop(),
          },
          workspace.backend,
        );
        curves.clear();
        losses.length = 0;
        judgements.length = 0;
        const time = formatDuration(1000 * plan.secondsPerStep * wanted);
        activity.say(`${formatBytes(plan.memoryBytes)} of memory, about ${time} for ${wanted} steps on ${plan.backend}`);
        const end = await run(wanted);
        return plan.warnings.length > 0 ? `${end} ${listed(plan.warnings)}` : end;
      }),
    );
  button('fine-tune-continue').onclick = () =>
    areValid('fine-tune-steps') &&
    workspace.alone(() =>
      activity.run('going on ...', async () => {
        const more = Number(input('fine-tune-steps').value);
        // what was stopped ends first
        wanted = losses.length < wanted ? wanted : losses.length + more;
        return run(wanted - losses.length);
      }),
    );
  button('fine-tune-save').onclick = async () => {
    if (tuned) save(await modelZip(await compute.openModelFiles(), 'fine-tuned'), 'fine-tuned.zip');
  };
  input('fine-tune-labels').onchange = () => {
    const chosen = chosenFiles(input('fine-tune-labels').files ?? []);
    // the list below says which file each image has
    input('fine-tune-labels').value = '';
    void useLabels(chosen, workspace.images);
  };
  select('fine-tune-crop').onchange = () => void tellMemory();
  select('fine-tune-judge').onchange = () => {
    judged = true;
    explainJudge();
  };
  show();
  return { losses, judgements };
}
