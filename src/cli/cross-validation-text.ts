/** The table of a cross-validation. */
import { counted, countedScans } from '../common/counted.ts';
import { rangeText } from '../common/range-text.ts';
import { type CrossValidationResult, type OverFolds, overFolds } from '../training/node/task/cross-validate.ts';
import type { TaskEvaluation } from '../training/task/evaluate.ts';
import { describeRules } from '../training/task/post-processing.ts';
import { formatTable } from './table.ts';

const figure = (value: number | null | undefined): string => value?.toFixed(4) ?? '-';

const scoresOf = ({ dice, dicePerClass, auc, accuracy }: TaskEvaluation): string[] =>
  dicePerClass ? [figure(dice), ...dicePerClass.map(figure)] : [figure(auc), figure(accuracy)];

/** 'mean 0.8123, standard deviation 0.0321 over 5 folds' */
const spread = ({ mean, standardDeviation, folds }: OverFolds): string =>
  `mean ${figure(mean)}${standardDeviation === null ? '' : `, standard deviation ${figure(standardDeviation)}`} over ${counted(folds, 'fold')}`;

export function crossValidationText({ out, finished, folds, outOfFold, postProcessing }: CrossValidationResult): string {
  if (!finished) return `${out}: stopped after ${counted(folds.length, 'fold')}; continue with --resume`;
  const structures = postProcessing.map(({ name }) => name);
  const [{ validation }] = folds;
  const perClass = validation.dicePerClass?.map((_, c) => structures[c] ?? `structure ${c + 1}`);
  const heading = perClass ? ['Dice', ...perClass] : ['AUC', 'accuracy'];
  const score = perClass ? 'Dice' : 'AUC';
  const testOf = (test: TaskEvaluation | null | undefined): number | null | undefined => (perClass ? test?.dice : test?.auc);
  const withTest = folds.some(({ test }) => test !== null);
  const rows = folds.map(({ fold, trainingSubjects, step, validation: scores, test }) => [
    String(fold),
    String(trainingSubjects),
    String(scores.subjects),
    String(step),
    ...scoresOf(scores),
    ...(withTest ? [figure(testOf(test))] : []),
  ]);
  const all = (name: string, scores: TaskEvaluation, tests: readonly (TaskEvaluation | null | undefined)[]): string[] => [
    ...[name, '', String(scores.subjects), ''],
    ...scoresOf(scores),
    ...(withTest ? [figure(overFolds(tests.map(testOf))?.mean)] : []),
  ];
  const { summary, dice, auc, postProcessed } = outOfFold!;
  const tests = folds.map(({ test }) => test);
  const processed = folds.map(({ postProcessed: after }) => after?.test);
  const tested = overFolds(tests.map(testOf));
  return [
    formatTable(
      ['fold', 'training', 'validation', 'best step', ...heading, ...(withTest ? [`test ${score}`] : [])],
      [...rows, all('all', summary, tests), ...(postProcessed ? [all('post-processed', postProcessed, processed)] : [])],
      Array.from({ length: 4 + heading.length }, (_, i) => i + 1),
    ),
    '',
    `all: every subject by the model that did not see it${perClass ? '' : '; AUC: mean over folds'}${withTest ? `; test ${score}: mean over folds` : ''}`,
    ...(dice
      ? [
          `mean Dice ${dice.mean.toFixed(4)}${rangeText(dice, (end) => end.toFixed(4))}${dice.low === null ? '' : `, 95 % bootstrap interval over ${dice.patients === undefined ? 'subjects' : `patients (${countedScans(dice.count, dice.patients)})`}`}`,
        ]
      : []),
    ...(auc ? [`AUC: ${spread(auc)}`] : []),
    ...(tested ? [`test ${score}: ${spread(tested)}`] : []),
    ...describeRules(postProcessing).map((line) => `post-processing of ${line}`),
    `${out}: models in fold-1 to fold-${folds.length}, cross-validation.json, cross-validation.csv; apply them together with gvsl segment or classify --model ${out}`,
  ].join('\n');
}
