/** Whether the work fits into memory, before it begins: a refusal with what would fit, instead of a crash hours later. */

import { RunError } from '../../common/errors.ts';
import { formatBytes } from '../../common/format-bytes.ts';
import type { Backend } from '../../engine/backend.ts';
import type { Zyx } from '../../geometry/volume.ts';
import { type AvailableMemory, availableBytes } from './limits.ts';

/** What there is for a session, and for it and the process beside it together. */
export interface Capacity {
  readonly session: AvailableMemory;
  /** Left out where a session has memory of its own. */
  readonly all?: AvailableMemory;
}

/** What sessions of a backend can have. A GPU's own memory is not known before it refuses. */
export const availableTo = ({ name, ownMemory = false }: Backend): AvailableMemory =>
  ownMemory ? { bytes: Number.MAX_SAFE_INTEGER, limit: 'GPU memory' } : availableBytes({ wasm32: name === 'cpu' });

/** The same with the process beside a session: the address space of WebAssembly limits sessions alone. */
export const capacityOf = (backend: Backend): Capacity => ({
  session: availableTo(backend),
  ...(!backend.ownMemory && { all: availableBytes() }),
});

/** What a session takes, and beside it the process, of what there is, in words. */
export const memoryText = (backend: Backend, sessionBytes: number, hostBytes: number): string =>
  backend.ownMemory
    ? `${formatBytes(sessionBytes)} on the GPU (GPU memory is checked on allocation)`
    : `${formatBytes(sessionBytes + hostBytes)} of ${formatBytes(availableBytes().bytes)}`;

/** What a training step would need. */
export interface MemoryRequest {
  readonly patch: Zyx;
  readonly width: number;
  readonly batch: number;
  /** Bytes of the session that makes a step with a patch, a width and a batch, and of the process beside it (default: none). */
  readonly neededBytes: (patch: Zyx, width: number, batch: number) => { readonly session: number; readonly beside?: number };
}

const WIDTHS = [1, 0.5, 0.25, 0.125];
/** The network pools four times, so that other sizes are padded to multiples of this anyway. */
const PATCH_STEP = 16;

const patchText = (patch: Zyx): string => (new Set(patch).size === 1 ? String(patch[0]) : patch.join(','));

/** Bytes of a step with a patch, a width and a batch. */
type BytesOf = (...of: Parameters<MemoryRequest['neededBytes']>) => number;

/** What is needed of the session's memory, and of all memory, and what there is of it. */
function needsOf(request: MemoryRequest, { session, all }: Capacity): { available: AvailableMemory; bytesOf: BytesOf }[] {
  const known = new Map<string, ReturnType<MemoryRequest['neededBytes']>>();
  // one tensor alone may be more than a device allows: that is refused when it is planned
  const needed: MemoryRequest['neededBytes'] = (...of) => {
    const name = of.join();
    try {
      const bytes = known.get(name) ?? request.neededBytes(...of);
      known.set(name, bytes);
      return bytes;
    } catch (error) {
      if (error instanceof RunError) return { session: Number.POSITIVE_INFINITY };
      throw error;
    }
  };
  const ofAll: BytesOf = (...of) => needed(...of).session + (needed(...of).beside ?? 0);
  return [
    { available: session, bytesOf: (...of) => needed(...of).session },
    ...(all ? [{ available: all, bytesOf: ofAll }] : []),
  ];
}

type Fits = (...of: Parameters<BytesOf>) => boolean;

/** The largest patch of the same proportions, in multiples of 16, that fits. */
function fittingPatch({ patch, width, batch }: MemoryRequest, fits: Fits): Zyx | undefined {
  const longest = Math.max(...patch);
  for (let side = Math.ceil(longest / PATCH_STEP) * PATCH_STEP - PATCH_STEP; side >= PATCH_STEP; side -= PATCH_STEP) {
    const scaled = patch.map((size) => Math.max(PATCH_STEP, Math.round((size * side) / longest / PATCH_STEP) * PATCH_STEP));
    const smaller: Zyx = [Math.min(scaled[0], patch[0]), Math.min(scaled[1], patch[1]), Math.min(scaled[2], patch[2])];
    if (fits(smaller, width, batch)) return smaller;
  }
  return undefined;
}

/**
 * Nothing if the request fits.
 * @param sizeOption how the caller names the patch
 * @throws RunError that says what is needed, what there is and why, and which single change of patch, batch or width would fit
 */
export function requireMemory(request: MemoryRequest, capacity: Capacity, sizeOption: 'patch' | 'size' = 'patch'): void {
  const { patch, width, batch } = request;
  const needs = needsOf(request, capacity);
  const lacking = needs.find(({ bytesOf, available }) => bytesOf(patch, width, batch) > available.bytes);
  if (!lacking) return;
  const { bytesOf, available } = lacking;
  const fits: Fits = (...of) => needs.every((need) => need.bytesOf(...of) <= need.available.bytes);
  const needed = bytesOf(patch, width, batch);
  const tried = `${sizeOption} ${patchText(patch)}, batch ${batch} and width ${width}`;
  const reason = Number.isFinite(needed)
    ? `not enough memory: ${tried} need ${formatBytes(needed)}; available: ${formatBytes(available.bytes)} (${available.limit})`
    : `not enough memory: ${tried} have a tensor larger than the device allows`;
  const changes: string[] = [];
  const offer = (option: string, bytes: number): void => void changes.push(`${option} (${formatBytes(bytes)})`);
  const smaller = fittingPatch(request, fits);
  if (smaller) offer(`\`${sizeOption}\` ${patchText(smaller)}`, bytesOf(smaller, width, batch));
  const fewer = Array.from({ length: batch - 1 }, (_, i) => batch - 1 - i).find((n) => fits(patch, width, n));
  if (fewer !== undefined) offer(`\`batch\` ${fewer}`, bytesOf(patch, width, fewer));
  const narrower = WIDTHS.find((w) => w < width && fits(patch, w, batch));
  if (narrower !== undefined) offer(`\`width\` ${narrower}`, bytesOf(patch, narrower, batch));
  const least = Math.min(...WIDTHS);
  const advice =
    changes.length > 0
      ? `These would fit: ${changes.join(', or ')}`
      : `No single change is enough: combine several (\`${sizeOption}\` ${PATCH_STEP} \`batch\` 1 \`width\` ${least} needs ${formatBytes(
          bytesOf([PATCH_STEP, PATCH_STEP, PATCH_STEP], least, 1),
        )}), or free memory`;
  throw new RunError(`${reason}. ${advice}`);
}
