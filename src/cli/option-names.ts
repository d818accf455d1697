/**
 * The library's messages name arguments in back-quotes, by the names that programs know (`fixedLabels`, `data.patch`); at the command line they
 * are options (--fixed-labels, --patch).
 */
import type { Command } from 'commander';

/** Arguments whose option is called otherwise. */
const OTHERWISE: Readonly<Record<string, string>> = { learningRate: 'lr', spacingMm: 'spacing' };

let flags: ReadonlyMap<string, string> = new Map();

/** From now on messages are shown as this command's. */
export function showOptionsOf(command: Command): void {
  flags = new Map(command.options.map((option) => [option.attributeName(), option.long ?? option.flags]));
}

/** The text with the command's options for the arguments that it names; what is no option of the command stays as it is. */
export const withOptionNames = (text: string): string =>
  text.replaceAll(/`([a-z][A-Za-z.]*)`/g, (quoted, name: string) => {
    const last = name.slice(name.lastIndexOf('.') + 1);
    // options of a method are called by the whole path: `clusters.count` is --clusters-count
    const whole = name.replaceAll(/\.([a-z])/g, (_, letter: string) => letter.toUpperCase());
    return flags.get(whole) ?? flags.get(OTHERWISE[last] ?? last) ?? quoted;
  });
