/**
 * Learning from strokes, one learning at a time: each stroke asks for a new one, and the newest counts. What is closed meanwhile is nobody's error: the
 * learning goes on with what is left, or ends and says so.
 */
import * as Comlink from 'comlink';
import { formatBytes } from '../../../common/format-bytes.ts';
import type { BackendName } from '../../../platform/browser/backends.ts';
import { Activity } from '../../activity.ts';
import type { OpenImage, Workspace } from '../../workspace.ts';
import type { Strokes } from './strokes.ts';

/** Of label maps: the codes of structures, and 0. */
const BACKGROUND_LABEL = { code: 0, name: 'background' };

type TaughtMap = Awaited<ReturnType<Workspace['compute']['teachSegment']>>;

/** What is learnt from, and who hears of it. */
export interface Lesson {
  readonly strokes: Strokes;
  /** The image that is segmented before the others. */
  readonly first: OpenImage | undefined;
  /** What is missing before anything can be learnt, in words. */
  lacking(): string | null;
  /** An image has a new label map. */
  segmented(image: OpenImage, map: TaughtMap): void;
  /** All images have. */
  learnt(): void;
}

export class Learning {
  private readonly workspace: Workspace;
  private readonly lesson: Lesson;
  private readonly activity: Activity;
  /** Counts what was asked for, and which of it was begun. */
  private wanted = 0;
  private begun = 0;
  private running = false;
  private unfinished = false;
  /** The image whose features are computed: they are not begun anew for a newer stroke, since they are the same. */
  private atFeatures: OpenImage | undefined;
  /** Images that were closed while the learning under way used them. */
  private readonly closed = new Set<string>();
  /** Why the learning under way ends before its time; empty where it was not ended, or not by what was closed. */
  private endedBy = '';

  constructor(workspace: Workspace, section: HTMLElement, lesson: Lesson) {
    this.workspace = workspace;
    this.lesson = lesson;
    this.activity = new Activity(section, () => {
      this.wanted = this.begun;
      void workspace.compute.stopTeaching();
    });
  }

  /** Asks for a learning of all strokes; one that is under way is ended. */
  ask(): void {
    const lacks = this.lesson.lacking();
    if (lacks) {
      this.activity.say(lacks);
      return;
    }
    this.wanted++;
    if (!this.running) void this.keepLearning();
    else if (!this.atFeatures || !this.workspace.images.includes(this.atFeatures)) void this.workspace.compute.stopTeaching();
  }

  /** Begins what was asked for while other work was under way. */
  goOn(): void {
    if (!this.workspace.busy && this.begun < this.wanted && !this.running) void this.keepLearning();
  }

  /** What is open has changed. @param gone what was closed */
  opened(gone: readonly OpenImage[], isOtherModel: boolean): void {
    this.activity.say(this.endText());
    // it may have noticed by itself, and ended
    if (!this.unfinished || (gone.length === 0 && !isOtherModel)) return;
    for (const { title } of gone) this.closed.add(title);
    if (!isOtherModel && !this.lesson.lacking()) {
      this.ask();
      return;
    }
    const what = isOtherModel ? 'Another model was opened' : `Closed: ${[...this.closed].join(', ')}`;
    this.endedBy = `${what}; what was being learnt has ended.`;
    this.unfinished = false;
    if (!this.running) {
      this.closed.clear();
      this.activity.say(this.endText());
      return;
    }
    // newer than what is under way, and not to begin
    this.begun = ++this.wanted;
    void this.workspace.compute.stopTeaching();
  }

  /** Why nothing is learnt any more, and what to do; empty if nothing was ended. */
  private endText(): string {
    return this.endedBy && `${this.endedBy} ${this.lesson.lacking() ?? 'Draw, or press Learn, to go on.'}`;
  }

  private async keepLearning(): Promise<void> {
    this.running = true;
    try {
      while (this.begun < this.wanted && !this.workspace.busy) {
        this.begun = this.wanted;
        this.endedBy = '';
        await this.activity.run('learning ...', () => this.learnOnce());
      }
      if (this.endedBy) this.activity.say(this.endText());
    } finally {
      [this.running, this.atFeatures] = [false, undefined];
      if (this.begun === this.wanted) this.closed.clear();
    }
  }

  /** Learns, and segments all images. @returns what was done; empty if a newer learning is wanted, or none any more */
  private async learnOnce(): Promise<string> {
    const { workspace } = this;
    const mine = this.begun;
    const { backend, images, model } = workspace;
    const isGone = (): boolean => workspace.model !== model || images.some((image) => !workspace.images.includes(image));
    const isOld = (): boolean => this.wanted !== mine || isGone();
    this.unfinished = true;
    try {
      return await this.learnFrom(images, backend, isOld, isGone);
    } catch (error) {
      // the worker knows no more of what was closed
      if (isGone()) return '';
      throw error;
    } finally {
      // what was closed is told after it is gone
      this.unfinished = isGone() && this.wanted === mine;
    }
  }

  /** @param isOld whether a newer learning is wanted @param isGone whether something that this one needs was closed */
  private async learnFrom(
    images: readonly OpenImage[],
    backend: BackendName,
    isOld: () => boolean,
    isGone: () => boolean,
  ): Promise<string> {
    const { activity, closed, lesson } = this;
    const { compute } = this.workspace;
    const { strokes, first } = lesson;
    const drawn = strokes.drawn.filter(([id]) => images.some((image) => image.id === id));
    const order = [...images].sort((a, b) => Number(b === first) - Number(a === first));
    const notes = new Set<string>();
    const featuresOf = async (ids: readonly number[]): Promise<void> => {
      for (const id of await compute.untaught(ids, backend)) {
        if (isOld()) break;
        const image = images.find((one) => one.id === id)!;
        const { title, warnings: said } = image;
        this.atFeatures = image;
        const { notKept, warnings } = await compute.teachFeatures(
          id,
          backend,
          Comlink.proxy((done: number, of: number, bytes: number) =>
            done === 0
              ? activity.say(`features of ${title}: ${of} windows, ${formatBytes(bytes)} of memory`)
              : activity.advance(done, of, `features of ${title}: ${done} of ${of} windows`),
          ),
        );
        if (notKept > 0)
          notes.add(`${title}: the features of ${notKept} windows do not fit into the page's memory; it takes longer`);
        for (const warning of warnings) if (!said.includes(warning)) notes.add(`${title}: ${warning}`);
      }
      this.atFeatures = undefined;
    };
    await featuresOf(drawn.map(([id]) => id));
    if (isOld()) return '';
    const { ms } = await compute.teach(
      drawn.map(([image, data]) => ({ image, data })),
      [BACKGROUND_LABEL, ...strokes.structures],
    );
    let segmentedMs = 0;
    for (const image of order) {
      if (isOld()) return '';
      await featuresOf([image.id]);
      if (isOld()) return '';
      activity.say(`segmenting ${image.title} ...`);
      const map = await compute.teachSegment(image.id);
      if (isGone()) return '';
      segmentedMs += map.ms;
      lesson.segmented(image, map);
    }
    lesson.learnt();
    const many = order.length > 1 ? `${order.length} images` : 'the image';
    return [
      `learnt in ${(ms / 1000).toFixed(1)} s, segmented ${many} in ${(segmentedMs / 1000).toFixed(1)} s`,
      ...(closed.size > 0 ? [`closed meanwhile, and left out: ${[...closed].join(', ')}`] : []),
      ...notes,
    ].join('; ');
  }
}
