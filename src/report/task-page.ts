/** The parts of the report of a training on a task: scores on validation and test subjects, class by class, subject by subject, and pictures. */
import { taskLoss } from '../metrics/task-loss.ts';
import { decimals, grouped, mean } from './figures.ts';
import { type Html, html } from './html.ts';
import type { ShownSubject } from './pictures.ts';
import type { EvaluationRecord, RunData, TaskDetails, TaskRecord, TaskSubject } from './run-data.ts';

const DASH = '\u2013';
const score = (value: number | null | undefined): string => (typeof value === 'number' ? decimals(value, 3) : DASH);
const number = (value: number | null | undefined): Html => html`<td class="n">${score(value)}</td>`;

/** The score that a task is judged by: its title, and where an evaluation has it. */
export function mainScore(task: TaskRecord): { readonly title: string; of(evaluation: EvaluationRecord): number | null } {
  return task.kind === 'segmentation'
    ? { title: 'Dice', of: ({ dice }) => dice }
    : { title: 'Area under the ROC curve', of: ({ auc }) => auc };
}

/** The evaluation after the first step that training chose; the first of equal ones. */
function bestOf(evaluations: readonly EvaluationRecord[]): EvaluationRecord | undefined {
  const judged = evaluations.flatMap((evaluation) => {
    const loss = evaluation.step > 0 ? taskLoss(evaluation) : null;
    return loss === null ? [] : [{ evaluation, loss }];
  });
  return judged.toSorted((a, b) => a.loss - b.loss)[0]?.evaluation;
}

const subjectsText = ({ subjects, patients }: EvaluationRecord, kind: string): string =>
  patients === null
    ? `${grouped(subjects ?? 0)} ${kind} subject${subjects === 1 ? '' : 's'}`
    : `${grouped(subjects ?? 0)} ${kind} scans of ${grouped(patients)} patient${patients === 1 ? '' : 's'}`;

/** The main score of an evaluation in words; of a classification whose area is not defined the accuracy. */
function scoreText(task: TaskRecord, evaluation: EvaluationRecord, on: string, postProcessed?: EvaluationRecord): string {
  const { title, of } = mainScore(task);
  if (postProcessed)
    return `${title} on ${on}: ${score(of(postProcessed))} with post-processing, ${score(of(evaluation))} without.`;
  return of(evaluation) === null && evaluation.accuracy !== null
    ? `Accuracy on ${on}: ${score(evaluation.accuracy)}. They lack a class, so the area under their ROC curve is not defined.`
    : `${title} on ${on}: ${score(of(evaluation))}.`;
}

