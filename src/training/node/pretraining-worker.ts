/** The thread that makes pre-training's examples. */
import { serveExamples } from './data-loader.ts';
import { pretrainingMaker } from './pretraining-examples.ts';

serveExamples(pretrainingMaker);
