/** What of teaching is kept for a reload: structures, strokes, all open images, the model, and what it was taught. */
import { z } from 'zod';
import type { ChannelFile } from '../../compute/open.ts';
import type { KeptHead } from '../../compute/teach.ts';
import { forgetWork, isOutOfRoom, keepWork, keptNames, keptWork } from '../../saved-work.ts';
import type { DrawnStructure } from './strokes.ts';

/** Each kept by itself: what changes seldom is not written anew with every stroke. */
const SESSION = 'teach session';
const MODEL = 'teach model';
const STROKES = 'teach strokes';
const IMAGE = 'teach image ';

const channelSchema = z.array(z.object({ label: z.string(), file: z.instanceof(Blob) })).min(1);
const sessionSchema = z.object({
  images: z.array(
    z.object({
      /** Of its files. */
      key: z.string(),
      title: z.string(),
      name: z.string(),
      role: z.enum(['first', 'second']).nullable(),
      isExample: z.boolean(),
      /** False: there was no room for its files. */
      isKept: z.boolean(),
    }),
  ),
});
/** Null: the example's. */
const modelSchema = z.object({ name: z.string(), config: z.string(), weights: z.instanceof(ArrayBuffer) }).nullable();
const strokesSchema = z.object({
  savedAt: z.date(),
  structures: z.array(z.object({ code: z.int().min(1).max(254), name: z.string() })),
  /** By the images' keys, on their own grids. */
  strokes: z.array(z.object({ key: z.string(), data: z.instanceof(Uint8Array) })),
  /** Null too for a head of an earlier version: strokes teach it anew. */
  taught: z
    .object({
      labels: z.array(z.object({ code: z.int(), name: z.string() })),
      parameters: z.array(z.object({ name: z.string(), shape: z.array(z.int().positive()), data: z.instanceof(Float32Array) })),
    })
    .nullable()
    .catch(null),
});

export type KeptSessionImage = z.infer<typeof sessionSchema>['images'][number];
export type KeptModel = z.infer<typeof modelSchema>;
export interface KeptStrokes {
  readonly savedAt: Date;
  readonly structures: readonly DrawnStructure[];
  readonly strokes: readonly { readonly key: string; readonly data: Uint8Array }[];
  readonly taught: KeptHead | null;
}
export interface KeptTeaching extends KeptStrokes {
  readonly model: KeptModel;
  readonly images: readonly KeptSessionImage[];
}

/**
 * Keeps the open images and the model; files that are kept already are not written again.
 * @param images in the order of their worth: where there is no room for all, the last ones are left out
 * @param filesOf gives an image's channels, compressed
 * @returns the images with whether they are kept
 * @throws DOMException, as `savingTrouble` explains, where not even the list has room
 */
export async function keepSession(
  images: readonly Omit<KeptSessionImage, 'isKept'>[],
  model: KeptModel,
  filesOf: (key: string) => Promise<readonly ChannelFile[]>,
): Promise<readonly KeptSessionImage[]> {
  const before = (await keptNames()).filter((name) => name.startsWith(IMAGE));
  const wanted = new Set(images.map(({ key }) => IMAGE + key));
  await forgetWork(...before.filter((name) => !wanted.has(name)));
  await keepWork(MODEL, model);
  const all: KeptSessionImage[] = [];
  for (const image of images) {
    const name = IMAGE + image.key;
    let isKept = before.includes(name);
    if (!isKept)
      try {
        await keepWork(name, await filesOf(image.key));
        isKept = true;
      } catch (error) {
        if (!isOutOfRoom(error)) throw error;
      }
    all.push({ ...image, isKept });
  }
  await keepWork(SESSION, { images: all });
  return all;
}

export const keepStrokes = (strokes: KeptStrokes): Promise<void> => keepWork(STROKES, strokes);
export const forgetKept = async (): Promise<void> => forgetWork(...(await keptNames()));

/** The channels of a kept image. @throws Error if they are gone */
export async function keptChannels({ key, title }: KeptSessionImage): Promise<readonly ChannelFile[]> {
  const channels = channelSchema.safeParse(await keptWork(IMAGE + key));
  if (!channels.success) throw new Error(`${title} is no longer in this browser's storage: open it again`);
  return channels.data;
}

/** Undefined if nothing is kept, or what is kept is another version's. */
export async function keptTeaching(): Promise<KeptTeaching | undefined> {
  const session = sessionSchema.safeParse(await keptWork(SESSION));
  const model = modelSchema.safeParse(await keptWork(MODEL));
  const strokes = strokesSchema.safeParse(await keptWork(STROKES));
  if (!session.success || !model.success || !strokes.success) return undefined;
  // a page that was closed while it kept its images has not kept all that it meant to
  const names = new Set(await keptNames());
  const images = session.data.images.map((image) => ({ ...image, isKept: image.isKept && names.has(IMAGE + image.key) }));
  return { images, model: model.data, ...strokes.data };
}
