/** The affine matrix and its displacement field: in the head, against PyTorch, central differences, and between backends. */
import { describe } from 'vitest';
import { type Build, tensor } from '../../testing/case.ts';
import { itAgreesOnRandomShapes, itGives, itHasItsGradients, itMatchesGolden, itRefuses } from '../../testing/checks.ts';
import { affineDisplacement, affineMatrix } from './affine.ts';

const matrix: Build = (graph, { rotation, scale, translation, shear }) =>
  affineMatrix(graph, rotation, scale, translation, shear);
const field =
  (...size: [number, number, number]): Build =>
  (graph, nodes) =>
    affineDisplacement(graph, nodes.matrix, size, nodes.flow);
const parameters = (rotation: number[], scale: number[], translation: number[], shear = [0, 0, 0, 0, 0, 0]) => ({
  rotation: tensor([1, 3], rotation),
  scale: tensor([1, 3], scale),
  translation: tensor([1, 3], translation),
  shear: tensor([1, 6], shear),
});

describe('affine', () => {
  itGives(
    'no rotation, scale 1: the identity',
    { inputs: parameters([0, 0, 0], [1, 1, 1], [0, 0, 0]), build: matrix },
    { out: [1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0] },
  );
  itGives(
    'a quarter turn about z lays x on y, and turns the translation with it',
    { inputs: parameters([0, 0, Math.PI / 2], [1, 1, 1], [5, 0, 0]), build: matrix },
    { out: [0, -1, 0, 0, 1, 0, 0, 5, 0, 0, 1, 0] },
  );
  itGives(
    'scales stretch the axes; the shear xy adds x to y, and is not stretched by x',
    { inputs: parameters([0, 0, 0], [2, 3, 4], [1, 1, 1], [Math.PI / 4, 0, 0, 0, 0, 0]), build: matrix },
    { out: [2, 0, 0, 2, 3, 3, 0, 6, 0, 0, 4, 4] },
  );
  const identity = tensor([1, 3, 4], [1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0]);
  itGives('the identity moves nothing', { inputs: { matrix: identity }, build: field(2, 2, 2) }, { out: new Array(24).fill(0) });
  itGives(
    'twice as wide in x: voxels move away from the centre, 1 of 3 voxels on each side',
    { inputs: { matrix: tensor([1, 3, 4], [2, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0]) }, build: field(1, 1, 3) },
    { out: [0, 0, 0, 0, 0, 0, -1, 0, 1] },
  );
  itGives(
    'the last column (x, y, z) moves everything; components are z, y, x',
    { inputs: { matrix: tensor([1, 3, 4], [1, 0, 0, 1, 0, 1, 0, 2, 0, 0, 1, 3]) }, build: field(1, 1, 2) },
    { out: [3, 3, 2, 2, 1, 1] },
  );
  itGives(
    'the affine acts after the flow: a quarter turn about z turns a flow along x into one along y',
    {
      inputs: { matrix: tensor([1, 3, 4], [0, -1, 0, 0, 1, 0, 0, 0, 0, 0, 1, 0]), flow: tensor([1, 3, 1, 1, 1], [0, 0, 2]) },
      outWeight: Float32Array.of(7, 1, 0),
      build: field(1, 1, 1),
    },
    { out: [0, 2, 0], 'd flow': [7, 0, 1], 'd matrix': [0, 0, 0, 0, 2, 0, 0, 1, 14, 0, 0, 7] },
  );
  itMatchesGolden('affineMatrix', matrix);
  itMatchesGolden('affineDisplacement.alone', field(4, 3, 6));
  itMatchesGolden('affineDisplacement.flow', field(5, 4, 3));
  itHasItsGradients('affineMatrix');
  itHasItsGradients('affineDisplacement', 4);
  itAgreesOnRandomShapes('affineMatrix');
  itAgreesOnRandomShapes('affineDisplacement');
  itRefuses(
    'three shears',
    (graph) =>
      affineMatrix(graph, graph.input('r', [2, 3]), graph.input('s', [2, 3]), graph.input('t', [2, 3]), graph.input('h', [2, 3])),
    'affineMatrix: expects [N, 3], [N, 3], [N, 3], [N, 6], got [2, 3], [2, 3], [2, 3], [2, 3]',
  );
  itRefuses(
    'a flow of another size',
    (graph) => affineDisplacement(graph, graph.input('m', [1, 3, 4]), [4, 4, 4], graph.input('f', [1, 3, 4, 4, 5])),
    'affineDisplacement: flow expects [1, 3, 4, 4, 4], got [1, 3, 4, 4, 5]',
  );
});
