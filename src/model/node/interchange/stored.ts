/** A file of named tensors, whatever its format: what there is at once, a tensor's values when they are asked for. */
import type { SafetensorsDtype } from '../../safetensors.ts';

export interface StoredTensor {
  readonly shape: readonly number[];
  /** As safetensors call it, or PyTorch's name of a type whose values cannot be read ('complex64'). */
  readonly dtype: SafetensorsDtype | (string & {});
  /** The values as 32-bit floats, dense. @throws RunError for a damaged file or a type that cannot be read */
  read(): Promise<Float32Array>;
}

export interface StoredWeights {
  /** For people: 'PyTorch (zip)'. */
  readonly format: string;
  readonly tensors: ReadonlyMap<string, StoredTensor>;
  /** Names that stand among the tensors for something that cannot be read, and why. */
  readonly refused: ReadonlyMap<string, string>;
  /** What the file holds beside tensors and plain data, by the name of its class or function: how many (0: only named). Never run. */
  readonly opaque: ReadonlyMap<string, number>;
  readonly warnings: readonly string[];
  close(): Promise<void>;
}
