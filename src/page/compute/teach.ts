/** Teaching the open model structures by strokes: features of images are computed once and kept, so that learning and segmenting are quick. */
import * as Comlink from 'comlink';
import { filesOfNetwork, type ModelFiles, type TrainedNetwork, taskOfNetwork } from '../../apply/network.ts';
import { headOfNetwork, networkWithHead, type TaughtLabel } from '../../apply/teaching/network-with-head.ts';
import { BACKGROUND_STROKE, Teacher } from '../../apply/teaching/teacher.ts';
import { RunError } from '../../common/errors.ts';
import type { Program } from '../../engine/graph.ts';
import type { Xyz } from '../../geometry/volume.ts';
import type { LoadedImage } from '../../images/loaded-image.ts';
import { writeNiftiFile } from '../../images/nifti-file.ts';
import type { NamedTensor } from '../../model/safetensors.ts';
import { type BackendName, openBackend } from '../../platform/browser/backends.ts';
import { examplePatient } from './open.ts';
import { type ComputeState, MEMORY, type OnProgress } from './state.ts';

/** Strokes on an open image, on its own grid. */
export interface ImageStrokes {
  readonly image: number;
  /** 0 where nothing is drawn, a structure's code, or 255 for the background. */
  readonly data: Uint8Array;
}

/** What was learnt. */
export interface LearntHead {
  readonly labels: readonly TaughtLabel[];
  /** Voxels of the network's grid under strokes, for each label. */
  readonly voxels: readonly number[];
  readonly ms: number;
}

/** A head that was learnt: `SegmentationHead` with what its classes are. */
export interface KeptHead {
  readonly labels: readonly TaughtLabel[];
  readonly parameters: readonly NamedTensor[];
}

/** An image as the taught network segments it. */
export interface TaughtMap {
  /** Codes on the image's own grid. */
  readonly labels: Uint8Array<ArrayBuffer>;
  readonly structures: readonly { readonly code: number; readonly name: string; readonly volumeMl: number }[];
  readonly ms: number;
}

/** What images are to a teacher. */
export interface TaughtFeatures {
  readonly backend: string;
  /** Windows whose features did not fit into memory, and are computed each time. */
  readonly notKept: number;
  readonly warnings: readonly string[];
}

const EXAMPLE_STRUCTURES: readonly TaughtLabel[] = [{ code: 1, name: 'left ventricle' }];
/** Labels of the phantom that the example's strokes are in, of what intensities (HU), and in how many slices. */
const EXAMPLE_STROKES: readonly {
  readonly code: number;
  readonly of: number;
  readonly hu?: readonly [number, number];
  readonly lines: number;
}[] = [
  { code: 1, of: 500, lines: 6 },
  // the other chambers, vessels and the wall
  { code: BACKGROUND_STROKE, of: 420, lines: 4 },
  { code: BACKGROUND_STROKE, of: 600, lines: 4 },
  { code: BACKGROUND_STROKE, of: 550, lines: 3 },
  { code: BACKGROUND_STROKE, of: 820, lines: 3 },
  { code: BACKGROUND_STROKE, of: 205, lines: 5 },
  // lungs, soft tissue, bone
  { code: BACKGROUND_STROKE, of: 0, hu: [-2000, -500], lines: 4 },
  { code: BACKGROUND_STROKE, of: 0, hu: [-200, 100], lines: 6 },
  { code: BACKGROUND_STROKE, of: 0, hu: [150, 3000], lines: 4 },
];
/** Voxels of a line, at most. */
const LINE = 14;

/** The longest row of voxels that are wanted in each of some slices, at even distances. */
function linesIn([nx, ny, nz]: Xyz, wanted: (voxel: number) => boolean, count: number) {
  const perSlice = Array.from({ length: nz }, (_, z) => {
    let best = { start: 0, length: 0 };
    for (let y = 0, at = z * nx * ny; y < ny; y++)
      for (let x = 0, length = 0; x < nx; x++, at++) {
        length = wanted(at) ? length + 1 : 0;
        if (length > best.length) best = { start: at - length + 1, length };
      }
    return best;
  }).filter(({ length }) => length > 3);
  return Array.from({ length: Math.min(count, perSlice.length) }, (_, k) => {
    const { start, length } = perSlice[Math.floor(((k + 0.5) * perSlice.length) / count)];
    return { start: start + Math.max(0, (length - LINE) >> 1), length: Math.min(LINE, length) };
  });
}

const codesOf = (data: ArrayLike<number>): Uint8Array<ArrayBuffer> => Uint8Array.from(data);

