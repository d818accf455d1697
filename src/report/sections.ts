/** The parts of a run's report that say what the run is and what it achieved, as markup: tables of figures, and pictures. */
import { formatDuration } from '../common/format-duration.ts';
import { PANELS } from '../images/pictures/pair-picture.ts';
import type { DescribedMethod } from '../methods/descriptions.ts';
import { byName, change, decimals, grouped, MEASURES, type Measure, mean, ofPair, short } from './figures.ts';
import { type Content, type Html, html } from './html.ts';
import { confusionSection, methodHeadline, methodPictures, methodSection } from './method-page.ts';
import type { ShownPair, ShownPicture, ShownSubject } from './pictures.ts';
import {
  type EvaluationDetails,
  type EvaluationRecord,
  isJudgedByPairs,
  type RunData,
  type Stages,
  type TaskRecord,
  valueAt,
} from './run-data.ts';
import { taskHeadline, taskPictures, taskSubjects } from './task-page.ts';

/** A run, and what is shown of it. */
export interface RunContent {
  readonly data: RunData;
  /** The last evaluation. */
  readonly evaluation: EvaluationRecord | undefined;
  /** Null: pictures of pairs are shown elsewhere. */
  readonly shown: readonly ShownPair[] | null;
  /** Of a training on a task. */
  readonly shownSubjects: readonly ShownSubject[];
  /** Of a pre-training by another method than GVSL. */
  readonly shownPictures: readonly ShownPicture[];
  /** What is known of the method; undefined for a training on a task, or a method from elsewhere. */
  readonly method: DescribedMethod | undefined;
  readonly labelNames: ReadonlyMap<number, string>;
}

const DASH = '\u2013';
const times = (values: readonly unknown[]): string => values.join(' \u00d7 ');
const plural = (count: number, thing: string): string => `${grouped(count)} ${thing}${count === 1 ? '' : 's'}`;
const isNumber = (value: unknown): value is number => typeof value === 'number';

/** Everyday names of the panels of src/pictures. */
export const PANEL_TITLES: Readonly<Record<string, string>> = {
  moving: 'Moving',
  fixed: 'Fixed',
  warped: 'Moving, warped',
  difference: 'Warped \u2212 fixed',
  grid: 'Deformation',
  before: 'Overlay before',
  after: 'Overlay after',
};

