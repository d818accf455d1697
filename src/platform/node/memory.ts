/** Whether the work fits into memory, before it begins: a refusal with what would fit, instead of a crash hours later. */

import { RunError } from '../../common/errors.ts';
import { formatBytes } from '../../common/format-bytes.ts';
import type { Backend } from '../../engine/backend.ts';
import type { Zyx } from '../../geometry/volume.ts';
import { type AvailableMemory, availableBytes } from './limits.ts';

/** What sessions of a backend can have. A GPU's own memory is not known before it refuses. */
export const availableTo = ({ name, ownMemory = false }: Backend): AvailableMemory =>
  ownMemory ? { bytes: Number.MAX_SAFE_INTEGER, limit: 'GPU memory' } : availableBytes({ wasm32: name === 'cpu' });

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
  /** Bytes that a step needs with a patch, a width and a batch. */
  readonly neededBytes: (patch: Zyx, width: number, batch: number) => number;
}

const WIDTHS = [1, 0.5, 0.25, 0.125];
/** The network pools four times, so that other sizes are padded to multiples of this anyway. */
const PATCH_STEP = 16;

const patchText = (patch: Zyx): string => (new Set(patch).size === 1 ? String(patch[0]) : patch.join(','));

/** The largest patch of the same proportions, in multiples of 16, that fits. */
function fittingPatch({ patch, width, batch, neededBytes }: MemoryRequest, available: number): Zyx | undefined {
  const longest = Math.max(...patch);
  for (let side = Math.ceil(longest / PATCH_STEP) * PATCH_STEP - PATCH_STEP; side >= PATCH_STEP; side -= PATCH_STEP) {
    const scaled = patch.map((size) => Math.max(PATCH_STEP, Math.round((size * side) / longest / PATCH_STEP) * PATCH_STEP));
    const smaller: Zyx = [Math.min(scaled[0], patch[0]), Math.min(scaled[1], patch[1]), Math.min(scaled[2], patch[2])];
    if (neededBytes(smaller, width, batch) <= available) return smaller;
  }
  return undefined;
}

/**
 * Nothing if the request fits.
 * @param sizeOption how the caller names the patch
 * @throws RunError that says what is needed, what there is and why, and which single change of patch, batch or width would fit
 */
export function requireMemory(request: MemoryRequest, available: AvailableMemory, sizeOption: 'patch' | 'size' = 'patch'): void {
  const { patch, width, batch } = request;
  // one tensor alone may be more than a device allows: that is refused when it is planned
  const neededBytes: MemoryRequest['neededBytes'] = (...of) => {
    try {
      return request.neededBytes(...of);
    } catch (error) {
      if (error instanceof RunError) return Number.POSITIVE_INFINITY;
      throw error;
    }
  };
  const needed = neededBytes(patch, width, batch);
  if (needed <= available.bytes) return;
  const tried = `${sizeOption} ${patchText(patch)}, batch ${batch} and width ${width}`;
  const reason = Number.isFinite(needed)
    ? `not enough memory: ${tried} need ${formatBytes(needed)}; available: ${formatBytes(available.bytes)} (${available.limit})`
    : `not enough memory: ${tried} have a tensor larger than the device allows`;
  const changes: string[] = [];
  const offer = (option: string, bytes: number): void => void changes.push(`${option} (${formatBytes(bytes)})`);
  const smaller = fittingPatch({ ...request, neededBytes }, available.bytes);
  if (smaller) offer(`\`${sizeOption}\` ${patchText(smaller)}`, neededBytes(smaller, width, batch));
  const fewer = Array.from({ length: batch - 1 }, (_, i) => batch - 1 - i).find(
    (n) => neededBytes(patch, width, n) <= available.bytes,
  );
  if (fewer !== undefined) offer(`\`batch\` ${fewer}`, neededBytes(patch, width, fewer));
  const narrower = WIDTHS.find((w) => w < width && neededBytes(patch, w, batch) <= available.bytes);
  if (narrower !== undefined) offer(`\`width\` ${narrower}`, neededBytes(patch, narrower, batch));
  const least = Math.min(...WIDTHS);
  const advice =
    changes.length > 0
      ? `These would fit: ${changes.join(', or ')}`
      : `No single change is enough: combine several (\`${sizeOption}\` ${PATCH_STEP} \`batch\` 1 \`width\` ${least} needs ${formatBytes(
          neededBytes([PATCH_STEP, PATCH_STEP, PATCH_STEP], least, 1),
        )}), or free memory`;
  throw new RunError(`${reason}. ${advice}`);
}
