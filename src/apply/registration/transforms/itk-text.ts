/** ITK's text form of transforms (`.tfm`, `.txt`), as ITK, ANTs, 3D Slicer and SimpleITK read and write it. */
import { RunError } from '../../../common/errors.ts';
import { type Affine, applyAffine } from '../../../geometry/affine.ts';
import type { Xyz } from '../../../geometry/volume.ts';
import { affineStep, classOf } from './itk-parameters.ts';
import type { Transform } from './transform.ts';

const FIRST_LINE = '#Insight Transform File V1.0';

/**
 * The text of a transform that maps points of the fixed image to the moving one, mm, LPS.
 * ITK's form is T(x) = M (x - c) + t + c: nine values of M row by row, t, and the centre c as fixed parameters.
 * @param centreMm changes how the numbers read (t is then how the centre moves), not the map
 */
export function itkAffineText(affine: Affine, centreMm: Xyz): string {
  const moved = applyAffine(affine, centreMm);
  const translation = moved.map((value, k) => value - centreMm[k]);
  return [
    FIRST_LINE,
    '#Transform 0',
    'Transform: AffineTransform_double_3_3',
    `Parameters: ${[...affine.matrix, ...translation].join(' ')}`,
    `FixedParameters: ${centreMm.join(' ')}`,
    '',
  ].join('\n');
}

/** Whether a text begins as such a file. */
export const isItkText = (text: string): boolean => text.startsWith('#Insight Transform File');

/** A file's transform. Of a composite ITK applies the last part first. @throws RunError saying what is wrong */
export function parseItkText(text: string): Transform {
  if (!isItkText(text)) throw new RunError(`its first line is not '${FIRST_LINE}'`);
  const parts = text.split(/^#Transform .*$/m).slice(1);
  if (parts.length === 0) throw new RunError('it holds no transform');
  const read = parts.map((part) => {
    const field = (name: string): string | undefined => new RegExp(`^${name}:(.*)$`, 'm').exec(part)?.[1].trim();
    const numbers = (name: string): number[] => (field(name) ?? '').split(/\s+/).filter(Boolean).map(Number);
    const type = field('Transform');
    if (type === undefined) throw new RunError("a transform in it has no line 'Transform:'");
    return { type, parameters: numbers('Parameters'), fixed: numbers('FixedParameters') };
  });
  const isComposite = classOf(read[0].type) === 'CompositeTransform';
  if (!isComposite && read.length > 1)
    throw new RunError(`it holds ${read.length} transforms beside one another, expected one, or a CompositeTransform of them`);
  const steps = (isComposite ? read.slice(1) : read).map(({ type, parameters, fixed }) => affineStep(type, parameters, fixed));
  return steps.reverse();
}
