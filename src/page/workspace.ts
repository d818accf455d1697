/**
 * What the sections of the page share: the model and the images that are open, which of them are meant, and whether something computes.
 *
 * A section is a folder of `sections/`: its markup, and a function that puts it on the page and is given the workspace. Sections know the
 * workspace, and not each other.
 */
import * as Comlink from 'comlink';
import type { ModelFiles } from '../apply/network.ts';
import type { BackendName } from '../platform/browser/backends.ts';
import { nothingToOpen } from './chosen-files.ts';
import type { FoundImage, ImageSummary, KeptImage, ModelSummary, SeveralVolumes } from './compute/open.ts';
import type { ComputeApi } from './compute/worker.ts';
import { resultName } from './image-names.ts';

/** What the page brings along, or the user's own. */
interface Origin {
  readonly isExample: boolean;
}

export interface OpenModel extends ModelSummary, Origin {
  /** Of its folder. */
  readonly name: string;
}

export interface OpenImage extends ImageSummary, Origin {}

/** An image that was found, and of a file of several volumes the chosen one, from 0. */
export interface WantedImage extends FoundImage {
  readonly volume?: number;
}
/** A file of several volumes, of which one must be chosen. */
export interface UndecidedImage extends FoundImage, SeveralVolumes {}

/** The image that is looked at, and the one that is registered to it or compared with it. */
export type Role = 'first' | 'second';

/** What of the workspace has changed. */
export type Change = 'model' | 'images' | 'busy';

export class Workspace {
  /** The worker: everything that computes. */
  readonly compute: Comlink.Remote<ComputeApi>;
  private readonly chosenBackend: () => BackendName;
  private readonly listeners: ((change: Change) => void | Promise<void>)[] = [];
  private currentModel: OpenModel | undefined;
  private opened: readonly OpenImage[] = [];
  private readonly roles = new Map<Role, OpenImage>();
  /** Works that run or wait for those before them. */
  private works = 0;
  private last: Promise<void> = Promise.resolve();

  /** @param backend what the user chose to compute on */
  constructor(worker: Worker, backend: () => BackendName) {
    this.compute = Comlink.wrap<ComputeApi>(worker);
    this.chosenBackend = backend;
  }

  get backend(): BackendName {
    return this.chosenBackend();
  }
  get model(): OpenModel | undefined {
    return this.currentModel;
  }
  get images(): readonly OpenImage[] {
    return this.opened;
  }
  get first(): OpenImage | undefined {
    return this.roles.get('first');
  }
  get second(): OpenImage | undefined {
    return this.roles.get('second');
  }
  /** What the results of an image are named after, beside the others that are open now. */
  resultNameOf(image: OpenImage): string {
    return resultName(image, this.opened);
  }
  get busy(): boolean {
    return this.works > 0;
  }

  /** Listeners are told of every change; what made it waits for them. */
  onChange(listener: (change: Change) => void | Promise<void>): void {
    this.listeners.push(listener);
  }
  private async changed(change: Change): Promise<void> {
    await Promise.all(this.listeners.map((listener) => listener(change)));
  }

  /**
   * One work at a time, in the order of asking; a work must not ask for another one. Meanwhile every fieldset of the page rests. Afterwards the
   * control that was used has the keyboard again.
   */
  alone(work: () => Promise<void>): Promise<void> {
    const used = document.activeElement;
    const run = async (): Promise<void> => {
      try {
        await work();
      } finally {
        this.works--;
        await this.rest();
      }
      if (used instanceof HTMLElement && document.activeElement === document.body) used.focus();
    };
    this.works++;
    const begun = this.rest();
    const done = this.last.then(() => begun).then(run);
    this.last = done.catch(() => {});
    return done;
  }
  private rest(): Promise<void> {
    for (const fields of document.querySelectorAll('fieldset')) fields.disabled = this.busy;
    return this.changed('busy');
  }

  /** @throws Error that says what is wrong with it; then no model is open */
  async openModel(files: ModelFiles, isExample = false): Promise<OpenModel> {
    this.currentModel = undefined;
    await this.changed('model');
    const model = { ...(await this.compute.openModel(files)), name: files.name, isExample };
    this.currentModel = model;
    await this.changed('model');
    return model;
  }

