/** What of teaching is kept for a reload: structures, strokes, the images that they are on, the model, and what it was taught. */
import { z } from 'zod';
import type { KeptHead } from '../../compute/teach.ts';
import { forgetWork, keepWork, keptWork } from '../../saved-work.ts';
import type { DrawnStructure } from './strokes.ts';

/** Kept by itself, since it changes seldom: the images, and the model. */
const FILES = 'teach files';
const STROKES = 'teach strokes';

const modelFiles = z.object({ name: z.string(), config: z.string(), weights: z.instanceof(ArrayBuffer) });
const filesSchema = z.object({
  /** Null: the example's. */
  model: modelFiles.nullable(),
  images: z.array(
    z.object({ name: z.string(), role: z.enum(['first', 'second']), isExample: z.boolean(), file: z.instanceof(Blob) }),
  ),
});
const strokesSchema = z.object({
  savedAt: z.date(),
  structures: z.array(z.object({ code: z.int().min(1).max(254), name: z.string() })),
  /** Of each of the images: its strokes on its own grid, or null. */
  strokes: z.array(z.instanceof(Uint8Array).nullable()),
  taught: z
    .object({
      labels: z.array(z.object({ code: z.int(), name: z.string() })),
      weight: z.instanceof(Float32Array),
      bias: z.instanceof(Float32Array),
    })
    .nullable(),
});

export type KeptFiles = z.infer<typeof filesSchema>;
export interface KeptStrokes {
  readonly savedAt: Date;
  readonly structures: readonly DrawnStructure[];
  readonly strokes: readonly (Uint8Array | null)[];
  readonly taught: KeptHead | null;
}

export const keepFiles = (files: KeptFiles): Promise<void> => keepWork(FILES, files);
export const keepStrokes = (strokes: KeptStrokes): Promise<void> => keepWork(STROKES, strokes);
export const forgetKept = (): Promise<void> => forgetWork(FILES, STROKES);

/** Undefined if nothing is kept, or what is kept is another version's. */
export async function keptTeaching(): Promise<(KeptFiles & KeptStrokes) | undefined> {
  const files = filesSchema.safeParse(await keptWork(FILES));
  const strokes = strokesSchema.safeParse(await keptWork(STROKES));
  if (!files.success || !strokes.success) return undefined;
  return { ...files.data, ...strokes.data };
}
