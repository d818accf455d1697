/** The table of a cross-validation. */
import type { CrossValidationResult } from '../training/node/task/cross-validate.ts';
import type { TaskEvaluation } from '../training/task/evaluate.ts';
import { describeRules } from '../training/task/post-processing.ts';
import { formatTable } from './table.ts';

const figure = (value: number | null | undefined): string => value?.toFixed(4) ?? '-';

const scoresOf = ({ dice, dicePerClass, auc, accuracy }: TaskEvaluation): string[] =>
  dicePerClass ? [figure(dice), ...dicePerClass.map(figure)] : [figure(auc), figure(accuracy)];

export function crossValidationText({ out, finished, folds, outOfFold, postProcessing }: CrossValidationResult): string {
  if (!finished) return `${out}: stopped after ${folds.length} folds; continue with --resume`;
  const structures = postProcessing.map(({ name }) => name);
  const [{ validation }] = folds;
  const perClass = validation.dicePerClass?.map((_, c) => structures[c] ?? `structure ${c + 1}`);
  const heading = perClass ? ['Dice', ...perClass] : ['AUC', 'accuracy'];
  const withTest = folds.some(({ test }) => test !== null);
  const rows = folds.map(({ fold, trainingSubjects, step, validation: scores, test }) => [
    String(fold),
    String(trainingSubjects),
    String(scores.subjects),
    String(step),
    ...scoresOf(scores),
    ...(withTest ? [figure(test?.dice ?? test?.auc)] : []),
  ]);
  const all = (name: string, scores: TaskEvaluation): string[] => [
    ...[name, '', String(scores.subjects), ''],
    ...scoresOf(scores),
    ...(withTest ? [''] : []),
  ];
  const { summary, dice, postProcessed } = outOfFold!;
  return [
    formatTable(
      ['fold', 'training', 'validation', 'best step', ...heading, ...(withTest ? [perClass ? 'test Dice' : 'test AUC'] : [])],
      [...rows, all('all', summary), ...(postProcessed ? [all('post-processed', postProcessed)] : [])],
      Array.from({ length: 4 + heading.length }, (_, i) => i + 1),
    ),
    '',
    'all: every subject by the model that did not see it',
    ...(dice
      ? [
          `mean Dice ${dice.mean.toFixed(4)}, 95 % interval ${dice.low.toFixed(4)} to ${dice.high.toFixed(4)} (bootstrap over subjects)`,
        ]
      : []),
    ...describeRules(postProcessing).map((line) => `post-processing of ${line}`),
    `${out}: models in fold-1 to fold-${folds.length}, cross-validation.json, cross-validation.csv; apply them together with gvsl segment or classify --model ${out}`,
  ].join('\n');
}
