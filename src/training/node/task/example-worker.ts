/** The thread that makes the examples of training on a task. */
import { serveExamples } from '../data-loader.ts';
import { taskMaker } from './examples.ts';

serveExamples(taskMaker);