  /**
   * Opens images that were found. Those of the example go, unless these are the example's: a scan of one's own and a synthetic patient are no
   * pair. The first that opens is the first image from then on; the second image is the next one, or if there is none that which was the first.
   * @param onOne told of each before it is read
   * @returns the images, what is wrong with those that did not open, and those of several volumes, which did not open either
   */
  async openFound(
    found: readonly WantedImage[],
    isExample = false,
    onOne: (count: number, title: string) => void = () => {},
  ): Promise<{
    readonly opened: readonly OpenImage[];
    readonly failed: readonly string[];
    readonly undecided: readonly UndecidedImage[];
  }> {
    const opened: OpenImage[] = [];
    const failed: string[] = [];
    const undecided: UndecidedImage[] = [];
    for (const [k, one] of found.entries()) {
      onOne(k + 1, one.title);
      try {
        const image = await this.compute.openImage(one.key, one.volume);
        if ('volumes' in image) undecided.push({ ...one, ...image });
        else opened.push({ ...image, isExample });
      } catch (error) {
        failed.push((error as Error).message);
      }
    }
    // the example takes the place of everything
    const gone = this.opened.filter((image) => isExample || image.isExample);
    if (opened.length > 0) await this.taken(opened, gone);
    return { opened, failed, undecided };
  }

  /** Takes images into the list in the place of others, and gives them their roles. */
  private async taken(images: readonly OpenImage[], gone: readonly OpenImage[]): Promise<void> {
    for (const image of gone) await this.forget(image);
    const before = this.first;
    this.opened = [...this.opened, ...images];
    this.roles.set('first', images[0]);
    const next = images[1] ?? this.second ?? before;
    if (next && next !== images[0]) this.roles.set('second', next);
    await this.changed('images');
  }

  /**
   * Opens one file in a role; of the example's images that of its name goes, and for a file of one's own all of them.
   * @throws Error that says what is wrong with it
   */
  async openImage(role: Role, file: File, isExample = false): Promise<OpenImage> {
    const { images, refused, passedOver } = await this.compute.findImages([{ path: file.name, file }]);
    if (images.length === 0) throw new Error(refused[0] ?? passedOver[0] ?? nothingToOpen([file.name], []));
    const opened = await this.compute.openImage(images[0].key);
    if ('volumes' in opened) throw new Error(`${file.name}: it holds ${opened.volumes} volumes, expected one`);
    const image = { ...opened, isExample };
    const gone = this.opened.filter((other) => other.isExample && (!isExample || other.name === image.name));
    for (const other of gone) await this.forget(other);
    this.opened = [...this.opened, image];
    this.roles.set(role, image);
    await this.changed('images');
    return image;
  }

  /**
   * Opens images that were open before, in the roles that they had; the example's that are open go.
   * @throws Error that says what is wrong with one of them; then nothing has changed
   */
  async restoreImages(kept: readonly (KeptImage & Origin & { readonly role: Role | null })[]): Promise<readonly OpenImage[]> {
    const restored: OpenImage[] = [];
    for (const one of kept) restored.push({ ...(await this.compute.restoreImage(one)), isExample: one.isExample });
    for (const image of this.opened.filter(({ isExample }) => isExample)) await this.forget(image);
    this.opened = [...this.opened, ...restored];
    for (const [k, { role }] of kept.entries()) if (role) this.roles.set(role, restored[k]);
    this.keepFirst();
    await this.changed('images');
    return restored;
  }

  /** Makes one image of open ones, a channel of the model each. @throws Error */
  async joinImages(images: readonly OpenImage[]): Promise<OpenImage> {
    const ids = images.map(({ id }) => id);
    const joined = { ...(await this.compute.joinImages(ids, images[0].name)), isExample: images[0].isExample };
    await this.taken([joined], []);
    return joined;
  }

  /** Gives an image a role; that which had it gets the other one, if both change places. */
  async choose(role: Role, image: OpenImage): Promise<void> {
    const other = role === 'first' ? 'second' : 'first';
    const before = this.roles.get(role);
    if (this.roles.get(other) === image) {
      if (before) this.roles.set(other, before);
      else this.roles.delete(other);
    }
    this.roles.set(role, image);
    await this.changed('images');
  }

  async closeImage(image: OpenImage): Promise<void> {
    await this.forget(image);
    await this.changed('images');
  }
  private async forget(image: OpenImage): Promise<void> {
    this.opened = this.opened.filter((other) => other !== image);
    for (const [role, chosen] of this.roles) if (chosen === image) this.roles.delete(role);
    this.keepFirst();
    await this.compute.closeImage(image.id);
  }
  /** Something is looked at while something is open. */
  private keepFirst(): void {
    const [left] = this.opened;
    if (this.first || !left) return;
    this.roles.set('first', this.second ?? left);
    if (this.second === this.first) this.roles.delete('second');
  }

  /** What was read of an image, as a NIfTI file for viewers: what they show is what is computed with. */
  async niftiOf({ id, name }: OpenImage): Promise<File> {
    return new File([await this.compute.imageAsNifti(id)], `${name}.nii`);
  }
}
