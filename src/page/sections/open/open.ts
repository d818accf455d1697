/** What is chosen or dropped is found here and opened, and what it is, or what is wrong with it, is said below the fields. */
import { formatBytes } from '../../../common/format-bytes.ts';
import {
  bytesOf,
  chosenFiles,
  listed,
  listenForDrops,
  modelFiles,
  modelsAmong,
  nothingToOpen,
  takeDropped,
} from '../../chosen-files.ts';
import type { ChosenFile, FoundImage } from '../../compute/open.ts';
import { addSection, button, element, input, say } from '../../dom.ts';
import type { OpenImage, Role, UndecidedImage, WantedImage, Workspace } from '../../workspace.ts';
import markup from './open.html?raw';

const ROLES: readonly Role[] = ['first', 'second'];
const ofExample = (isExample: boolean, text: string): string => (isExample ? `Example: ${text}` : text);

function made<Tag extends keyof HTMLElementTagNameMap>(tag: Tag, text = ''): HTMLElementTagNameMap[Tag] {
  const element = document.createElement(tag);
  element.textContent = text;
  return element;
}

export function startOpen(workspace: Workspace): void {
  addSection(markup);
  const rows = element('images').querySelector('tbody')!;

  const reading = (field: string, what: string, work: () => Promise<void>) => {
    if (workspace.busy) say(`${field}-text`, `${what} will be read when the work under way is done ...`);
    return workspace.alone(async () => {
      say(`${field}-text`, `reading ${what} ...`);
      try {
        await work();
      } catch (error) {
        say(`${field}-text`, (error as Error).message, true);
      }
    });
  };

  const openModel = (files: readonly ChosenFile[]) =>
    reading('model', 'the model', async () => {
      const { name, config, weights } = modelFiles(files);
      await workspace.openModel({
        name,
        config: new TextDecoder().decode(await bytesOf(config)),
        weights: await bytesOf(weights),
      });
    });

  async function openImages(found: readonly WantedImage[], refused: readonly string[]): Promise<void> {
    const { opened, failed, undecided } = await workspace.openFound(found, false, (count, title) => {
      const of = found.length > 1 ? ` (${count} of ${found.length})` : '';
      say('image-text', `reading ${title}${of} ...`);
    });
    const wrong = [...failed, ...refused];
    const said =
      opened.length === 1
        ? [`${opened[0].title}: ${opened[0].description}`, ...opened[0].warnings].join('; ')
        : `${opened.length} images opened`;
    if (undecided.length > 0) askVolumes(undecided);
    say(
      'image-text',
      [
        ...(opened.length > 0 ? [said] : []),
        ...(undecided.length > 0
          ? [listed(undecided.map(({ title, volumes }) => `${title}: it holds ${volumes} volumes, choose one below`))]
          : []),
        ...(wrong.length > 0 ? [listed(wrong)] : []),
      ].join('. '),
      wrong.length > 0,
    );
  }

  /** Opens images, or asks which of several in a folder are meant. */
  const look = (files: () => Promise<readonly ChosenFile[]>, inFolder: boolean) =>
    reading('image', 'files', async () => {
      element('found').hidden = true;
      const chosen = await files();
      const { images, refused, passedOver } = await workspace.compute.findImages(chosen);
      if (images.length === 0)
        throw new Error(
          nothingToOpen(
            chosen.map(({ path }) => path),
            [...refused, ...passedOver],
          ),
        );
      if (images.length > 1 && (inFolder || images.some(({ isDicom }) => isDicom))) ask(images, refused, passedOver);
      else await openImages(images, refused);
    });

  /** What to open of several images. */
  function ask(images: readonly FoundImage[], refused: readonly string[], passedOver: readonly string[]): void {
    const boxes = images.map(({ title, description }, k) => {
      const box = made('input');
      box.type = 'checkbox';
      // of a folder of series one is meant, of a folder of files all are
      box.checked = k === 0 || !images.some(({ isDicom }) => isDicom);
      const label = made('label');
      label.className = 'choice';
      label.append(box, made('span', title), made('span', description));
      const item = made('li');
      item.append(label);
      return { box, item };
    });
    const chosen = (): WantedImage[] => images.filter((_, k) => boxes[k].box.checked);
    const items = boxes.map(({ item }) => item);
    offerChoice(`${images.length} images found: which ones?`, items, [...refused, ...passedOver], chosen);
    say('image-text', '');
  }

  /** Which volume to open of files that hold several. */
  function askVolumes(images: readonly UndecidedImage[]): void {
    const fields = images.map(({ title, volumes }) => {
      const field = made('input');
      Object.assign(field, { type: 'number', min: '0', max: String(volumes - 1), value: '0', required: true });
      const label = made('label');
      label.className = 'choice';
      label.append(made('span', `${title}: volume`), field, made('span', `of 0 to ${volumes - 1}`));
      const item = made('li');
      item.append(label);
      return { field, item };
    });
    const chosen = (): WantedImage[] =>
      fields.every(({ field }) => field.reportValidity())
        ? images.map((image, k) => ({ ...image, volume: Number(fields[k].field.value) }))
        : [];
    const heading =
      images.length === 1 ? 'A file of several volumes: which one?' : `${images.length} files of several volumes: which ones?`;
    offerChoice(
      heading,
      fields.map(({ item }) => item),
      [],
      chosen,
    );
  }

  /** @param skipped files that cannot be chosen, and why @param chosen what is to be opened; nothing while the choice is wrong */
  function offerChoice(
    heading: string,
    items: readonly HTMLLIElement[],
    skipped: readonly string[],
    chosen: () => readonly WantedImage[],
  ): void {
    element('found-heading').textContent = heading;
    element('found-list').replaceChildren(...items);
    element('found-skipped').hidden = skipped.length === 0;
    element('found-skipped').querySelector('summary')!.textContent =
      skipped.length === 1 ? '1 file left out' : `${skipped.length} files left out`;
    element('found-skipped')
      .querySelector('ul')!
      .replaceChildren(...skipped.map((text) => made('li', text)));
    element('found').hidden = false;
    button('found-open').onclick = () => {
      const these = chosen();
      if (these.length === 0) return;
      element('found').hidden = true;
      reading('image', 'images', () => openImages(these, []));
    };
    button('found-cancel').onclick = () => {
      element('found').hidden = true;
    };
  }

  input('model').onchange = () => {
    openModel(chosenFiles(input('model').files ?? []));
  };
  for (const field of ['image', 'folder'])
    input(field).onchange = () => {
      const files = chosenFiles(input(field).files ?? []);
      // the field of files is empty when its choice was taken back
      if (files.length > 0 || field === 'folder') look(async () => files, field === 'folder');
    };
  listenForDrops((text) => say('image-text', text, true));
  takeDropped(
    () => true,
    ({ files, hasFolder }) => {
      const { models, others } = modelsAmong(files);
      // a model first: it says which channels images have
      for (const model of models) openModel(model);
      if (others.length > 0 || models.length === 0) look(async () => others, hasFolder);
    },
  );

  /** Lines of the list: they stay while their image is open, and so does the keyboard on them. */
  const lines = new WeakMap<OpenImage, HTMLTableRowElement>();
  function row(image: OpenImage): HTMLTableRowElement {
    const line = lines.get(image) ?? newRow(image);
    lines.set(image, line);
    for (const [k, radio] of line.querySelectorAll<HTMLInputElement>('[type=radio]').entries())
      radio.checked = workspace[ROLES[k]] === image;
    return line;
  }
  function newRow(image: OpenImage): HTMLTableRowElement {
    const line = made('tr');
    for (const role of ROLES) {
      const radio = made('input');
      radio.type = 'radio';
      radio.name = `role-${role}`;
      radio.ariaLabel = `${role} image: ${image.title}`;
      radio.onchange = () => void workspace.alone(() => workspace.choose(role, image));
      const cell = made('td');
      cell.append(radio);
      line.append(cell);
    }
    const close = made('button', 'Close');
    close.type = 'button';
    close.ariaLabel = `close ${image.title}`;
    close.onclick = () => void workspace.alone(() => workspace.closeImage(image));
    const last = made('td');
    last.append(close);
    const what = [`${image.description}, ${formatBytes(image.bytes)}`, ...image.warnings].join('; ');
    line.append(made('td', ofExample(image.isExample, image.title)), made('td', what), last);
    return line;
  }

  /** A model of several channels: open images can be joined. */
  function showChannels(): void {
    const { model, images, first } = workspace;
    const wanted = model?.channels ?? [];
    const single = images.filter(({ channels }) => channels.length === 1);
    const isNeeded = wanted.length > 1 && first?.channels.length === 1 && single.length > 1;
    element('channels').hidden = !isNeeded;
    if (!isNeeded) return;
    say(
      'channels-text',
      `The model takes ${wanted.length} channels, which lie in files of their own here: ${wanted.join(', ')}.`,
    );
    const selects = wanted.map((channel, k) => {
      const chosen = made('select');
      chosen.append(...single.map(({ title, id }) => new Option(title, String(id))));
      chosen.selectedIndex = Math.min(k, single.length - 1);
      const label = made('label', channel);
      label.append(chosen);
      return { chosen, label };
    });
    element('channels-list').replaceChildren(...selects.map(({ label }) => label));
    button('channels-join').onclick = () =>
      reading('image', 'channels', async () => {
        const parts = selects.map(({ chosen }) => single.find(({ id }) => String(id) === chosen.value)!);
        const joined = await workspace.joinImages(parts);
        say('image-text', `${joined.title}: ${joined.description}`);
      });
  }

  workspace.onChange((change) => {
    const { model } = workspace;
    if (change === 'busy') return;
    if (change === 'model' && model) {
      say('model-text', model.isExample ? `Example: ${model.description}` : `${model.name}: ${model.description}`);
      // the field would go on naming the folder before
      if (model.isExample) input('model').value = '';
    }
    if (change === 'images') {
      const shown = workspace.images.map(row);
      if (shown.length !== rows.rows.length || shown.some((line, k) => rows.rows[k] !== line)) rows.replaceChildren(...shown);
      element('images').hidden = workspace.images.length === 0;
      if (workspace.images.some(({ isExample }) => isExample)) {
        for (const field of ['image', 'folder']) input(field).value = '';
        say('image-text', '');
      }
    }
    showChannels();
  });
}