export const teachPart = (state: ComputeState) => {
  let teacher: { readonly of: TrainedNetwork; readonly backend: BackendName; readonly it: Teacher<LoadedImage> } | undefined;
  let description = '';
  /** Of the images that it has features of. */
  const known = new Map<number, LoadedImage>();
  let aborter = new AbortController();
  let memoryBytes = 0;

  async function end(): Promise<void> {
    const before = teacher;
    teacher = undefined;
    known.clear();
    await before?.it.close();
  }

  /** The teacher of the open model on a backend; another one's memory is given back first. */
  async function teacherOn(name: BackendName): Promise<Teacher<LoadedImage>> {
    const { network } = state;
    if (!network) throw new RunError('no model yet: choose a model folder');
    if (teacher?.of !== network || teacher.backend !== name) {
      await end();
      const backend = await openBackend(name);
      // what a program needs is asked before it is opened
      const asked = { ...backend, memoryBytes: (of: Program) => (memoryBytes = backend.memoryBytes(of)) };
      description = backend.description;
      teacher = { of: network, backend: name, it: new Teacher<LoadedImage>(network, asked, MEMORY, state.prepare) };
    }
    return teacher.it;
  }
  /** What the open model was taught: a head of another model's features says nothing on its own. */
  const learntNow = () => (teacher?.of === state.network ? teacher?.it.learnt : undefined);
  const current = (): Teacher<LoadedImage> => {
    if (!teacher || teacher.of !== state.network) throw new RunError('another model was opened: its features come first');
    return teacher.it;
  };

  return {
    /** Which of these images have no features of the open model on this backend yet. */
    untaught(images: readonly number[], name: BackendName): number[] {
      const fresh = teacher?.of !== state.network || teacher?.backend !== name;
      return images.filter((id) => fresh || known.get(id) !== state.images.get(id));
    },

    /** Computes the features of an image, unless it has them. Images that are closed are forgotten. */
    async teachFeatures(id: number, name: BackendName, onProgress: OnProgress): Promise<TaughtFeatures> {
      aborter = new AbortController();
      const it = await teacherOn(name);
      for (const [other, image] of known)
        if (state.images.get(other) !== image) {
          known.delete(other);
          await it.remove(String(other));
        }
      const image = state.image(id);
      if (known.get(id) === image) return { backend: description, notKept: 0, warnings: [] };
      const { windows, keptWindows, warnings } = await it.add(String(id), image, {
        progress: ({ done, total }) => onProgress(done, total, memoryBytes + it.featureBytesOf(total)),
        signal: aborter.signal,
      });
      known.set(id, image);
      return { backend: description, notKept: windows - keptWindows, warnings };
    },

    /** Learns from all strokes; a call before it that is still under way is ended. */
    async teach(strokes: readonly ImageStrokes[], labels: readonly TaughtLabel[]): Promise<LearntHead> {
      aborter.abort();
      aborter = new AbortController();
      const { signal } = aborter;
      const start = performance.now();
      const drawn = new Map(
        strokes.map(({ image, data }) => [String(image), { geometry: state.image(image).volume.geometry, data }]),
      );
      const { labels: learnt, voxels } = await current().learn(drawn, labels, { signal });
      return { labels: learnt, voxels, ms: performance.now() - start };
    },

    /** Segments an image that has features, as was learnt last. */
    async teachSegment(id: number): Promise<TaughtMap> {
      const start = performance.now();
      const { signal } = aborter;
      const { labels, structures } = await current().segment(String(id), { signal });
      const data = codesOf(labels.data);
      return Comlink.transfer({ labels: data, structures, ms: performance.now() - start }, [data.buffer]);
    },

    /** Ends what is under way of features, learning and segmenting. */
    stopTeaching(): void {
      aborter.abort();
    },

    /** Gives features and memory back. */
    endTeaching: end,

    /** The open model, as its two files. */
    openModelFiles(): ModelFiles {
      if (!state.network) throw new RunError('no model yet: choose a model folder');
      return filesOfNetwork(state.network);
    },

    /** What was learnt last, as a model folder's two files; null before. */
    taughtModel(): ModelFiles | null {
      const learnt = learntNow();
      return learnt ? filesOfNetwork(learnt) : null;
    },

    /** The head that was learnt last, which with the open model is `taughtModel`; null before. */
    taughtHead(): KeptHead | null {
      const learnt = learntNow();
      if (!learnt) return null;
      // each is a view of the whole network's parameters
      const parameters = [...headOfNetwork(learnt).parameters.values()].map((one) => ({ ...one, data: one.data.slice() }));
      return { labels: taskOfNetwork(learnt, 'segmentation').labels, parameters };
    },

    /** Goes on with a head that the open model was taught before. */
    async useTaught({ labels, parameters }: KeptHead, name: BackendName): Promise<void> {
      const it = await teacherOn(name);
      const head = { classes: labels.length, parameters: new Map(parameters.map((tensor) => [tensor.name, tensor])) };
      it.use(networkWithHead(it.network, head, labels));
    },

    /** Strokes as a person might draw them on the example's first patient: in each structure, and in the background, a line in each of some slices. */
    exampleStrokes(): { readonly structures: readonly TaughtLabel[]; readonly data: Uint8Array<ArrayBuffer> } {
      const { image, labels } = examplePatient(0);
      const data = new Uint8Array(labels.data.length);
      for (const { code, of, hu: [low, high] = [-Infinity, Infinity], lines } of EXAMPLE_STROKES) {
        const wanted = (v: number): boolean => labels.data[v] === of && image.data[v] >= low && image.data[v] < high;
        for (const { start, length } of linesIn(labels.geometry.size, wanted, lines)) data.fill(code, start, start + length);
      }
      return { structures: EXAMPLE_STRUCTURES, data };
    },

    /** Codes on an image's grid as a .nii file. */
    codesAsNifti(id: number, codes: Uint8Array): Uint8Array<ArrayBuffer> {
      const file = writeNiftiFile(state.image(id).volume.geometry, codes);
      return Comlink.transfer(file, [file.buffer]);
    },
  };
};
