/** Which labelled subjects train, which choose the best state, and which are kept for the end: at the level of patients, from a seed or a file. */
import type { Cohort, Subject } from '../../../cohort/cohort.ts';
import { groupedByPatient, scansOfPatients, takeGroups } from '../../../cohort/patients.ts';
import { UsageError } from '../../../common/errors.ts';
import { randomStream } from '../../../common/random.ts';
import type { TransferConfiguration } from '../../task/configuration.ts';
import { readSplitFile, type SplitParts } from '../split-file.ts';

export type TaskSplit = SplitParts;

type SplitOptions = Pick<TransferConfiguration, 'task' | 'seed'> & { readonly data: TransferConfiguration['data'] };

/** Whether a subject has what the task is learnt from. An empty label map says that nothing is there: a negative, which is learnt from too. */
export const isLabelled = ({ labelCodes, class: name }: Subject, task: TransferConfiguration['task']): boolean =>
  task === 'segmentation' ? labelCodes !== null : name !== null;

/** Whether a subject's label map holds nothing but background. */
export const isNegative = ({ labelCodes }: Subject): boolean => labelCodes?.every((code) => code === 0) ?? false;

/** The parts of a split's file, all of whose subjects must have what the task is learnt from. */
async function splitByFile(file: string, cohort: Cohort, task: TransferConfiguration['task']): Promise<TaskSplit> {
  const split = await readSplitFile(file, cohort);
  for (const [part, subjects] of Object.entries(split))
    for (const subject of subjects)
      if (!isLabelled(subject, task))
        throw new UsageError(
          `\`data.split\` ${file}: ${part}: subject '${subject.id}' has no ${task === 'segmentation' ? 'labels' : 'class'}`,
        );
  return split;
}

/**
 * Negatives spread evenly among the others, one of which comes first: whatever is taken from the front, or cut out, has its share of both, and
 * nobody is validated on negatives alone. Without negatives nothing changes.
 */
function mixed<Item>(items: readonly Item[], isWithout: (item: Item) => boolean): Item[] {
  const without = items.filter(isWithout);
  const others = items.filter((item) => !isWithout(item));
  return inOrder([placed(others, 0), placed(without, 0.5)]);
}

/**
 * Items of every class spread evenly over the whole order, one of each class first: whatever is taken from the front, or cut out, has about equal
 * shares of each class, and a part that is large enough has them all.
 */
function stratified<Item>(items: readonly Item[], classOf: (item: Item) => string | null): Item[] {
  const byClass = new Map<string | null, Item[]>();
  for (const item of items) byClass.set(classOf(item), [...(byClass.get(classOf(item)) ?? []), item]);
  return inOrder([...byClass.values()].map((of) => placed(of, 0)));
}

/** Places from 0 to 1, evenly apart; `shift` of the distance between them before the first. */
const placed = <Item>(items: readonly Item[], shift: number) =>
  items.map((item, k) => ({ item, at: (k + shift) / items.length }));

const inOrder = <Item>(groups: readonly (readonly { readonly item: Item; readonly at: number }[])[]): Item[] =>
  groups
    .flat()
    .sort((a, b) => a.at - b.at)
    .map(({ item }) => item);

const howMany = (wanted: number, of: number): number =>
  wanted === 0 ? 0 : wanted < 1 ? Math.max(1, Math.round(wanted * of)) : wanted;

/**
 * Splits a cohort's labelled subjects.
 * @throws UsageError if nobody is left to train with, more labels are asked for than there are, or a file's split is not one
 */
export async function splitForTask(cohort: Cohort, { task, seed, data }: SplitOptions): Promise<TaskSplit> {
  const what = task === 'segmentation' ? 'label maps' : 'classes';
  const labelled = cohort.subjects.filter((subject) => isLabelled(subject, task));
  if (labelled.length === 0)
    throw new UsageError(
      `${cohort.folder}: none of its ${cohort.subjects.length} subjects has ${what === 'classes' ? 'a class; prepare it with the table `classes`' : 'a label map; prepare a folder with labels'}`,
    );
  if (data.fold !== 'all' && data.fold > data.folds)
    throw new UsageError(
      `\`data.fold\` ${data.fold}: there ${data.folds === 1 ? 'is one fold' : `are ${data.folds} folds`} (\`data.folds\`)`,
    );
  if (data.folds > 1 && data.split !== null)
    throw new UsageError('`data.split`: a file names one split; folds are cut from the cohort: use one of them');
  let split: TaskSplit;
  if (data.split !== null) {
    split = await splitByFile(data.split, cohort, task);
  } else {
    const apart = labelled.filter((subject) => subject.split === 'test');
    // other scans of their patients neither train, nor choose, nor are test cases of the source
    const isOfTest = scansOfPatients(apart);
    const others = labelled.filter((subject) => !isOfTest(subject));
    const order = Array.from(randomStream(data.splitSeed, 'split', task).permutation(others.length), (i) => others[i]);
    const groups = groupedByPatient(order);
    const patients =
      task === 'classification'
        ? stratified(groups, ([{ class: name }]) => name)
        : mixed(groups, (group) => group.every(isNegative));
    const test = takeGroups(patients, howMany(data.test, others.length));
    const left = patients.reduce((sum, group) => sum + group.length, 0);
    let validation: Subject[];
    if (data.folds > 1) {
      if (data.folds > patients.length)
        throw new UsageError(
          `\`data.folds\` ${data.folds}: more than the ${patients.length} labelled ${patients.length === left ? 'subjects' : 'patients'} that are no test subjects`,
        );
      if (data.fold === 'all') throw new UsageError('`data.fold` all: expected the number of a fold');
      const { fold } = data;
      const bound = (fold: number): number => Math.round((fold * left) / data.folds);
      // a patient belongs to the fold in which the first of the scans lies
      let at = 0;
      const inFold = patients.map((group) => {
        const start = at;
        at += group.length;
        return start >= bound(fold - 1) && start < bound(fold);
      });
      validation = patients.filter((_, k) => inFold[k]).flat();
      patients.splice(0, patients.length, ...patients.filter((_, k) => !inFold[k]));
    } else {
      validation = takeGroups(patients, howMany(data.validation, left));
    }
    split = { training: patients.flat(), validation, test: [...apart, ...test] };
  }
  const { training } = split;
  if (training.length === 0)
    throw new UsageError(
      `${cohort.folder}: no training subjects left of ${labelled.length} labelled ones; lower \`data.validation\` or \`data.test\``,
    );
  if (data.labels === 'all') return split;
  if (data.labels > training.length)
    throw new UsageError(`\`data.labels\` ${data.labels}: only ${training.length} labelled subjects are left for training`);
  // by the run's own seed, so that runs of several seeds differ in whom they learn from, and methods of one seed do not
  const drawn = Array.from(randomStream(seed, 'labels', task).permutation(training.length), (i) => training[i]);
  const order = task === 'classification' ? stratified(drawn, ({ class: name }) => name) : mixed(drawn, isNegative);
  return { ...split, training: order.slice(0, data.labels) };
}
