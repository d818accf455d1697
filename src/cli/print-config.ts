/** `--print-config`: what a training needs and the text of its configuration does not may be left out. */
import { Argument, Option } from 'commander';

/** Whether a call only shows a configuration, and not that of a run, which is in its folder. */
const onlyShows = (args: readonly string[]): boolean => args.includes('--print-config') && !args.includes('--resume');

/** An option that a training needs. */
export const neededOption = (args: readonly string[], flags: string, description: string): Option =>
  new Option(flags, description).makeOptionMandatory(!onlyShows(args));

/** An argument that a training needs. @param name 'cohort' */
export const neededArgument = (args: readonly string[], name: string, description: string): Argument =>
  new Argument(onlyShows(args) ? `[${name}]` : `<${name}>`, description);
