/** Whether a run can go on under a configuration: what shapes its result must be what it began with. */
import { UsageError } from '../errors/errors.ts';
import { type ConfigurationSchema, configurationKeys } from './configuration-reference.ts';

/** How long to go on, with what, and what to write down: free to change. */
const FREE = /^(steps|threads|backend|maxNonFiniteSteps|log\..*)$/;

const at = (configuration: unknown, path: string): string =>
  JSON.stringify(
    path.split('.').reduce<unknown>((value, key) => (value as Record<string, unknown> | undefined)?.[key], configuration),
  );

/**
 * @param schema of the configurations; pre-training's if not said
 * @param source names the run in the message
 * @throws UsageError that lists every key in which `wanted` departs from what the run began with
 */
export function requireSameRun(begun: unknown, wanted: unknown, source: string, schema?: ConfigurationSchema): void {
  const changed = configurationKeys(schema)
    .filter(({ path, section }) => !section && !FREE.test(path) && at(begun, path) !== at(wanted, path))
    .map(({ path }) => `  ${path}: begun with ${at(begun, path)}, now ${at(wanted, path)}`);
  if (changed.length > 0)
    throw new UsageError(
      `${source}: cannot be resumed with another configuration; leave these as they were, or begin a new run with another --out:\n${changed.join('\n')}`,
    );
}
