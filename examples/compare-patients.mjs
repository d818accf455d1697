// Compares two patients by a pre-trained network: how alike their global features are, and where landmarks of one lie in the other.
//   node examples/compare-patients.mjs MODEL A.nii.gz B.nii.gz
import { load } from 'gvsl';

const [modelPath, a, b] = process.argv.slice(2);
if (!b) {
  console.error('usage: node examples/compare-patients.mjs MODEL A.nii.gz B.nii.gz');
  process.exit(2);
}

/** Cosine of the angle between two vectors: 1 for the same direction. */
function cosine(u, v) {
  let [dot, uu, vv] = [0, 0, 0];
  for (let i = 0; i < u.length; i++) {
    dot += u[i] * v[i];
    uu += u[i] ** 2;
    vv += v[i] ** 2;
  }
  return dot / Math.sqrt(uu * vv);
}

const model = await load(modelPath);
try {
  const [featuresA, featuresB] = [await model.embed(a), await model.embed(b)];
  console.log(`similarity of the global features: ${cosine(featuresA.global, featuresB.global).toFixed(4)}`);

  // b is the moving image: points of a are mapped to points of b
  const { ncc, mapPoint } = await model.register(b, a);
  for (const { stage, value } of ncc) console.log(`correlation, ${stage}: ${value.toFixed(4)}`);
  const { originMm } = featuresA.geometry;
  console.log(
    `the corner of a, ${originMm.map((mm) => mm.toFixed(1))} mm (LPS), lies at ${mapPoint(originMm).map((mm) => mm.toFixed(1))} mm in b`,
  );
} finally {
  await model.close();
}