/** What the run came to, in a sentence and a table. */
export function taskHeadline({ run, evaluations, validation, test }: RunData): Html {
  const task = run.task!;
  const best = bestOf(evaluations);
  const last = evaluations.at(-1);
  if (!best || !last)
    return html`<section><h2>Validation</h2><p class="lead">No evaluation yet: it is later in the run, or there are no validation subjects.</p></section>`;
  const tested = test?.summary;
  const processed = validation?.step === best.step ? validation.postProcessed : undefined;
  const lead = tested
    ? scoreText(task, tested, `${subjectsText(tested, 'held-out test')} (not used for selection)`, test.postProcessed)
    : `${scoreText(task, best, `${subjectsText(best, 'validation')}, best checkpoint`, processed)} These subjects selected the checkpoint${processed ? ' and its post-processing' : ''}, so expect slightly lower scores on unseen subjects.`;
  const columns = [
    { name: `best, step ${grouped(best.step)}`, evaluation: best },
    ...(processed ? [{ name: 'best, post-processed', evaluation: processed }] : []),
    ...(last.step !== best.step ? [{ name: `last, step ${grouped(last.step)}`, evaluation: last }] : []),
    ...(tested ? [{ name: `test, step ${grouped(tested.step)}`, evaluation: tested }] : []),
    ...(test?.postProcessed ? [{ name: 'test, post-processed', evaluation: test.postProcessed }] : []),
  ];
  const rows: (readonly [string, (evaluation: EvaluationRecord) => number | null])[] =
    task.kind === 'segmentation'
      ? [
          ['Mean Dice', ({ dice }) => dice],
          ...task.labels
            .slice(1)
            .map(
              ({ code, name }, c) =>
                [`${name} (${code})`, ({ dicePerClass }: EvaluationRecord) => dicePerClass?.[c] ?? null] as const,
            ),
        ]
      : [
          ['Area under the ROC curve', ({ auc }) => auc],
          ['Accuracy', ({ accuracy }) => accuracy],
        ];
  return html`<section>
<h2>Validation</h2>
<p class="lead">${lead}</p>
<div class="scroll"><table class="headline">
<thead><tr><th scope="col">${task.kind === 'segmentation' ? 'Class' : 'Score'}</th>${columns.map(({ name }) => html`<th scope="col" class="n">${name}</th>`)}</tr></thead>
<tbody>${rows.map(([name, value]) => html`<tr><th scope="row">${name}</th>${columns.map(({ evaluation }) => number(value(evaluation)))}</tr>`)}</tbody></table></div>
<p class="note">${
    task.kind === 'segmentation'
      ? 'Dice overlap of prediction and reference on the grid of the network, from 0 (disjoint) to 1 (identical). Mean over subjects of the mean over classes; classes absent from both are excluded. A dash means that no subject has the class. gvsl evaluate scores on the original image grids, with surface distances.'
      : 'The area under the ROC curve is the probability that a subject of a class gets a higher score for it than a subject of another class; 0.5 is chance level. Accuracy uses the most probable class.'
  }</p>
</section>`;
}

/** Scores of each subject; null without any. */
export function taskSubjects(task: TaskRecord, title: string, details: TaskDetails | undefined): Html | null {
  if (!details || details.subjects.length === 0) return null;
  const row = ({ id, dice, probabilities, class: truth }: TaskSubject): Html =>
    task.kind === 'segmentation'
      ? html`<tr><th scope="row">${id}</th>${number(mean(dice ?? []))}${(dice ?? []).map(number)}</tr>`
      : html`<tr><th scope="row">${id}</th><td>${truth ?? DASH}</td>${(probabilities ?? []).map(number)}</tr>`;
  const names =
    task.kind === 'segmentation'
      ? ['mean', ...task.labels.slice(1).map(({ name }) => name)]
      : task.classes.length === 2
        ? [`probability of ${task.classes[1]}`]
        : task.classes.map((name) => `probability of ${name}`);
  return html`<section>
<h2>${title}</h2>
<details><summary>${grouped(details.subjects.length)} subject${details.subjects.length === 1 ? '' : 's'}, after step ${grouped(details.step)}</summary>
<div class="scroll"><table><thead><tr><th scope="col">Subject</th>${task.kind === 'classification' && html`<th scope="col">true class</th>`}${names.map((name) => html`<th scope="col" class="n">${name}</th>`)}</tr></thead>
<tbody>${details.subjects.map(row)}</tbody></table></div></details>
</section>`;
}

/** What the segmentation looks like. */
export function taskPictures(shown: readonly ShownSubject[]): Html | null {
  if (shown.length === 0) return null;
  return html`<section>
<h2>Segmentation examples</h2>
<p class="note">Slices with the most labelled voxels: axial, coronal, sagittal, the patient\u2019s right on the left. Image, reference and prediction after step ${grouped(shown[0].step)}.</p>
${shown.map(
  ({ id, picture }) => html`<figure class="pair"><h3>${id}</h3>
<div class="scroll"><div class="panels"><span>Image</span><span>Reference</span><span>Prediction</span></div>
<div class="strip"><img src="${picture.uri}" width="${picture.width}" height="${picture.height}" alt="Axial, coronal and sagittal slices of ${id}: image, reference, prediction"></div></div></figure>`,
)}
</section>`;
}
