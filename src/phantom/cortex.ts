/**
 * The folded cortex: a smooth hull with sulci cut into it.
 *
 * The sheets on which a random wave field is zero wind through the hull as sulci do through a hemisphere. Evaluated at the point drawn out
 * onto the hull, the sheets stand upright on the surface; each is cut to a changing depth. What is left is grey matter of even thickness
 * round a core of white matter, because both are insets of one and the same distance.
 */
import type { Xyz } from '../geometry/volume.ts';
import type { Shape } from './shapes.ts';
import { sheetDistance, type Waves, waveAt } from './waves.ts';

export interface Folding {
  /** From where the sheets radiate, and the radii of the surface onto which points are drawn. */
  readonly centre: Xyz;
  readonly radiiMm: Xyz;
  /** Folds; their wavelengths are about twice the distance between sulci. */
  readonly folds: Waves;
  /** Bends the folds and changes their depth. */
  readonly bends: Waves;
  readonly depthMm: number;
  /** Half the width of a sulcus. */
  readonly openMm: number;
  /** Where there are no sulci. */
  readonly core?: Shape;
}

/** The hull with sulci cut in. */
export function folded(hull: Shape, { centre, radiiMm, folds, bends, depthMm, openMm, core }: Folding): Shape {
  return {
    box: hull.box,
    distance: (x, y, z) => {
      const surface = hull.distance(x, y, z);
      // Outside, and deeper than any sulcus with its cortex, the folds do not matter.
      if (surface > 2 || surface < -1.7 * depthMm - 8) return surface;
      const px = x - centre[0];
      const py = y - centre[1];
      const pz = z - centre[2];
      const reach = Math.max(0.25, Math.hypot(px / radiiMm[0], py / radiiMm[1], pz / radiiMm[2]));
      const drawn = reach ** -0.5;
      const bend = waveAt(bends, x, y, z);
      const wander = 4 * bend;
      const sheet =
        sheetDistance(folds, centre[0] + px * drawn + wander, centre[1] + py * drawn - wander, centre[2] + pz * drawn) / drawn;
      const depth = depthMm * (1 + 0.3 * bend);
      // The sulcus narrows with depth.
      const sulcus = Math.max(sheet - openMm * (1 + (0.6 * surface) / depth), -surface - depth);
      return Math.max(surface, core === undefined ? -sulcus : -Math.max(sulcus, -core.distance(x, y, z)));
    },
  };
}
