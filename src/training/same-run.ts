/** Whether a run can go on under a configuration: what shapes its result must be what it began with. */
import { UsageError } from '../errors/errors.ts';
import type { PretrainConfiguration } from './configuration.ts';
import { configurationKeys } from './configuration-reference.ts';

/** How long to go on, with what, and what to write down: free to change. */
const FREE = /^(steps|threads|backend|maxNonFiniteSteps|log\..*)$/;

const at = (configuration: PretrainConfiguration, path: string): string =>
  JSON.stringify(path.split('.').reduce<unknown>((value, key) => (value as Record<string, unknown>)[key], configuration));

/**
 * @param source names the run in the message
 * @throws UsageError that lists every key in which `wanted` departs from what the run began with
 */
export function requireSameRun(begun: PretrainConfiguration, wanted: PretrainConfiguration, source: string): void {
  const changed = configurationKeys()
    .filter(({ path, section }) => !section && !FREE.test(path) && at(begun, path) !== at(wanted, path))
    .map(({ path }) => `  ${path}: begun with ${at(begun, path)}, now ${at(wanted, path)}`);
  if (changed.length > 0)
    throw new UsageError(
      `${source}: cannot be resumed with another configuration; leave these as they were, or begin a new run with another --out:\n${changed.join('\n')}`,
    );
}
