/**
 * How operations become kernel calls. An operation's `cpu.ts` says, for one node, in which layout its result lies and which kernels
 * run with which arguments; compile.ts gives it addresses. See common.as.ts for the two layouts.
 */
import { checkShape, elementCount, type Shape } from '../../graph.ts';

/** What is known of a tensor before it has an address. */
export interface TensorForm {
  readonly shape: Shape;
  /** In channel blocks of 8 with a halo, else dense. Only (N, C, D, H, W) can be blocked. */
  readonly blocked: boolean;
}

/** A tensor in the session's memory. */
export interface CpuTensor extends TensorForm {
  /** Address of its first byte. */
  readonly data: number;
  /** Bytes from one sample to the next. */
  readonly batchStrideBytes: number;
  /** Address of the descriptor that kernels read. */
  readonly descriptor: number;
}

/** A word of a kernel's arguments: a whole number or an address; a tensor stands for its descriptor. */
export type Argument = number | CpuTensor;

export interface Emitter {
  /** Appends one kernel call. `kernel` is the name of an export of kernels.as.ts. */
  emit(kernel: string, ...args: readonly Argument[]): void;
  /** Bytes of memory that are this node's own while it runs. */
  scratch(sizeBytes: number): number;
  /** A tensor in scratch memory. */
  scratchTensor(shape: Shape, blocked: boolean): CpuTensor;
  /** The tensor itself if it is blocked, else a blocked copy in scratch. */
  toBlocked(tensor: CpuTensor): CpuTensor;
  /** The tensor itself if it is plain, else a plain copy in scratch. */
  toPlain(tensor: CpuTensor): CpuTensor;
}

export interface CpuCall<Attributes> {
  readonly inputs: readonly CpuTensor[];
  /** For an effect: a tensor without memory. */
  readonly out: CpuTensor;
  readonly attributes: Attributes;
}

export interface CpuKernel<Attributes> {
  /** The result's layout. Default: the first input's if it has as many axes as the result and the channels allow it, else plain. */
  readonly blocked?: (inputs: readonly TensorForm[], shape: Shape, attributes: Attributes) => boolean;
  /**
   * Bytes from the first input's start to the result's, if the result can be a part of the first input's memory with the same
   * distance between samples; undefined if it must be computed.
   */
  readonly aliasOffsetBytes?: (input: TensorForm, shape: Shape, attributes: Attributes) => number | undefined;
  readonly lower: (call: CpuCall<Attributes>, emitter: Emitter) => void;
}

/** Channels in a block, and bytes of a voxel of a block. */
export const BLOCK = 8;
const VOXEL_BYTES = 4 * BLOCK;

export const blockCount = (channels: number): number => Math.ceil(channels / BLOCK);

/** Bytes of one channel block's volume with its halo. */
export const blockBytes = ([, , depth, height, width]: Shape): number => (depth! + 2) * (height! + 2) * (width! + 2) * VOXEL_BYTES;

/** Bytes from one sample to the next in memory of the tensor's own. */
export function batchStrideOf({ shape, blocked }: TensorForm): number {
  if (blocked) return blockCount(shape[1]!) * blockBytes(shape);
  return 4 * (shape.length < 2 ? elementCount(shape) : elementCount(shape.slice(1)));
}

/** Bytes of a tensor of that form. */
export const tensorBytes = (form: TensorForm): number => (form.shape.length < 2 ? 1 : form.shape[0]!) * batchStrideOf(form);

/** A result in blocks wherever it can be. */
export const blockedByChannels = (_inputs: readonly TensorForm[], shape: Shape): boolean => shape.length === 5 && shape[1]! >= BLOCK;
export const alwaysPlain = (): boolean => false;

/** The bits of a float as a word of arguments. */
export function floatWord(value: number): number {
  return new Uint32Array(Float32Array.of(value).buffer)[0]!;
}

/** Refuses a plain tensor where a kernel knows blocks alone; says which. */
export function requireBlocked(op: string, ...tensors: readonly TensorForm[]): void {
  for (const { shape, blocked } of tensors) {
    checkShape(blocked && shape[1]! % BLOCK === 0, op, () => `the CPU backend needs channels in multiples of ${BLOCK}, got [${shape.join(', ')}]`);
  }
}