export function facts({ run, steps, evaluations }: RunData): Html {
  const { cohort, configuration, parameters, machine } = run;
  const at = (path: string): unknown => valueAt(configuration, path);
  const patch = at('data.patch');
  // a short run may have been judged and never logged
  const done = Math.max(steps.at(-1)?.step ?? 0, evaluations.at(-1)?.step ?? 0);
  const times_ = steps.map(({ stepSeconds }) => stepSeconds).filter(isNumber);
  const typicalSeconds = times_.toSorted((a, b) => a - b)[times_.length >> 1];
  const between = steps.reduce((sum, { refreshSeconds }) => sum + (refreshSeconds ?? 0), 0);
  const waiting = mean(steps.map(({ waitShare }) => waitShare));
  const skipped = steps.filter((record) => record.skipped).length;
  const rates = [...new Set(steps.map(({ learningRate }) => learningRate).filter(isNumber))];
  const heads = ['affine', 'matching', 'restoration'].filter((head) => at(`model.heads.${head}`) === true);
  const split = [
    isNumber(cohort?.training) && `${grouped(cohort.training)} for training`,
    isNumber(cohort?.heldOut) && `${grouped(cohort.heldOut)} ${run.task ? 'for validation' : 'held out'}`,
  ].filter(Boolean);
  const rows: [string, string | false | undefined][] = [
    ['Cohort', cohort?.folder],
    ['Subjects', isNumber(cohort?.subjects) && `${grouped(cohort.subjects)}${split.length ? ` (${split.join(', ')})` : ''}`],
    [
      'Images',
      [cohort?.modality?.toUpperCase(), cohort?.spacingMm && `${times(cohort.spacingMm.map((mm) => +mm.toPrecision(4)))} mm`]
        .filter(Boolean)
        .join(', '),
    ],
    [
      'Patch',
      isNumber(patch) ? `${times([patch, patch, patch])} voxels` : Array.isArray(patch) && `${times(patch)} voxels (z, y, x)`,
    ],
    [
      'Network',
      [isNumber(at('model.width')) && `width ${at('model.width')}`, isNumber(parameters) && `${grouped(parameters)} parameters`]
        .filter(Boolean)
        .join(', '),
    ],
    ['Method', run.method],
    ['Heads', heads.join(', ')],
    [
      'Start',
      typeof at('init') === 'string' &&
        `${at('init')}, ${at('mode') === 'linear' ? 'backbone frozen' : 'all parameters trained'}`,
    ],
    [
      'Steps',
      `${grouped(done)}${isNumber(at('steps')) ? ` of ${grouped(at('steps') as number)}` : ''}${isNumber(at('batch')) ? `, batch ${at('batch')}` : ''}`,
    ],
    ['Skipped steps', skipped > 0 && `${grouped(skipped)} (non-finite loss or gradient)`],
    [
      'Learning rate',
      rates.length > 1
        ? `${short(Math.max(...rates))} to ${short(Math.min(...rates))}`
        : isNumber(rates[0] ?? at('learningRate')) && short((rates[0] ?? at('learningRate')) as number),
    ],
    ['Seed', isNumber(at('seed')) && String(at('seed'))],
    [
      'Time',
      isNumber(typicalSeconds) &&
        `${+typicalSeconds.toPrecision(2)} s per step, about ${formatDuration((typicalSeconds * done + between) * 1000)}${between > 0 ? ` with ${formatDuration(between * 1000)} between steps` : ''}${waiting === null ? '' : `; ${decimals(100 * waiting, 1)}\u202f% waiting for input`}`,
    ],
    [
      'Machine',
      [machine?.cpu, machine?.node && `Node ${machine.node.replace(/^v/, '')}`, machine?.backend].filter(Boolean).join(', '),
    ],
    ...(run.warnings ?? []).map((warning): [string, string] => ['Warning', warning]),
    ['Started', run.startedAt?.replace(/^(\d{4}-\d\d-\d\d)T(\d\d:\d\d).*Z$/, '$1 $2 UTC')],
  ];
  return html`<dl class="facts">${rows.map(([name, value]) => value && html`<div><dt>${name}</dt><dd>${value}</dd></div>`)}</dl>`;
}

// --- what it achieved ---

const MARKS = { before: 'circle', affine: 'tick', after: 'dot' } as const;

/** One stage's mark at `x` percent of a row that is 16 pixels high. */
function mark(stage: keyof typeof MARKS, x: number, y = 8): Html {
  switch (MARKS[stage]) {
    case 'circle':
      return html`<circle cx="${x}%" cy="${y}" r="4" fill="var(--ground)" stroke="var(--before)" stroke-width="2"/>`;
    case 'tick':
      return html`<line x1="${x}%" x2="${x}%" y1="${y - 6}" y2="${y + 6}" stroke="var(--affine)" stroke-width="2.5"/>`;
    case 'dot':
      return html`<circle cx="${x}%" cy="${y}" r="5" fill="var(--after)"/>`;
  }
}

/** A line from before to after on a scale from 0 to `most`. */
function plot({ before, affine, after }: Stages, most: number): Html {
  const x = (value: number): number => +(2 + (96 * value) / most).toFixed(2);
  return html`<svg aria-hidden="true"><line x1="2%" x2="98%" y1="8" y2="8" stroke="var(--line)"/>${
    before !== null && after !== null
      ? html`<line x1="${x(before)}%" x2="${x(after)}%" y1="8" y2="8" stroke="var(--before)" stroke-width="2"/>`
      : null
  }${before !== null && mark('before', x(before))}${affine !== null && mark('affine', x(affine))}${after !== null && mark('after', x(after))}</svg>`;
}

