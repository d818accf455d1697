/** A file of named tensors, whatever its format: what there is at once, a tensor's values when they are asked for. */
import type { SafetensorsDtype } from '../formats/safetensors.ts';

export interface StoredTensor {
  readonly shape: readonly number[];
  /** As safetensors call it, or the name of a type whose values cannot be read ('ComplexFloatStorage'). */
  readonly dtype: SafetensorsDtype | (string & {});
  /** The values as 32-bit floats, dense. @throws WorkError for a damaged file or a type that cannot be read */
  read(): Promise<Float32Array>;
}

export interface StoredWeights {
  /** For people: 'PyTorch (zip)'. */
  readonly format: string;
  readonly tensors: ReadonlyMap<string, StoredTensor>;
  close(): Promise<void>;
}
