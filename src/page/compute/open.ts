/** Opening models and images. */
import * as Comlink from 'comlink';
import { canRegister, type ModelFiles, networkOfFiles } from '../../apply/network.ts';
import { channelOfStem } from '../../cohort/channel-names.ts';
import { nonFiniteWarning } from '../../cohort/image-warnings.ts';
import { namesOf } from '../../cohort/network-image.ts';
import { counted } from '../../common/counted.ts';
import { RunError } from '../../common/errors.ts';
import { formatBytes } from '../../common/format-bytes.ts';
import { ValueRange } from '../../geometry/statistics.ts';
import { type Geometry, voxelCount } from '../../geometry/volume.ts';
import { blobFiles } from '../../images/blob-files.ts';
import type { FileStore } from '../../images/file-store.ts';
import { ImageSearch, type ImageSource } from '../../images/find-images.ts';
import type { LoadedImage } from '../../images/loaded-image.ts';
import { writeNiftiFile } from '../../images/nifti-file.ts';
import { type OpenImage, openFound } from '../../images/open-image.ts';
import { stemOfName } from '../../images/recognise.ts';
import { STORED_BYTES } from '../../images/stored-image.ts';
import { hasDecoder } from '../../model/architecture.ts';
import { renderSubject } from '../../phantom/subject.ts';
import { DEMO_SETTINGS } from '../../training/demo-settings.ts';
import { type Channel, isChannel } from './channels.ts';
import { type ComputeState, PAGE_MEMORY } from './state.ts';

/** Of the model, for people. */
export interface ModelSummary {
  readonly description: string;
  /** Names of those that it takes, if they are several. */
  readonly channels: readonly string[];
  readonly canSegment: boolean;
  readonly hasFeatures: boolean;
  readonly canMatch: boolean;
}

/** A file that was chosen, by its path in the folder that was. */
export interface ChosenFile {
  readonly path: string;
  readonly file: Blob;
}

/** An image among chosen files, not read yet. */
export interface FoundImage {
  /** What the worker knows it by. */
  readonly key: number;
  /** File or folder. */
  readonly title: string;
  /** Of results: 'case_7' of 'case_7_0000.nii.gz'. */
  readonly name: string;
  /** Of a DICOM series: '120 slices, CT, "Thorax 1.5"'; of several channels their names; else empty. */
  readonly description: string;
  readonly isDicom: boolean;
}

export interface FoundImages {
  readonly images: readonly FoundImage[];
  /** Files that should be images and cannot be looked at, and other files, with what they are. */
  readonly refused: readonly string[];
  readonly passedOver: readonly string[];
}

/** A file of several volumes (time points, echoes), or of several values a voxel: one of them must be chosen. */
export interface SeveralVolumes {
  readonly volumes: number;
}

export interface ImageSummary {
  /** What the worker knows it by. */
  readonly id: number;
  /** File or folder. */
  readonly title: string;
  /** Of results: 'case_7' of 'case_7_0000.nii.gz'. */
  readonly name: string;
  readonly geometry: Geometry;
  /** Size, voxel size and type. */
  readonly description: string;
  /** What its names say that its channels are; one for an image that has one. */
  readonly channels: readonly string[];
  readonly bytes: number;
  /** What is unusual about it, a sentence each. */
  readonly warnings: readonly string[];
}

/** A channel of an image, as a NIfTI file. */
export interface ChannelFile {
  readonly label: string;
  readonly file: Blob;
}

/** An image that was open before. */
export interface KeptImage extends Pick<ImageSummary, 'title' | 'name'> {
  readonly channels: readonly ChannelFile[];
}

interface Found {
  readonly store: FileStore;
  readonly summary: FoundImage;
  readonly channels: readonly { readonly label: string; readonly source: ImageSource }[];
}

/** The last part of a path. */
export const nameOf = (path: string): string => path.slice(path.lastIndexOf('/') + 1);

