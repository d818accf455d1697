// From CommonJS, and so from Jest as it is configured by default: the package is ESM, and `await import` loads it.
//   node examples/commonjs.cjs MODEL SCAN
async function segment(modelPath, scan) {
  const { load } = await import('gvsl');
  const model = await load(modelPath);
  try {
    return (await model.segment(scan)).structures;
  } finally {
    await model.close();
  }
}

module.exports = { segment };

// in a Jest test: test('finds the heart', async () => expect((await segment(model, scan))[0].voxels).toBeGreaterThan(0));
if (require.main === module) {
  const [model, scan] = process.argv.slice(2);
  if (!scan) {
    console.error('usage: node examples/commonjs.cjs MODEL SCAN');
    process.exit(2);
  }
  segment(model, scan).then((structures) => {
    for (const { name, voxels } of structures) console.log(`${name}: ${voxels} voxels`);
  });
}
