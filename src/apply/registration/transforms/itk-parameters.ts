/** What the numbers of ITK's transforms mean, by their class names: `AffineTransform_double_3_3` and so on. */
import { RunError } from '../../../common/errors.ts';
import { type Affine, isFlat, multiply3 } from '../../../geometry/affine.ts';
import { IDENTITY_3, type Matrix3, type Xyz } from '../../../geometry/volume.ts';
import type { TransformStep } from './transform.ts';
import { aboutCentre } from './transform.ts';

const xyz = (values: readonly number[], at: number): Xyz => [values[at], values[at + 1], values[at + 2]];

/** A unit quaternion's rotation; its scalar part follows from its vector part. */
function versor([x, y, z]: Xyz): Matrix3 {
  const w = Math.sqrt(Math.max(0, 1 - x * x - y * y - z * z));
  return [
    1 - 2 * (y * y + z * z),
    2 * (x * y - z * w),
    2 * (x * z + y * w),
    2 * (x * y + z * w),
    1 - 2 * (x * x + z * z),
    2 * (y * z - x * w),
    2 * (x * z - y * w),
    2 * (y * z + x * w),
    1 - 2 * (x * x + y * y),
  ];
}

/** Rotations about x, y, z: Rz Rx Ry, or Rz Ry Rx. */
function euler([x, y, z]: Xyz, zyx: boolean): Matrix3 {
  const [cx, sx, cy, sy, cz, sz] = [x, y, z].flatMap((angle) => [Math.cos(angle), Math.sin(angle)]);
  const rx: Matrix3 = [1, 0, 0, 0, cx, -sx, 0, sx, cx];
  const ry: Matrix3 = [cy, 0, sy, 0, 1, 0, -sy, 0, cy];
  const rz: Matrix3 = [cz, -sz, 0, sz, cz, 0, 0, 0, 1];
  return zyx ? multiply3(rz, multiply3(ry, rx)) : multiply3(rz, multiply3(rx, ry));
}

interface Kind {
  readonly parameters: number;
  readonly fixed: readonly number[];
  readonly affine: (p: readonly number[], fixed: readonly number[]) => Affine;
}

const matrixOffset: Kind = {
  parameters: 12,
  fixed: [3],
  affine: (p, fixed) => aboutCentre(p.slice(0, 9) as unknown as Matrix3, xyz(p, 9), xyz(fixed, 0)),
};

const KINDS: Readonly<Record<string, Kind>> = {
  AffineTransform: matrixOffset,
  MatrixOffsetTransformBase: matrixOffset,
  Rigid3DTransform: matrixOffset,
  TranslationTransform: { parameters: 3, fixed: [0], affine: (p) => ({ matrix: IDENTITY_3, offset: xyz(p, 0) }) },
  IdentityTransform: { parameters: 0, fixed: [0], affine: () => ({ matrix: IDENTITY_3, offset: [0, 0, 0] }) },
  ScaleTransform: {
    parameters: 3,
    fixed: [3],
    affine: (p, fixed) => aboutCentre([p[0], 0, 0, 0, p[1], 0, 0, 0, p[2]], [0, 0, 0], xyz(fixed, 0)),
  },
  Euler3DTransform: {
    parameters: 6,
    fixed: [3, 4],
    affine: (p, fixed) => aboutCentre(euler(xyz(p, 0), fixed[3] === 1), xyz(p, 3), xyz(fixed, 0)),
  },
  VersorRigid3DTransform: {
    parameters: 6,
    fixed: [3],
    affine: (p, fixed) => aboutCentre(versor(xyz(p, 0)), xyz(p, 3), xyz(fixed, 0)),
  },
  Similarity3DTransform: {
    parameters: 7,
    fixed: [3],
    affine: (p, fixed) => aboutCentre(versor(xyz(p, 0)).map((v) => v * p[6]) as unknown as Matrix3, xyz(p, 3), xyz(fixed, 0)),
  },
};

/** The name without types and dimensions. @throws RunError for another number of dimensions than three */
export function classOf(type: string): string {
  const [, name, dimensions] = /^(\w+?)(?:_(?:double|float)_(\d+_\d+))?$/.exec(type) ?? [];
  if (name === undefined) throw new RunError(`'${type}' is no transform's name`);
  if (dimensions !== undefined && dimensions !== '3_3')
    throw new RunError(`it is a ${name} of ${dimensions.replace('_', ' to ')} dimensions, expected 3 to 3`);
  return name;
}

/** An affine step of a class name and its numbers. @throws RunError saying what is wrong */
export function affineStep(type: string, parameters: readonly number[], fixed: readonly number[]): TransformStep {
  const name = classOf(type);
  const kind = KINDS[name];
  if (!kind)
    throw new RunError(
      `a ${name} is not supported; supported: ${Object.keys(KINDS).join(', ')}, displacement fields, and composites of these`,
    );
  if (parameters.length !== kind.parameters || !kind.fixed.includes(fixed.length))
    throw new RunError(
      `a ${name} has ${parameters.length} parameters and ${fixed.length} fixed ones, expected ${kind.parameters} and ${kind.fixed.join(' or ')}`,
    );
  if (![...parameters, ...fixed].every(Number.isFinite)) throw new RunError(`a ${name} holds values that are no numbers`);
  const affine = kind.affine(parameters, fixed);
  if (isFlat(affine.matrix)) throw new RunError(`its ${name} is singular: it maps space onto a plane, and cannot be undone`);
  return { kind: 'affine', affine };
}
