/**
 * What the sections of the page share: the model and the images that are open, which of them are meant, and whether something computes.
 *
 * A section is a folder of `sections/`: its markup, and a function that puts it on the page and is given the workspace. Sections know the
 * workspace, and not each other.
 */
import * as Comlink from 'comlink';
import type { ModelFiles } from '../apply/network.ts';
import type { BackendName } from '../platform/browser/backends.ts';
import { imageName } from './chosen-files.ts';
import type { ImageSummary, ModelSummary } from './compute/open.ts';
import type { ComputeApi } from './compute/worker.ts';

/** What the page brings along, or the user's own. */
interface Origin {
  readonly isExample: boolean;
}

export interface OpenModel extends ModelSummary, Origin {
  /** Of its folder. */
  readonly name: string;
}

export interface OpenImage extends ImageSummary, Origin {
  /** Of results: 'case_7' of 'case_7_0000.nii.gz'. */
  readonly name: string;
}

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
   * Opens an image in a role, in the place of that which has it.
   * @throws Error that says what is wrong with it; then no image has the role
   */
  async openImage(role: Role, file: File, isExample = false): Promise<OpenImage> {
    const partners = isExample ? [] : this.opened.filter((image) => image.isExample);
    // a file of one's own and a synthetic patient are no pair
    for (const image of new Set([this.roles.get(role), ...partners])) if (image) await this.closeImage(image);
    const bytes = await file.arrayBuffer();
    const summary = await this.compute.openImage(file.name, Comlink.transfer(bytes, [bytes]));
    const image = { ...summary, name: imageName(file.name), isExample };
    this.opened = [...this.opened, image];
    this.roles.set(role, image);
    await this.changed('images');
    return image;
  }

  async closeImage(image: OpenImage): Promise<void> {
    this.opened = this.opened.filter((other) => other !== image);
    for (const [role, chosen] of this.roles) if (chosen === image) this.roles.delete(role);
    await this.compute.closeImage(image.id);
    await this.changed('images');
  }

  /** What was read of an image, as a NIfTI file for viewers: what they show is what is computed with. */
  async niftiOf({ id, name }: OpenImage): Promise<File> {
    return new File([await this.compute.imageAsNifti(id)], `${name}.nii`);
  }
}
