// Segments every scan of a folder, and prints the volume of each structure.
//   node examples/segment-folder.mjs MODEL SCANS OUT
import { load, segmentImages } from 'gvsl';

const [modelPath, scans, out] = process.argv.slice(2);
if (!out) {
  console.error('usage: node examples/segment-folder.mjs MODEL SCANS OUT');
  process.exit(2);
}
const stop = new AbortController();
process.once('SIGINT', () => stop.abort());

const model = await load(modelPath);
try {
  const report = await segmentImages({
    model,
    inputs: [scans],
    out,
    signal: stop.signal,
    progress: ({ done, total, unit, text }) => process.stderr.write(`\r${done}/${total} ${unit} ${text ?? ''}`),
  });
  for (const { name, structures } of report.images)
    for (const { name: structure, volumeMl } of structures) console.log(`${name}  ${structure}  ${volumeMl.toFixed(1)} mL`);
  for (const { path, reason } of report.failed) console.error(`${path}: ${reason}`);
} finally {
  await model.close();
}
