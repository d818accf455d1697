/**
 * How operations become kernel calls. An operation's `cpu.ts` says, for one node, in which layout its result lies and which kernels
 * run with which arguments; compile.ts gives it addresses. See common.as.ts for the two layouts.
 */
import { elementCount, type Shape } from '../../graph.ts';
import { BLOCK, CHUNK_FLOATS, VOXEL_BYTES } from './constants.ts';
import type { KERNEL_ARGUMENTS } from './kernel-interface.ts';

export { BLOCK, VOXEL_BYTES };

/** What is known of a tensor before it has an address. */
export interface TensorForm {
  readonly shape: Shape;
  /** In channel blocks of 8 with a halo, else dense. Only (N, C, D, H, W) can be blocked. */
  readonly blocked: boolean;
}

/** A tensor that has a place: its own memory, or part of another's. */
export interface PlacedForm extends TensorForm {
  /** Bytes from one sample to the next. */
  readonly batchStrideBytes: number;
}

/**
 * A piece of the session's memory. Nothing can be reckoned with it, so that what a kernel call touches can be read off its arguments: on that
 * the order of the calls rests (schedule.ts).
 */
export interface Place {
  readonly address: number;
  readonly sizeBytes: number;
}

/** A tensor in the session's memory. */
export interface CpuTensor extends PlacedForm {
  /** From its first byte to its last; of a part of another tensor, what lies between as well. */
  readonly data: Place;
  /** Address of the descriptor that kernels read. */
  readonly descriptor: number;
}

/** What the lowering gives for an argument of a kernel, by the type that it has there. */
interface ArgumentTypes {
  readonly Tensor: CpuTensor;
  readonly 'Tensor | null': CpuTensor | undefined;
  readonly Address: Place;
  readonly OptionalAddress: Place | undefined;
  readonly usize: number;
  readonly i32: number;
  readonly f32: number;
}

/** An export of kernels.as.ts that takes arguments. */
export type KernelName = keyof typeof KERNEL_ARGUMENTS;

/** Every kernel's arguments by their names: the fields of its class in its *.as.ts. */
export type KernelArguments = {
  readonly [Kernel in KernelName]: {
    readonly [Name in keyof (typeof KERNEL_ARGUMENTS)[Kernel]]: ArgumentTypes[(typeof KERNEL_ARGUMENTS)[Kernel][Name] &
      keyof ArgumentTypes];
  };
};

export interface Emitter {
  /** Appends one kernel call. Calls that touch the same memory run in the order in which they are emitted; others may run at the same time. */
  emit<Kernel extends KernelName>(kernel: Kernel, args: KernelArguments[Kernel]): void;
  /** Appends a call that may run at the same time as the one before it: where both touch the same tensor, they touch other bytes. */
  emitBeside<Kernel extends KernelName>(kernel: Kernel, args: KernelArguments[Kernel]): void;
  /** Appends a call that is not worth cutting into shares, or cannot be: it runs as one. */
  emitWhole<Kernel extends KernelName>(kernel: Kernel, args: KernelArguments[Kernel]): void;
  /** Memory that is this node's own while it runs. */
  scratch(sizeBytes: number): Place;
  /**
   * Says that a kernel's inner buffers take so many bytes of every thread's scratch: needed where they grow with a tensor's size. They are at the same
   * place for every call, so they stay in the caches of the thread's processor.
   */
  threadScratch(sizeBytes: number): void;
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
  /** For each input whether it is where `partOffsets` wants it, because what computes it wrote it there. */
  readonly inPlace: readonly boolean[];
}

export interface CpuKernel<Attributes> {
  /** The result's layout. Default: the first input's if it has as many axes as the result and the channels allow it, else plain. */
  readonly blocked?: (inputs: readonly TensorForm[], shape: Shape, attributes: Attributes) => boolean;
  /**
   * Bytes from the first input's start to the result's, if the result can be a part of the first input's memory with the same
   * distance between samples; undefined if it must be computed.
   */
  readonly aliasOffsetBytes?: (input: PlacedForm, shape: Shape, attributes: Attributes) => number | undefined;
  /**
   * For each input the bytes from the result's start to where it can lie as a part of the result's memory, in the same layout and with the
   * same distance between samples, instead of being copied there; undefined where it cannot, or if none can.
   */
  readonly partOffsets?: (
    inputs: readonly TensorForm[],
    out: PlacedForm,
    attributes: Attributes,
  ) => readonly (number | undefined)[];
  readonly lower: (call: CpuCall<Attributes>, emitter: Emitter) => void;
}

export const blockCount = (channels: number): number => Math.ceil(channels / BLOCK);

/** Bytes of one channel block's volume with its halo. */
export const blockBytes = ([, , depth, height, width]: Shape): number => (depth + 2) * (height + 2) * (width + 2) * VOXEL_BYTES;

/** Bytes from one sample to the next in memory of the tensor's own. */
export function batchStrideOf({ shape, blocked }: TensorForm): number {
  if (blocked) return blockCount(shape[1]) * blockBytes(shape);
  return 4 * (shape.length < 2 ? elementCount(shape) : elementCount(shape.slice(1)));
}

/** Bytes of a tensor of that form. */
export const tensorBytes = (form: TensorForm): number => (form.shape.length < 2 ? 1 : form.shape[0]) * batchStrideOf(form);

/** A result in blocks wherever it can be. */
export const blockedByChannels = (_inputs: readonly TensorForm[], shape: Shape): boolean =>
  shape.length === 5 && shape[1] >= BLOCK;
/** A result in blocks if any input is: for operations that treat every element alike. */
export const anyBlocked = (inputs: readonly TensorForm[]): boolean => inputs.some(({ blocked }) => blocked);
export const alwaysPlain = (): boolean => false;

/** The tensor in the layout of another, a copy in scratch if need be. */
export const inLayoutOf = ({ blocked }: TensorForm, tensor: CpuTensor, emitter: Emitter): CpuTensor =>
  blocked ? emitter.toBlocked(tensor) : emitter.toPlain(tensor);

/** The tensor itself if its samples lie one after another, as own memory has them, else a copy in scratch. */
export function inOnePiece(tensor: CpuTensor, emitter: Emitter): CpuTensor {
  if (tensor.batchStrideBytes === batchStrideOf(tensor)) return tensor;
  const copy = emitter.scratchTensor(tensor.shape, tensor.blocked);
  emitter.emit('copySamples', { from: tensor, to: copy, offset: 0 });
  return copy;
}

/** Three tables of the rows' addresses in every channel: see channelRows in common.as.ts. */
export function needRowTables({ shape: [, channels] }: TensorForm, emitter: Emitter): void {
  emitter.threadScratch(3 * 4 * channels);
}

/** How many chunks a tensor has: see flat.as.ts. */
export const chunkCount = (form: TensorForm): number =>
  (form.shape.length < 2 ? 1 : form.shape[0]) * Math.ceil(batchStrideOf(form) / (4 * CHUNK_FLOATS));

/** Emits a sum: what `emitPartial` emits fills one double for each of `count` units, which are then added in order, divided by `divisor` and stored. */
export function emitSum(
  emitter: Emitter,
  count: number,
  out: CpuTensor,
  divisor: number,
  emitPartial: (partial: Place) => void,
): void {
  const partial = emitter.scratch(8 * count);
  emitPartial(partial);
  emitter.emitWhole('finishSum', { partial, count, out: out.data, divisor });
}