const key = (withAffine: boolean): Html =>
  html`<span class="key">${(
    [
      ['before', 'before'],
      ['affine', 'after affine'],
      ['after', 'after both'],
    ] as const
  )
    .filter(([stage]) => withAffine || stage !== 'affine')
    .map(
      ([stage, label]) => html`<span><svg viewBox="0 0 12 12" aria-hidden="true">${mark(stage, 50, 6)}</svg>${label}</span>`,
    )}</span>`;

/** A relative change, coloured by whether it is for the better. */
function changeCell(stages: Stages, { name, better }: Measure): Html {
  const by = change(stages);
  if (by === null) return html`<td class="n">${DASH}</td>`;
  const sign = Math.sign(Math.round(1000 * by));
  // Alike images prove nothing, so their change is neither good nor bad.
  const tone = sign === 0 || name === 'ncc' ? '' : sign > 0 === (better === 'higher') ? 'good' : 'bad';
  return html`<td class="n ${tone}">${sign > 0 ? '+' : ''}${decimals(sign === 0 ? 0 : 100 * by, Math.abs(by) < 0.0995 ? 1 : 0)}\u202f%</td>`;
}

const cell = (value: number | null | undefined, { format }: Measure, style = ''): Html =>
  html`<td class="n${style}">${isNumber(value) ? format(value) : DASH}</td>`;

/** How many pairs a measure got better in, of those that have it. */
function improved(details: EvaluationDetails | undefined, { name, better }: Measure): { better: number; of: number } | undefined {
  const pairs = (details?.pairs ?? []).flatMap((pair) => {
    const { before, after } = ofPair(pair, name) ?? { before: null, after: null };
    return before === null || after === null ? [] : [better === 'lower' ? after < before : after > before];
  });
  return pairs.length === 0 ? undefined : { better: pairs.filter(Boolean).length, of: pairs.length };
}

/** The main finding in words, from the most reliable measure available. */
function verdict(evaluation: EvaluationRecord, details: EvaluationDetails | undefined): string {
  if (evaluation.step === 0) return 'This evaluation is from before the first step: the network is untrained.';
  const measure = MEASURES.find(({ name }) => evaluation[name] && change(evaluation[name]) !== null);
  if (!measure) return 'No held-out pair could be evaluated.';
  const stages = evaluation[measure.name]!;
  const by = change(stages)!;
  const pairs = improved(details, measure);
  const size = `${decimals(100 * Math.abs(by), Math.abs(by) < 0.0995 ? 1 : 0)}\u202f%`;
  const [from, to] = [measure.format(stages.before!), measure.format(stages.after!)];
  const count = pairs ? `, better in ${pairs.better} of ${plural(pairs.of, 'pair')}` : '';
  const isBetter = by < 0 === (measure.better === 'lower') && by !== 0;
  switch (measure.name) {
    case 'landmarkErrorMm':
      return isBetter
        ? `Landmark error on held-out subjects decreases from ${from}\u202fmm to ${to}\u202fmm (${size})${count}.`
        : `Matching did not reduce the landmark error: ${from}\u202fmm before, ${to}\u202fmm after${count}.`;
    case 'labelDice':
      return isBetter
        ? `Label overlap (Dice) on held-out subjects increases from ${from} to ${to}${count}.`
        : `Matching did not increase label overlap (Dice): ${from} before, ${to} after${count}.`;
    default:
      return `Image similarity (local NCC) changes from ${from} to ${to}${count}. These pairs have no landmarks or labels; image similarity alone does not show that anatomy is aligned.`;
  }
}

