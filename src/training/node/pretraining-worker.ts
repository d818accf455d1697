/** The thread that makes pre-training's examples. */
import { serveExamples } from './data-loader.ts';
import { type PretrainingJob, pretrainingMaker } from './pretraining-examples.ts';

serveExamples((job: PretrainingJob) => pretrainingMaker(job));
