/** An image that a command applies a model to. */
import type { ChannelSource } from '../../cohort/node/subject-task.ts';
import type { ImageSource } from '../../images/find-images.ts';

export interface InputImage {
  /** Names the results: the file's name without ending and without nnU-Net's channel (`_0000`), after its folders where two have that name. */
  readonly name: string;
  readonly source: ImageSource;
  /** Named by the caller, so it is meant, whatever it looks like; not found in a folder. */
  readonly isNamed: boolean;
  /** For a model of several channels: those after the first, and of a file that holds them the first's number. */
  readonly others?: readonly ChannelSource[];
  readonly channel?: number;
}
