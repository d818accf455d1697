/** Pictures as PNG. */
import { encode } from 'fast-png';
import type { Picture } from './picture.ts';

/** The picture as a PNG file's bytes; equal pictures give equal bytes. */
export const encodePng = ({ width, height, data }: Picture): Uint8Array => encode({ width, height, data, channels: 4, depth: 8 });
