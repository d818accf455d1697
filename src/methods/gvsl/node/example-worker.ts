/** The thread that makes pre-training's examples. */
import { serveExamples } from '../../../platform/node/example-source.ts';
import { pairMaker } from './examples.ts';

serveExamples(pairMaker);
