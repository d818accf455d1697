/** The thread that makes pre-training's examples. */
import { serveExamples } from './example-source.ts';
import { pairMaker } from './pair-examples.ts';

serveExamples(pairMaker);
