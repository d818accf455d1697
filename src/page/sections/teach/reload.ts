/** No lost work: what was drawn and taught is kept for a reload from the first stroke on, and offered again after it. What is kept: kept.ts. */
import { voxelCount } from '../../../geometry/volume.ts';
import { button, element, input, say } from '../../dom.ts';
import { gzipped } from '../../download.ts';
import { savingTrouble } from '../../saved-work.ts';
import type { OpenImage, Role, Workspace } from '../../workspace.ts';
import { forgetKept, type KeptTeaching, keepSession, keepStrokes, keptChannels, keptTeaching } from './kept.ts';
import { Strokes } from './strokes.ts';

/** How long after a stroke it is kept. */
const KEEP_AFTER_MS = 400;

/** What is kept, and where it goes when it is wanted again. */
export interface Drawn {
  readonly strokes: Strokes;
  /** Takes strokes of before, and shows them. */
  restore(strokes: Strokes): Promise<void>;
  /** What was restored may be kept and learnt from. */
  restored(): void;
}

/** Two tabs would keep their work under the same names: the tab that was there first keeps its own, and the next one after it. */
export class Reload {
  private readonly workspace: Workspace;
  private readonly drawn: Drawn;
  private owns = navigator.locks === undefined;
  /** Whether work of before may still be wanted, so that nothing is kept in its place. */
  private undecided = false;
  /** Whether images or the model have changed since they were kept. */
  private keepSessionToo = true;
  private timer: ReturnType<typeof setTimeout> | undefined;
  private keeping = Promise.resolve();
  /** Under what an image is kept: ids begin anew with the page. */
  private readonly keys = new Map<number, string>();

  constructor(workspace: Workspace, drawn: Drawn) {
    this.workspace = workspace;
    this.drawn = drawn;
  }

  /** Offers what was kept, as soon as no other tab keeps its work. */
  begin(): void {
    if (this.owns) void this.offer();
    navigator.locks
      ?.request('gvsl: kept work', async () => {
        if (!this.owns) say('teach-saving', '');
        this.owns = true;
        await this.offer();
        this.keep();
        // until the tab is closed
        await new Promise(() => {});
      })
      // refused, as the storage is then, whose trouble is said when something is to be kept
      .catch(() => {
        this.owns = true;
      });
  }

  /** Keeps soon what is drawn now. */
  keep(): void {
    clearTimeout(this.timer);
    if (this.undecided) return;
    // one after the other: an older keeping that ended later would take the newer one's place
    this.timer = setTimeout(() => {
      this.keeping = this.keeping.then(() => this.keepNow());
    }, KEEP_AFTER_MS);
  }

  /** The same, and what is open. */
  keepAll(): void {
    this.keepSessionToo = true;
    this.keep();
  }

  private keyOf({ id }: OpenImage): string {
    const key = this.keys.get(id) ?? `${Date.now()}-${id}`;
    this.keys.set(id, key);
    return key;
  }

  private async keepNow(): Promise<void> {
    const { strokes } = this.drawn;
    const { compute, images: all, model } = this.workspace;
    if (this.undecided || !model || !(strokes.canUndo || strokes.canRedo || strokes.drawn.length > 0)) return;
    if (!this.owns) {
      say('teach-saving', 'Another tab with this page keeps its work: what is drawn here is not kept for a reload.');
      return;
    }
    try {
      if (this.keepSessionToo) {
        this.keepSessionToo = false;
        await this.keepImages(all, model.isExample ? null : await compute.openModelFiles());
      }
      await keepStrokes({
        savedAt: new Date(),
        structures: strokes.structures,
        strokes: this.workspace.images.flatMap((image) => {
          const data = strokes.of(image.id);
          return data ? [{ key: this.keyOf(image), data }] : [];
        }),
        taught: await compute.taughtHead(),
      });
    } catch (error) {
      this.keepSessionToo = true;
      // closed meanwhile: those that are left are kept next
      if (all.some((image) => !this.workspace.images.includes(image))) this.keep();
      else say('teach-saving', savingTrouble(error), true);
    }
  }

