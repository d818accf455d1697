/** Checks: what they find, what they advise, and how they are shown. */
import type { AdapterSummary } from '../../platform/node/webgpu-host.ts';

export type Status = 'ok' | 'warn' | 'fail';

export interface Check {
  readonly name: string;
  readonly status: Status;
  /** What was found. */
  readonly found: string;
  /** What to do about it; null if there is nothing to do. */
  readonly advice: string | null;
  /** Thousand millions of floating-point operations a second; only of a check that measures them. */
  readonly gflops?: number;
  /** Of the check of GPUs. */
  readonly adapters?: readonly AdapterSummary[];
}

/** What a check finds out; its probe knows its name. */
export type Finding = Omit<Check, 'name'>;

/** One thing to look at. What it throws is a failure, told with `remedy`. */
export interface Probe {
  readonly name: string;
  readonly remedy: string;
  readonly run: () => Promise<Finding>;
}

export const ok = (found: string): Finding => ({ status: 'ok', found, advice: null });
export const warn = (found: string, advice: string): Finding => ({ status: 'warn', found, advice });

/** Runs the checks one after the other; one that throws has failed, and the others go on. */
export async function runChecks(probes: readonly Probe[]): Promise<Check[]> {
  const checks: Check[] = [];
  for (const { name, remedy, run } of probes) {
    try {
      checks.push({ name, ...(await run()) });
    } catch (error) {
      checks.push({ name, status: 'fail', found: (error as Error).message, advice: remedy });
    }
  }
  return checks;
}

const MARKS: Record<Status, string> = { ok: 'ok  ', warn: 'note', fail: 'FAIL' };

/** One line a check, its advice below it, and the verdict last. */
export function checksText(checks: readonly Check[]): string {
  const width = Math.max(...checks.map(({ name }) => name.length));
  const failed = checks.filter(({ status }) => status === 'fail').length;
  const lines = checks.flatMap(({ name, status, found, advice }) => [
    `${MARKS[status]}  ${name.padEnd(width)}  ${found}`,
    ...(advice ? [`${' '.repeat(8 + width)}${advice}`] : []),
  ]);
  const verdict =
    failed > 0
      ? `${failed} of ${checks.length} checks failed: fix these first; gvsl cannot work here without them`
      : 'gvsl works here';
  return [...lines, verdict].join('\n');
}
