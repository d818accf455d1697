/**
 * The parts of the report of a pre-training by another method than GVSL: its losses and measures on held-out subjects beside training subjects, what a
 * probe finds of labels, what the network is shown and makes of it, and a table of confusions where the method tells classes apart.
 */
import type { DescribedMethod } from '../methods/descriptions.ts';
import { lossName, measureName, readable } from '../methods/judgement/names.ts';
import { decimals, grouped, short } from './figures.ts';
import { type Html, html } from './html.ts';
import type { ShownPicture } from './pictures.ts';
import type { ConfusionRow, EvaluationRecord, ExampleScores, ProbeRecord, RunData } from './run-data.ts';

const DASH = '\u2013';

/** Scores of a probe by their names. */
export function probeScores(probe: ProbeRecord | null): readonly (readonly [name: string, value: number | null])[] {
  if (!probe) return [];
  return probe.kind === 'segmentation'
    ? [['Dice', probe.dice]]
    : [
        ['area under the ROC curve', probe.auc],
        ['balanced accuracy', probe.balancedAccuracy],
        ['balanced accuracy of nearest neighbours', probe.nearestNeighbours],
      ];
}

/** The finding in a sentence. */
function lead(first: EvaluationRecord, last: EvaluationRecord): string {
  const at = `after ${grouped(last.step)} step${last.step === 1 ? '' : 's'}`;
  if (last.step === 0) return 'This evaluation is from before the first step: the network is untrained.';
  const [name, value] = probeScores(last.probe).find(([, found]) => found !== null) ?? [];
  if (name !== undefined && typeof value === 'number') {
    const before = first.step === 0 ? probeScores(first.probe).find(([one]) => one === name)?.[1] : undefined;
    const change = typeof before === 'number' ? `, ${decimals(before, 3)} before training` : '';
    return `A linear probe of the frozen features reaches ${name} ${decimals(value, 3)} on ${grouped(last.probe!.subjects)} held-out subject${last.probe!.subjects === 1 ? '' : 's'} ${at}${change}.`;
  }
  if (!last.heldOut) return 'No held-out subject could be judged.';
  const loss = last.heldOut.loss.total;
  return typeof loss === 'number'
    ? `The loss on held-out subjects is ${short(loss)} ${at}. The cohort has no labels to probe the features with: a loss alone says little of what they are worth.`
    : `The loss on held-out subjects is not finite ${at}: the training diverged. Lower the learning rate, or check the cohort for unusual images.`;
}

const CHOSEN: Readonly<Record<string, string>> = {
  probe: 'The best checkpoint is chosen by the probe.',
  'held-out loss': 'The best checkpoint is chosen by the held-out loss, since there are no labels to probe with.',
};

const row = (title: string, heldOut: number | null | undefined, training: number | null | undefined): Html => {
  const cell = (value: number | null | undefined): Html =>
    html`<td class="n">${typeof value === 'number' ? short(value) : DASH}</td>`;
  return html`<tr><th scope="row">${title}</th>${cell(heldOut)}${cell(training)}</tr>`;
};

/** Losses and measures on held-out subjects and on training subjects. */
function scoreTable(heldOut: ExampleScores | null, training: ExampleScores | null): Html | null {
  const either = heldOut ?? training;
  if (!either) return null;
  const keys = Object.keys(either.loss).filter((name) => name !== 'total' || Object.keys(either.loss).length !== 2);
  return html`<div class="scroll"><table class="headline">
<thead><tr><th scope="col">Mean over ${grouped(either.examples)} fixed examples</th><th scope="col" class="n">held-out subjects</th><th scope="col" class="n">training subjects</th></tr></thead>
<tbody>${keys.map((name) => row(lossName(name), heldOut?.loss[name], training?.loss[name]))}${Object.keys(either.measures).map((name) => row(measureName(name), heldOut?.measures[name], training?.measures[name]))}</tbody></table></div>
<p class="note">A held-out value far worse than the one on training subjects means that the network learnt these by heart.</p>`;
}

function probeTable(probe: ProbeRecord): Html {
  return html`<h3>Probe of the features</h3>
<p class="note">A linear classifier of the frozen features, fitted on ${grouped(probe.fittedOn)} labelled training subjects and scored on ${grouped(probe.subjects)} held-out ones. Nothing of the network is trained with labels.</p>
<div class="scroll"><table><tbody>${probeScores(probe).map(([name, value]) => html`<tr><th scope="row">${name}</th><td class="n">${value === null ? DASH : decimals(value, 3)}</td></tr>`)}${probe.kind === 'segmentation' && probe.dicePerLabel.map(({ label, dice }) => html`<tr><th scope="row">Dice of label ${label}</th><td class="n">${dice === null ? DASH : decimals(dice, 3)}</td></tr>`)}</tbody></table></div>`;
}