function headline(evaluation: EvaluationRecord | undefined, details: EvaluationDetails | undefined): Html {
  if (!evaluation)
    return html`<section><h2>Held-out pairs</h2><p class="lead">No evaluation yet: it is later in the run, or no subjects are held out.</p></section>`;
  const measures = MEASURES.filter(({ name }) => evaluation[name] !== null);
  const withAffine = measures.some(({ name }) => isNumber(evaluation[name]!.affine));
  const unit = (measure: Measure): Content => measure.name !== 'foldedShare' && html` <span class="unit">${measure.unit}</span>`;
  const pairs = evaluation.pairs ?? details?.pairs.length;
  return html`<section>
<h2>Held-out pairs</h2>
<p class="lead">${verdict(evaluation, details)}</p>
<div class="scroll"><table class="headline">
<thead><tr><th scope="col">Mean over ${isNumber(pairs) ? plural(pairs, 'pair') : 'pairs'}, after ${plural(evaluation.step, 'step')}</th><th scope="col" class="n">before</th>${withAffine && html`<th scope="col" class="n">after affine</th>`}<th scope="col" class="n">after ${withAffine ? 'both' : 'matching'}</th><th scope="col" class="n">change</th><th scope="col" class="n">pairs improved</th></tr></thead>
<tbody>${measures.map((measure) => {
    const stages = evaluation[measure.name]!;
    const count = improved(details, measure);
    return html`<tr><th scope="row">${measure.title}${unit(measure)}</th>${cell(stages.before, measure)}${withAffine && cell(stages.affine, measure)}${cell(stages.after, measure, ' final')}${changeCell(stages, measure)}<td class="n">${count ? `${count.better} of ${count.of}` : DASH}</td></tr>`;
  })}</tbody></table></div>
<p class="note">Pairs of held-out subjects are registered, first by an affine and then by a deformable transform. Landmarks and labels are the most reliable measures of anatomical alignment; image similarity and folding are sanity checks.</p>
</section>`;
}

// --- pairs, landmarks, labels ---

function pairsSection(details: EvaluationDetails | undefined, shown: readonly ShownPair[] | null): Html | null {
  if (!details || details.pairs.length === 0) return null;
  const measures = MEASURES.filter(({ name }) => details.pairs.some((pair) => ofPair(pair, name) !== null));
  const panels: readonly string[] = details.panels ?? PANELS;
  const figures = (shown ?? []).map(({ pair, why, picture }) => {
    const said = measures.flatMap((measure) => {
      const { before, after } = ofPair(pair, measure.name) ?? { before: null, after: null };
      if (after === null) return [];
      const values = before === null ? measure.format(after) : `${measure.format(before)} \u2192 ${measure.format(after)}`;
      return [`${measure.title.toLowerCase()} ${values}${measure.unit === 'mm' ? '\u202fmm' : ''}`];
    });
    return html`<figure class="pair">
<h3>${pair.moving} to ${pair.fixed}${why && html` <span class="unit">(${why})</span>`}</h3>
<div class="scroll"><div class="panels">${panels.map((panel) => html`<span>${PANEL_TITLES[panel] ?? panel}</span>`)}</div>
<div class="strip"><img src="${picture.uri}" width="${picture.width}" height="${picture.height}" alt="Axial, coronal and sagittal slices of ${pair.moving} registered to ${pair.fixed}: ${panels.map((panel) => PANEL_TITLES[panel] ?? panel).join(', ')}"></div></div>
<figcaption>${said.join('; ')}</figcaption>
</figure>`;
  });
  const overlays = panels.includes('before') || panels.includes('after');
  return html`<section>
<h2>${shown ? 'Registration examples' : 'Pairs'}</h2>
${
  figures.length > 0
    ? html`<p class="note">Middle slices: axial, coronal, sagittal, the patient\u2019s right on the left. Coloured outlines are labelled structures; after a good registration they coincide in the warped and the fixed image. Difference images are black where both agree, orange where the warped image is brighter and blue where it is darker. The grid shows the deformation, red where it folds.${overlays && ' Overlays show the fixed image in green and the other in magenta: grey is agreement.'}</p>${figures}`
    : shown && html`<p class="note">No pictures of these pairs were saved.</p>`
}
<h3>All ${details.pairs.length} pairs, before \u2192 after</h3>
<div class="scroll"><table><thead><tr><th scope="col">Moving</th><th scope="col">Fixed</th>${measures.map(({ name, title, unit }) => html`<th scope="col" class="n">${title}${name !== 'foldedShare' && `, ${unit}`}</th>`)}</tr></thead>
<tbody>${details.pairs.map(
    (pair) =>
      html`<tr><td>${pair.moving}</td><td>${pair.fixed}</td>${measures.map((measure) => {
        const { before, after } = ofPair(pair, measure.name) ?? { before: null, after: null };
        const [from, to] = [before, after].map((value) => (value === null ? DASH : measure.format(value)));
        return html`<td class="n">${before !== null && `${from} \u2192 `}${to}</td>`;
      })}</tr>`,
  )}</tbody></table></div>
</section>`;
}

