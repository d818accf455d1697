/** Opening label files of open images. */
import * as Comlink from 'comlink';
import { coversBox, loadLabelMap } from '../../cohort/label-map.ts';
import { labelValuesOf, smallestInteger } from '../../cohort/label-values.ts';
import { imageOfLabel } from '../../cohort/label-words.ts';
import type { LabelArray } from '../../cohort/reader.ts';
import { counted } from '../../common/counted.ts';
import { MachineError, RunError } from '../../common/errors.ts';
import { rasGeometry } from '../../geometry/orientation.ts';
import { resampleNearest } from '../../geometry/resample.ts';
import { labelCodes } from '../../geometry/statistics.ts';
import type { FileStore } from '../../images/file-store.ts';
import { openFound } from '../../images/open-image.ts';
import { stemOfName } from '../../images/recognise.ts';
import { type ChosenFile, nameOf, searched } from './open.ts';
import type { ComputeState } from './state.ts';

/** An open image that label files may be of. */
export interface LabelOwner {
  readonly id: number;
  readonly title: string;
  /** What its label file is named after. */
  readonly name: string;
}

export interface OpenLabels {
  /** The image that it is of, by its id. */
  readonly image: number;
  /** Of the file. */
  readonly name: string;
  /** Codes on the image's own grid. */
  readonly codes: LabelArray;
  /** Whether it has many codes, or they lie scattered, as strokes too may. */
  readonly isLikeImage: boolean;
  /** What is unusual about it, a sentence each. */
  readonly warnings: readonly string[];
}

export interface LabelFiles {
  readonly labels: readonly OpenLabels[];
  /** Why the others were not opened, a sentence each. */
  readonly refused: readonly string[];
}

export const labelsPart = (state: ComputeState) => {
  /** @throws RunError naming the file if it is no label map, or lies on another grid than the image */
  async function read(store: FileStore, path: string, image: number): Promise<OpenLabels> {
    const file = await openFound(store, { kind: 'file', path });
    const of = state.image(image);
    // by its header, before its voxels take any memory
    const isBox = coversBox(path, rasGeometry(file.geometry), { path: of.path, ras: rasGeometry(of.volume.geometry) });
    const volume = await loadLabelMap(file);
    const { data, rounded } = labelValuesOf(path, volume);
    const onGrid = resampleNearest({ geometry: volume.geometry, data }, of.volume.geometry, 0);
    return {
      image,
      name: nameOf(path),
      codes: smallestInteger(onGrid.data),
      isLikeImage: labelCodes(data, volume.geometry.size) === null,
      warnings: [
        ...file.warnings,
        ...(isBox ? ["covers a box of the image's grid alone; background around it"] : []),
        ...(rounded.voxels > 0 ? [`${rounded.voxels} voxels were not whole numbers: rounded`] : []),
      ].map((warning) => `${path}: ${warning}`),
    };
  }

  return {
    /**
     * Opens the label files among those chosen, for the images that they are of: by their names if there are several images, or several files.
     * A file that is none is told among the refused, and the others are opened.
     */
    async openLabels(chosen: readonly ChosenFile[], owners: readonly LabelOwner[]): Promise<LabelFiles> {
      const { store, images, refused, passedOver } = await searched(chosen);
      const wrong = [...refused, ...passedOver].map(({ path, reason }) => `${path}: ${reason}`);
      const labels = new Map<number, OpenLabels>();
      const files = images.filter((source) => source.kind === 'file');
      for (const source of images)
        if (source.kind !== 'file')
          wrong.push(`${source.path}: a DICOM image; expected a label map as NIfTI, NRRD, MetaImage or MGH`);
      for (const { path } of files) {
        const isOnly = files.length === 1 && owners.length === 1;
        const place = isOnly
          ? 0
          : imageOfLabel(
              stemOfName(nameOf(path)),
              owners.map(({ name }) => name),
            );
        if (place === undefined) {
          wrong.push(`${path}: is named after no open image, or after several: choose it at its image`);
          continue;
        }
        const { id, title } = owners[place];
        try {
          const before = labels.get(id);
          if (before) throw new RunError(`${path}: ${before.name} is the label file of ${title} already`);
          labels.set(id, await read(store, path, id));
        } catch (error) {
          if (!(error instanceof RunError) || error instanceof MachineError) throw error;
          wrong.push(error.message);
        }
      }
      const all = [...labels.values()];
      if (all.length + wrong.length === 0)
        wrong.push(`${counted(chosen.length, 'file')}: no label map among them; expected NIfTI, NRRD, MetaImage or MGH`);
      return Comlink.transfer(
        { labels: all, refused: wrong },
        all.map(({ codes }) => codes.buffer),
      );
    },
  };
};