/** What the run came to. */
export function methodHeadline({ evaluations, steps }: RunData): Html {
  const [first, last] = [evaluations[0], evaluations.at(-1)];
  if (!first || !last)
    return html`<section><h2>Held-out subjects</h2><p class="lead">No evaluation yet: it is later in the run, or no subjects are held out.</p></section>`;
  const measured = steps.findLast(({ measure }) => Object.keys(measure).length > 0);
  return html`<section>
<h2>Held-out subjects</h2>
<p class="lead">${lead(first, last)}</p>
${scoreTable(last.heldOut, last.training)}
${last.chosenBy !== null && html`<p class="note">${CHOSEN[last.chosenBy] ?? `The best checkpoint is chosen by the ${last.chosenBy}.`}</p>`}
${
  measured &&
  html`<p class="note">In training, at step ${grouped(measured.step)}: ${Object.entries(measured.measure)
    .map(([name, value]) => `${measureName(name)} ${value === null ? DASH : short(value)}`)
    .join('; ')}.</p>`
}
${last.probe && probeTable(last.probe)}
</section>`;
}

/** How often which class was taken for which. */
export function confusionSection(rows: readonly ConfusionRow[] | undefined): Html | null {
  if (!rows || rows.length === 0) return null;
  const columns = Object.keys(rows[0].predicted);
  const [right, all] = rows.reduce(
    ([hits, sum], { turned, predicted }) => [
      hits + (predicted[turned] ?? 0),
      sum + Object.values(predicted).reduce((total: number, count) => total + (count ?? 0), 0),
    ],
    [0, 0],
  );
  const cell = (of: ConfusionRow, column: string): Html => {
    const count = of.predicted[column] ?? 0;
    return html`<td class="n${column === of.turned ? ' final' : ''}">${count === 0 ? '' : grouped(count)}</td>`;
  };
  return html`<section>
<h2>Confusion</h2>
<p class="note">Rows: what was done to the image. Columns: what the network said. ${grouped(right)} of ${grouped(all)} held-out examples are right; chance is 1 in ${columns.length}. A network that is right nearly always after a few hundred steps may have read the answer from artefacts of acquisition instead of anatomy.</p>
<div class="scroll"><table><thead><tr><th scope="col">turned</th>${columns.map((name) => html`<th scope="col" class="n">${name}</th>`)}</tr></thead>
<tbody>${rows.map((one) => html`<tr><th scope="row">${one.turned}</th>${columns.map((column) => cell(one, column))}</tr>`)}</tbody></table></div>
</section>`;
}

const TITLES: Readonly<Record<string, string>> = { clusters: 'Clusters', 'heldOut-confusion': 'Confusion' };
/** A picture's title, from the part of its name after the step. */
export function pictureTitle(tag: string): string {
  const [, example] = /^heldOut-(\d+)$/.exec(tag) ?? [];
  return example !== undefined ? `Held-out example ${Number(example) + 1}` : (TITLES[tag] ?? readable(tag.replaceAll('-', ' ')));
}
/** What pictures that are no examples show. */
const CAPTIONS: Readonly<Record<string, string>> = {
  clusters:
    'Training crops that the last clustering put together, a row for each of the first clusters. Rows that share an anatomy are what the method hopes for; rows that share a position or a brightness alone are a shortcut.',
  'heldOut-confusion': 'The same as the table below: bright squares on the diagonal are right answers.',
};

/** What the network was shown and made of it. */
export function methodPictures(method: DescribedMethod | undefined, shown: readonly ShownPicture[]): Html | null {
  if (shown.length === 0) return null;
  const panels = method?.panels ?? [];
  const figures = shown.map(({ tag, picture }) => {
    const example = /^heldOut-\d+$/.test(tag);
    const caption = CAPTIONS[tag];
    const title = pictureTitle(tag);
    return html`<figure class="pair"><h3>${title}</h3>
<div class="scroll">${example && panels.length > 0 && html`<div class="panels">${panels.map((panel) => html`<span>${panel}</span>`)}</div>`}
<div class="strip"><img src="${picture.uri}" width="${picture.width}" height="${picture.height}" alt="${example ? `Axial, coronal and sagittal slices: ${panels.join(', ')}` : title}"></div></div>${caption !== undefined && html`<figcaption>${caption}</figcaption>`}</figure>`;
  });
  return html`<section>
<h2>What the network sees and makes of it</h2>
<p class="note">Middle slices of held-out examples after step ${grouped(shown[0].step)}: axial, coronal, sagittal.</p>
${figures}
</section>`;
}

/** What the method is. */
export const methodSection = ({ title, summary, sees, trains, paper }: DescribedMethod): Html => html`<section>
<h2>Method</h2>
<p>${title}: the network ${summary}. It is shown ${sees}. ${trains === 'encoder' ? 'The encoder alone is trained: the decoder starts at random when a segmentation is trained from this model.' : 'Encoder and decoder are trained.'} <span class="unit">${paper}</span></p>
</section>`;
