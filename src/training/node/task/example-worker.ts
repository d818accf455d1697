/** The thread that makes the examples of training on a task. */
import { serveExamples } from '../../../platform/node/example-source.ts';
import { taskMaker } from './examples.ts';

serveExamples(taskMaker);
