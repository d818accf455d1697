/** How images are made ready for a network, and what their intensities became. */
import type { Xyz } from '../geometry/volume.ts';

/** How stored intensities come from the file's: (value - low) / (high - low), clipped to [0, 1]. */
export interface IntensityWindow {
  readonly kind: 'hounsfield' | 'minmax' | 'percentile';
  readonly low: number;
  readonly high: number;
}

/** What `gvsl prepare` is told; a model keeps it for the images that it will meet. */
export interface PrepareOptions {
  readonly modality: 'ct' | 'mr';
  readonly spacingMm: Xyz;
  /** Every subject cropped or padded to this many voxels (x, y, z) about its centre; null keeps each one's own size. */
  readonly size: Xyz | null;
  readonly crop: 'foreground' | 'none';
  readonly intensity: 'minmax' | 'percentile';
}