  private async keepImages(all: readonly OpenImage[], model: KeptTeaching['model']): Promise<void> {
    const { compute, first, second } = this.workspace;
    const { strokes } = this.drawn;
    const roleOf = (image: OpenImage): Role | null => (image === first ? 'first' : image === second ? 'second' : null);
    const worth = (image: OpenImage): number => Number(strokes.of(image.id) !== undefined) * 2 + Number(roleOf(image) !== null);
    const images = [...all].sort((a, b) => worth(b) - worth(a));
    const kept = await keepSession(
      images.map((image) => ({
        key: this.keyOf(image),
        title: image.title,
        name: image.name,
        role: roleOf(image),
        isExample: image.isExample,
      })),
      model,
      async (key) => {
        const image = images.find((one) => this.keyOf(one) === key)!;
        const files = await compute.channelFiles(image.id);
        return Promise.all(
          files.map(async ({ label, file }) => ({
            label,
            file: new Blob([await gzipped(new Uint8Array(await file.arrayBuffer()))]),
          })),
        );
      },
    );
    const left = kept.filter(({ isKept }) => !isKept).map(({ title }) => title);
    if (left.length > 0)
      say(
        'teach-saving',
        `This browser has no room left to keep these images for a reload: ${left.join(', ')}. Their strokes are kept.`,
        true,
      );
  }

  private async offer(): Promise<void> {
    const kept = await keptTeaching();
    if (!kept) return;
    this.undecided = true;
    const drawn = kept.strokes.filter(({ data }) => data.some((code) => code !== 0)).length;
    const left = kept.images.filter(({ isKept }) => !isKept).map(({ title }) => title);
    say(
      'teach-kept-text',
      [
        `Of ${kept.savedAt.toLocaleString()}: ${kept.structures.map(({ name }) => name).join(', ')}; strokes on ${drawn} of ${kept.images.length} images.`,
        ...(left.length > 0
          ? [`Too large to be kept: ${left.join(', ')}. Open them before you continue: strokes are kept.`]
          : []),
        'What you draw now gives way to it if you continue, and is kept if you discard it.',
      ].join(' '),
    );
    element('teach-kept').hidden = false;
    button('teach-discard').onclick = async () => {
      await forgetKept();
      this.decided();
      this.keepAll();
      input('teach-auto').focus();
    };
    button('teach-continue').onclick = () =>
      this.workspace.alone(async () => {
        try {
          const lost = await this.continue(kept);
          say(
            'teach-saving',
            lost.length > 0 ? `Continued without the strokes on ${lost.join(', ')}.` : 'Continued.',
            lost.length > 0,
          );
        } catch (error) {
          say('teach-kept-text', `It cannot be continued: ${(error as Error).message}`, true);
        }
      });
  }

  private decided(): void {
    this.undecided = false;
    element('teach-kept').hidden = true;
  }

  /** @returns titles of images whose strokes could not be restored */
  private async continue(kept: KeptTeaching): Promise<string[]> {
    const { workspace } = this;
    if (!kept.model && !workspace.model?.isExample) throw new Error('open the example first: this work was of its model');
    const images = kept.images.filter(({ isKept }) => isKept);
    const files = [];
    for (const image of images) files.push({ ...image, channels: await keptChannels(image) });
    if (kept.model) await workspace.openModel(kept.model);
    // those that were opened again by hand, each once
    const taken = new Set<OpenImage>();
    const byKey = new Map(
      kept.images.flatMap(({ key, title, isKept }) => {
        const again = isKept ? undefined : workspace.images.find((image) => image.title === title && !taken.has(image));
        if (!again) return [];
        taken.add(again);
        return [[key, again] as const];
      }),
    );
    for (const [k, image] of (await workspace.restoreImages(files)).entries()) byKey.set(images[k].key, image);
    for (const [key, { id }] of byKey) this.keys.set(id, key);
    const strokes = new Strokes(kept.structures);
    const lost: string[] = [];
    for (const { key, data } of kept.strokes) {
      const image = byKey.get(key);
      if (image && data.length === voxelCount(image.geometry.size)) strokes.take(image.id, data);
      else lost.push(kept.images.find((one) => one.key === key)?.title ?? 'an image');
    }
    if (kept.taught) await workspace.compute.useTaught(kept.taught, workspace.backend);
    await this.drawn.restore(strokes);
    this.decided();
    this.drawn.restored();
    return lost;
  }
}
