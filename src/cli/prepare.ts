/** Preparing a cohort and telling of it: the work of `gvsl prepare`. */
import { join } from 'node:path';
import type { Cohort, CohortProblem } from '../cohort/cohort.ts';
import { countClasses, describeClasses } from '../cohort/node/classes.ts';
import { countedProblems, type PrepareCall, type PrepareReport, prepareCohort } from '../cohort/node/prepare.ts';
import { formatDuration } from '../common/format-duration.ts';
import { guardInputs, refuseReplacing } from '../platform/node/guard.ts';
import { type Part, partText } from '../platform/node/parts.ts';
import { count } from './batch-text.ts';
import { createProgress } from './progress.ts';
import type { CommandResult } from './run-command.ts';
import { stopSignal } from './stop-signal.ts';
import { formatTable } from './table.ts';

/** What the command was told; the rest is the same for every call. */
export async function prepare(told: Omit<PrepareCall, 'progress' | 'signal'>): Promise<CommandResult> {
  const { source, out, classes } = told;
  const startedMs = performance.now();
  const inputs = [
    { path: source, what: 'the source' },
    ...(classes === undefined ? [] : [{ path: classes, what: 'the table of classes' }]),
  ];
  const report = await guardInputs(inputs, async () => {
    await refuseReplacing(join(out, 'cohort.json'));
    return prepareCohort({
      ...told,
      progress: createProgress(),
      signal: stopSignal('stopping; prepared images are kept (press again to stop at once)'),
    });
  });
  const timeMs = Math.round(performance.now() - startedMs);
  const { cohort, kept, layout, unmatched } = report;
  const ofKind = (...kinds: CohortProblem['kind'][]): number => cohort.problems.filter((p) => kinds.includes(p.kind)).length;
  const refused = ofKind('refused');
  return {
    json: {
      folder: out,
      layout,
      timeMs,
      prepared: cohort.subjects.length,
      kept,
      refused,
      leftOut: ofKind('left-out'),
      unmatched,
      warnings: ofKind('warning', 'duplicate'),
      classes: countClasses(cohort.subjects.map((subject) => subject.class)).classes,
      ...withoutFolder(cohort),
    },
    text: told.part ? partAsText(report, told.part, timeMs) : asText(report, timeMs),
    // a part with refused images is done: the whole says what is refused
    exitCode: told.part || (cohort.subjects.length > 0 && refused === 0) ? 0 : 1,
  };
}

const withoutFolder = ({ options, subjects, problems }: Cohort): Omit<Cohort, 'folder' | 'format'> => ({
  options,
  subjects,
  problems,
});

/** More subjects than this are summed up instead of listed. */
const LISTED = 60;
/** A message that this many files share is shown with its first files only. */
const SHOWN = 5;

const times = (values: readonly number[]): string => values.map((v) => +v.toPrecision(4)).join('x');

function partAsText({ cohort, kept, layout }: PrepareReport, part: Part, timeMs: number): string {
  const { subjects, problems, folder } = cohort;
  const refused = problems.map(({ source, message }) => `  ${source}: ${message}`);
  const facts = [
    `part ${partText(part)}: ${count(subjects.length, 'image')} prepared${kept ? ` (${kept} of them earlier)` : ''}`,
    ...countedProblems(problems),
    `${layout} layout`,
    formatDuration(timeMs),
  ];
  const next = 'when all parts are done, run the same command with --merge in place of --part';
  return [...(refused.length > 0 ? ['Refused or skipped:', ...refused, ''] : []), `${folder}: ${facts.join(', ')}`, next].join(
    '\n',
  );
}

function asText({ cohort, kept, layout, unmatched }: PrepareReport, timeMs: number): string {
  const { subjects, problems, folder } = cohort;
  const parts: string[] = [];
  if (subjects.length > 0 && subjects.length <= LISTED) {
    const rows = subjects.map((s) => [
      s.id,
      s.sourceOrientation,
      times(s.sourceGeometry.size),
      times(s.sourceGeometry.spacingMm),
      times(s.geometry.size),
      `${+s.intensity.low.toPrecision(4)} .. ${+s.intensity.high.toPrecision(4)}`,
      s.labelCodes ? String(s.labelCodes.filter((code) => code !== 0).length) : '',
      s.landmarks.length ? String(s.landmarks.length) : '',
    ]);
    parts.push(
      formatTable(['subject', 'axes', 'size', 'spacing mm', 'stored size', 'window', 'labels', 'landmarks'], rows, [6, 7]),
      '',
    );
  }
  const titles = { refused: 'Refused', 'left-out': 'Skipped', warning: 'Warnings', duplicate: 'Duplicate images' } as const;
  for (const [kind, title] of Object.entries(titles)) {
    const same = new Map<string, string[]>();
    for (const { source, message } of problems.filter((problem) => problem.kind === kind)) {
      const text = kind === 'left-out' ? message.replace(/^skipped: /, '') : message;
      same.set(text, [...(same.get(text) ?? []), source]);
    }
    if (same.size === 0) continue;
    parts.push(`${title}:`);
    for (const [line, sources] of same) {
      parts.push(`  ${line}`, ...sources.slice(0, SHOWN).map((source) => `    ${source}`));
      if (sources.length > SHOWN) parts.push(`    and ${sources.length - SHOWN} more`);
    }
    parts.push('');
  }
  const warnings = problems.filter(({ kind }) => kind === 'warning' || kind === 'duplicate').length;
  const labelled = subjects.filter((s) => s.labelCodes).length;
  const empty = subjects.filter((s) => s.labelCodes?.every((code) => code === 0)).length;
  const classes = describeClasses(countClasses(subjects.map((s) => s.class)));
  const facts = [
    `${count(subjects.length, 'image')} prepared${kept ? ` (${kept} of them earlier)` : ''}`,
    ...countedProblems(problems),
    ...(unmatched > 0 ? [`${unmatched} not matched`] : []),
    `${labelled} with labels${empty ? ` (${empty} of them empty: negatives)` : ''}`,
    ...(classes ? [classes] : []),
    `${layout} layout`,
    formatDuration(timeMs),
    count(warnings, 'warning'),
  ];
  parts.push(subjects.length > 0 ? `${folder}: ${facts.join(', ')}` : `nothing could be prepared: ${facts.slice(1).join(', ')}`);
  return parts.join('\n');
}
