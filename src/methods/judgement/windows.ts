/** Which windows of a volume a probe looks at: the middle two patches along each axis, all of the volume where it is no larger. */
import { perAxis, type Zyx } from '../../geometry/volume.ts';

export interface Windows {
  /** First voxel of each window; negative where the volume is smaller than a window, and lies in its middle. */
  readonly starts: readonly Zyx[];
  /** The part of the volume that they cover together. */
  readonly region: { readonly start: Zyx; readonly size: Zyx };
}

function startsAlong(size: number, side: number): readonly number[] {
  if (size <= side) return [0 - Math.floor((side - size) / 2)];
  if (size <= 2 * side) return [0, size - side];
  return [(size >> 1) - side, size >> 1];
}

const windowsOf = (size: Zyx, patch: Zyx, along: readonly (readonly number[])[]): Windows => {
  const starts = along[0].flatMap((z) => along[1].flatMap((y) => along[2].map((x): Zyx => [z, y, x])));
  const start = perAxis(size, (_, axis) => Math.max(0, along[axis][0]));
  const end = perAxis(size, (side, axis) => Math.min(side, along[axis].at(-1)! + patch[axis]));
  return { starts, region: { start, size: perAxis(size, (_, axis) => end[axis] - start[axis]) } };
};

/** Windows that cover a volume, the last of each axis at its end. */
export function allWindows(size: Zyx, patch: Zyx): Windows {
  const along = perAxis(size, (side, axis) =>
    side <= 2 * patch[axis]
      ? startsAlong(side, patch[axis])
      : [...Array(Math.ceil(side / patch[axis])).keys()].map((k) => Math.min(k * patch[axis], side - patch[axis])),
  );
  return windowsOf(size, patch, along);
}

/** @param size of the volume, and `patch` of a window, (z, y, x) */
export function middleWindows(size: Zyx, patch: Zyx): Windows {
  return windowsOf(
    size,
    patch,
    perAxis(size, (side, axis) => startsAlong(side, patch[axis])),
  );
}