/** Looks at chosen files: which of them are images. A single file is meant to be one, whatever it is: opening it says what is wrong with it. */
export async function searched(chosen: readonly ChosenFile[]) {
  const store = blobFiles(new Map(chosen.map(({ path, file }) => [path, file])));
  const search = new ImageSearch(store);
  const paths = chosen.map(({ path }) => path).sort();
  const names = new Map<string, string[]>();
  for (const path of paths) {
    const siblings = names.get(store.folderOf(path));
    if (siblings) siblings.push(nameOf(path));
    else names.set(store.folderOf(path), [nameOf(path)]);
  }
  for (const path of paths) await search.look(nameOf(path), path, names.get(store.folderOf(path))!);
  const found = await search.finish();
  const { images, refused, passedOver } = found;
  const isUnknown = images.length + refused.length + passedOver.length === 0;
  const meant: ImageSource | null =
    paths.length === 1 && isUnknown && !nameOf(paths[0]).startsWith('.') ? { kind: 'file', path: paths[0] } : null;
  return { store, ...found, images: meant ? [meant] : images };
}

/** @throws RunError for an image that a page cannot hold, which would end it */
function checkRoom({ path, geometry: { size }, type }: OpenImage): void {
  const bytes = voxelCount(size) * STORED_BYTES[type];
  if (bytes > PAGE_MEMORY.bytes)
    throw new RunError(
      `${path}: its ${size.join(' x ')} voxels take ${formatBytes(bytes)}, and a page can address ${formatBytes(PAGE_MEMORY.bytes)}: crop or resample it, or use gvsl on the command line`,
    );
}

/** What is known of an image that was found. */
function foundOf(store: FileStore, key: number, source: ImageSource, others: Found['channels'], subject?: string): Found {
  const channels = others.length > 0 ? others : [{ label: '', source }];
  if (source.kind === 'file') {
    const title = source.path;
    const name = subject ?? stemOfName(nameOf(source.path)).replace(/_0000$/, '');
    const description = others.length > 1 ? `${others.length} channels: ${others.map(({ label }) => label).join(', ')}` : '';
    return { store, channels, summary: { key, title, name, description, isDicom: false } };
  }
  const { modality, description, stack, path } = source;
  const slices = counted(stack.frames.length, 'slice');
  const said = [slices, modality, description && `"${description}"`, stack.distinction].filter(Boolean).join(', ');
  const own = nameOf(path) || stemOfName(nameOf(source.files[0].path));
  const name = source.name ? `${own}-${source.name}` : own;
  const title =
    source.files.length === 1 ? source.files[0].path : `${path || 'DICOM files'}${source.name ? ` (${source.name})` : ''}`;
  return { store, channels, summary: { key, title, name, description: said, isDicom: true } };
}

/** One of the example's synthetic patients: finer than the network sees them, as real scans are. */
export function examplePatient(subject: number) {
  const { kind, spacingMm, pose } = DEMO_SETTINGS.phantoms;
  return renderSubject({ kind, seed: DEMO_SETTINGS.exampleSeed, subject, spacingMm: spacingMm / 2, pose });
}