/** A table of the same things over all pairs: landmarks, or labels. */
function structures(
  title: string,
  note: string,
  column: string,
  measure: Measure,
  groups: ReturnType<typeof byName>,
  most: number,
): Html | null {
  if (groups.length === 0) return null;
  const withAffine = groups.some(({ stages }) => stages.affine !== null);
  const counts = new Set(groups.map(({ pairs }) => pairs)).size > 1;
  return html`<section>
<h2>${title}</h2>
<p class="note">${note}</p>
<div class="scroll"><table><thead><tr><th scope="col">${column}</th>${counts && html`<th scope="col" class="n">pairs</th>`}<th scope="col" class="plot">${key(withAffine)}</th><th scope="col" class="n">before</th>${withAffine && html`<th scope="col" class="n">after affine</th>`}<th scope="col" class="n">after ${withAffine ? 'both' : 'matching'}</th><th scope="col" class="n">change</th></tr></thead>
<tbody>${groups.map(({ name, pairs, stages }) => html`<tr><th scope="row">${name}</th>${counts && html`<td class="n">${pairs}</td>`}<td class="plot">${plot(stages, most)}</td>${cell(stages.before, measure)}${withAffine && cell(stages.affine, measure)}${cell(stages.after, measure)}${changeCell(stages, measure)}</tr>`)}</tbody></table></div>
</section>`;
}

/** "left_ventricle" as people write it. */
const readable = (name: string): string => name.replaceAll('_', ' ');

function landmarksSection(details: EvaluationDetails | undefined): Html | null {
  const groups = byName(
    (details?.pairs ?? []).map(({ landmarksMm }) => landmarksMm),
    ({ name }) => readable(name),
  );
  const most = Math.max(...groups.flatMap(({ stages }) => [stages.before ?? 0, stages.affine ?? 0, stages.after ?? 0]), 1e-6);
  return structures(
    'Results by landmark',
    `Distance in millimetres between corresponding landmarks, mean over pairs. Lower is better; the scale is 0 to ${decimals(most, 1)}\u202fmm.`,
    'Landmark',
    MEASURES[0],
    groups,
    most,
  );
}

function labelsSection(details: EvaluationDetails | undefined, names: ReadonlyMap<number, string>): Html | null {
  const groups = byName(
    (details?.pairs ?? []).map(({ labels }) => labels),
    ({ label }) => (names.has(label) ? `${readable(names.get(label)!)} (${label})` : `label ${label}`),
  );
  return structures(
    'Results by structure',
    'Dice overlap of each structure, mean over the pairs that have it. Higher is better; the scale is 0 (disjoint) to 1 (identical).',
    'Structure',
    MEASURES[1],
    groups,
    1,
  );
}

const pairSections = ({ data, evaluation, shown, labelNames }: RunContent): Html =>
  html`${headline(evaluation, data.details)}
${pairsSection(data.details, shown)}
${landmarksSection(data.details)}
${labelsSection(data.details, labelNames)}`;

const taskSections = ({ data, shownSubjects }: RunContent, task: TaskRecord): Html =>
  html`${taskHeadline(data)}
${taskPictures(shownSubjects)}
${taskSubjects(task, 'Test subjects', data.test)}
${taskSubjects(task, 'Validation subjects', data.taskDetails)}`;

const methodSections = ({ data, method, shownPictures }: RunContent): Html =>
  html`${method && methodSection(method)}
${methodHeadline(data)}
${methodPictures(method, shownPictures)}
${confusionSection(data.methodDetails?.confusion)}`;

/** What the run achieved on what it was not trained on. */
export const resultSections = (content: RunContent): Html =>
  content.data.run.task
    ? taskSections(content, content.data.run.task)
    : isJudgedByPairs(content.data)
      ? pairSections(content)
      : methodSections(content);
