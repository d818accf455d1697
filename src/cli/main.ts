#!/usr/bin/env node
/** The command line: one file a command under commands/, each loaded only when it is called, so that `--help` is quick. */
import { Command } from 'commander';
import { version } from '../version.ts';
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
import { registerPage } from './commands/page.ts';
import { registerPhantom } from './commands/phantom.ts';
import { registerPrepare } from './commands/prepare.ts';
import { registerPretrain } from './commands/pretrain.ts';
import { registerRegister } from './commands/register.ts';
import { registerReport } from './commands/report.ts';
import { registerSegment } from './commands/segment.ts';
import { registerTrain } from './commands/train.ts';
import { registerVerify } from './commands/verify.ts';

const program = new Command('gvsl')
  .description('Self-supervised pre-training of 3D medical image networks by geometric visual similarity learning.')
  .version(version)
  .showSuggestionAfterError()
  .exitOverride((error) => process.exit(error.exitCode === 0 ? 0 : 2));

// one line a command, in the order of a user's way through them
registerDemo(program);
registerPhantom(program);
registerInspect(program);
registerPrepare(program);
registerPretrain(program);
registerTrain(program);
registerSegment(program);
registerClassify(program);
registerEmbed(program);
registerEvaluate(program);
registerCompare(program);
registerReport(program);
registerRegister(program);
registerImport(program);
registerExport(program);
registerPage(program);
registerVerify(program);
registerBench(program);
registerDoctor(program);

await program.parseAsync();