export const openPart = (state: ComputeState) => {
  const found = new Map<number, Found>();
  let lastKey = 0;

  /** Joins files that are channels of one image, by their names: CASE_0000 and so on, or as the open model calls its channels. */
  function joined(store: FileStore, images: readonly ImageSource[]): Found[] {
    const wanted = state.network?.preprocessing.channels ?? [];
    const subjects = new Map<string, { subject: string; channels: { label: string; source: ImageSource }[] }>();
    const placeOf = (source: ImageSource): string | undefined => {
      const channel = source.kind === 'file' ? channelOfStem(stemOfName(nameOf(source.path))) : null;
      if (!channel || !(/^\d+$/.test(channel.channel) || wanted.some((options) => isChannel(options, channel.channel)))) return;
      const place = `${store.folderOf(source.path)}/${channel.subject}`;
      const subject = subjects.get(place) ?? { subject: channel.subject, channels: [] };
      subject.channels.push({ label: channel.channel, source });
      subjects.set(place, subject);
      return place;
    };
    const places = images.map(placeOf);
    const done = new Set<string>();
    return images.flatMap((source, k): Found[] => {
      const place = places[k];
      const { channels, subject } = (place && subjects.get(place)) || { channels: [], subject: '' };
      // numbers without a first one number patients
      const isCase = channels.some(({ label }) => label === '0') || channels.some(({ label }) => !/^\d+$/.test(label));
      if (!place || !isCase) return [foundOf(store, ++lastKey, source, [])];
      if (done.has(place)) return [];
      done.add(place);
      return [foundOf(store, ++lastKey, channels[0].source, channels, subject || nameOf(store.folderOf(source.path)))];
    });
  }

  /** Reads a channel, or of one file with all channels of the model each. @param volume of a file of several */
  async function read(
    store: FileStore,
    { label, source }: Found['channels'][number],
    volume?: number,
  ): Promise<Channel[] | SeveralVolumes> {
    const wanted = state.network?.preprocessing.channels ?? [];
    const image = await openFound(store, source, volume === undefined ? {} : { channel: volume });
    checkRoom(image);
    if (volume !== undefined) return [{ label, image: await image.load() }];
    if (wanted.length < 2 || label !== '' || !wanted.every(({ number }) => number < image.volumesInFile))
      return image.volumesInFile > 1 ? { volumes: image.volumesInFile } : [{ label, image: await image.load() }];
    const channels: Channel[] = [];
    for (const { name, number } of wanted)
      channels.push({ label: name, image: await (await openFound(store, source, { channel: number })).load() });
    return channels;
  }

  /** Of a channel: what its reader says, and how many voxels are no numbers. What those are taken for depends on the model, and stands with its results. */
  function warningsOf({ warnings, volume: { data } }: LoadedImage): string[] {
    const values = new ValueRange();
    values.add(data);
    return [...warnings, ...nonFiniteWarning(values.nonFinite)];
  }

  const summaryOf = (id: number, title: string, name: string): ImageSummary => {
    const image = state.image(id);
    const channels = state.channelsOf(image);
    const { geometry } = image.volume;
    const mm = geometry.spacingMm.map((side) => +side.toFixed(3)).join(' x ');
    const count = channels.length > 1 ? `${channels.length} channels of ` : '';
    return {
      id,
      title,
      name,
      geometry,
      description: `${count}${geometry.size.join(' x ')} voxels of ${mm} mm, ${image.storedType}`,
      channels: channels.map(({ label }) => label),
      bytes: channels.reduce((sum, channel) => sum + channel.image.volume.data.byteLength, 0),
      warnings: [
        ...(geometry.size.includes(1) ? ['one voxel along an axis: models need a volume, open the whole scan'] : []),
        ...channels.flatMap(({ image: channel, label }) =>
          warningsOf(channel).map((warning) => (channels.length > 1 ? `channel ${label}: ${warning}` : warning)),
        ),
      ],
    };
  };

  return {
    openModel(files: ModelFiles): ModelSummary {
      state.network = undefined;
      const model = networkOfFiles(files);
      state.network = model;
      const { task, step, architecture } = model.configuration;
      const { modality, spacingMm, channels = [] } = model.preprocessing;
      const canSegment = task?.kind === 'segmentation';
      const [canMatch, hasFeatures] = [canRegister(model.architecture), hasDecoder(model.architecture.heads)];
      const does = [
        ...(canSegment ? [`segments ${task.labels.length - 1} structures`] : []),
        ...(canMatch ? ['registers'] : []),
        ...(hasFeatures ? ['shows features'] : []),
      ];
      return {
        description: [
          `${task ? `trained for ${task.kind}` : 'pre-trained'}, width ${architecture.width}, ${counted(step, 'step')}`,
          `${modality.toUpperCase()} at ${spacingMm.join(' x ')} mm`,
          ...(channels.length > 1 ? [`${channels.length} channels: ${namesOf({ channels })}`] : []),
          does.join(', ') || `nothing for this page to show: use gvsl ${task ? 'classify' : 'embed'}`,
        ].join('; '),
        channels: channels.length > 1 ? channels.map(({ name }) => name) : [],
        canSegment,
        hasFeatures,
        canMatch,
      };
    },

    /** What images the chosen files are; they are read when they are opened, also after others were found. */
    async findImages(chosen: readonly ChosenFile[]): Promise<FoundImages> {
      const { store, images, refused, passedOver } = await searched(chosen);
      const list = (some: readonly { readonly path: string; readonly reason: string }[]): string[] =>
        some.filter(({ path }) => !nameOf(path).startsWith('.')).map(({ path, reason }) => `${path}: ${reason}`);
      const these = joined(store, images);
      for (const one of these) found.set(one.summary.key, one);
      return { images: these.map(({ summary }) => summary), refused: list(refused), passedOver: list(passedOver) };
    },

    /**
     * Reads an image that was found.
     * @param volume which of several, from 0
     * @returns of a file of several volumes, none of which was chosen, how many; nothing is open then
     * @throws RunError naming the file and what is wrong with it
     */
    async openImage(key: number, volume?: number): Promise<ImageSummary | SeveralVolumes> {
      const one = found.get(key);
      if (!one) throw new RunError('these files are no longer at hand: choose them again');
      const { title, name } = one.summary;
      const channels: Channel[] = [];
      for (const channel of one.channels) {
        const some = await read(one.store, channel, volume);
        if ('volumes' in some) {
          if (one.channels.length === 1) return some;
          throw new RunError(
            `${channel.source.path}: it holds ${some.volumes} volumes, expected one channel of an image; open it alone`,
          );
        }
        channels.push(...some);
      }
      found.delete(key);
      const id = state.add(channels);
      return volume === undefined
        ? summaryOf(id, title, name)
        : summaryOf(id, `${title}, volume ${volume}`, `${name}_volume_${volume}`);
    },

    /** Makes one image of open ones, a channel each, with the names that the open model has for them. */
    joinImages(ids: readonly number[], name: string): ImageSummary {
      const names = state.network?.preprocessing.channels?.map((channel) => channel.name) ?? [];
      const channels = ids.map((id, k): Channel => ({ label: names[k] ?? '', image: { ...state.image(id) } }));
      return summaryOf(state.add(channels), channels.map(({ image }) => image.path).join(' + '), name);
    },

    closeImage(id: number): void {
      state.images.delete(id);
    },

    /** What was read of an image, as a .nii file. */
    imageAsNifti(id: number): Uint8Array<ArrayBuffer> {
      const { geometry, data } = state.image(id).volume;
      const file = writeNiftiFile(geometry, data);
      return Comlink.transfer(file, [file.buffer]);
    },

    /** What was read of an image's channels, as .nii files: what `restoreImage` opens again. */
    channelFiles(id: number): ChannelFile[] {
      return state.channelsOf(state.image(id)).map(({ label, image: { volume } }) => ({
        label,
        file: new Blob([writeNiftiFile(volume.geometry, volume.data)]),
      }));
    },

    /** Opens an image of what `channelFiles` gave. @throws RunError */
    async restoreImage({ title, name, channels }: KeptImage): Promise<ImageSummary> {
      const read: Channel[] = [];
      for (const { label, file } of channels) {
        const path = `${title}.nii.gz`;
        const image = await (await openFound(blobFiles(new Map([[path, file]])), { kind: 'file', path })).load();
        read.push({ label, image: { ...image, path: title } });
      }
      return summaryOf(state.add(read), title, name);
    },

    /** A CT of one of the example's synthetic patients, as a .nii file. */
    examplePatient(subject: number): Uint8Array<ArrayBuffer> {
      const { image } = examplePatient(subject);
      return writeNiftiFile(image.geometry, image.data);
    },
  };
};
