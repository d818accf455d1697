/** The program with all its commands: one file a command under commands/, whose work is loaded only when it is called. */
import { Command } from 'commander';
import { version } from '../common/version.ts';
import { registerBench } from './commands/bench.ts';
import { registerClassify } from './commands/classify.ts';
import { registerCompare } from './commands/compare.ts';
import { registerDemo } from './commands/demo.ts';
import { registerDoctor } from './commands/doctor.ts';
import { registerEmbed } from './commands/embed.ts';
import { registerEvaluate } from './commands/evaluate.ts';
import { registerExport } from './commands/export.ts';
import { registerImport } from './commands/import.ts';
import { registerInspect } from './commands/inspect.ts';
import { registerMethods } from './commands/methods.ts';
import { registerModels } from './commands/models.ts';
import { registerPage } from './commands/page.ts';
import { registerPhantom } from './commands/phantom.ts';
import { registerPrepare } from './commands/prepare.ts';
import { registerPretrain } from './commands/pretrain.ts';
import { registerRegister } from './commands/register.ts';
import { registerReport } from './commands/report.ts';
import { registerSegment } from './commands/segment.ts';
import { registerSuggest } from './commands/suggest.ts';
import { registerTrain } from './commands/train.ts';
import { registerVerify } from './commands/verify.ts';
import { registerWarp } from './commands/warp.ts';

/**
 * Help and wrong usage are thrown as commander's own errors, so that whoever parses decides how to end.
 * @param args what is going to be parsed: a command that they do not name may leave out those of its options that take long to describe
 */
export async function createProgram(args: readonly string[]): Promise<Command> {
  const program = new Command('gvsl')
    .description('Self-supervised pre-training of 3D medical image networks by geometric visual similarity learning.')
    .version(version)
    .showSuggestionAfterError()
    .exitOverride();
  // one line a command, in the order of a user's way through them
  for (const register of [
    registerDemo,
    registerPhantom,
    registerInspect,
    registerPrepare,
    registerMethods,
    registerModels,
    registerPretrain,
    registerSuggest,
    registerTrain,
    registerSegment,
    registerClassify,
    registerEmbed,
    registerEvaluate,
    registerCompare,
    registerReport,
    registerRegister,
    registerWarp,
    registerImport,
    registerExport,
    registerPage,
    registerVerify,
    registerBench,
    registerDoctor,
  ])
    await register(program, args);
  return program;
}
