import { expect, it } from 'vitest';
import { bytesOf, modelFiles, noRuns, nothingToOpen } from './chosen-files.ts';

it('says of a choice without images what it holds, what is expected, and what to do', () => {
  expect(nothingToOpen([], [])).toMatch(/^The folder is empty\. Expected a scan as DICOM, NIfTI .*: choose the folder/);
  const notes = ['scans/a.txt', 'scans/deep/b.TXT', 'scans/c.pdf', 'scans/README'];
  expect(nothingToOpen(notes, [])).toMatch(
    /^scans: no image to open\. Found 4 files \(\.txt, \.pdf, without an ending\)\. Expected a scan as .*: choose the folder or the files/,
  );
  expect(nothingToOpen(['study/1.dcm', 'study/notes.txt'], ['study/1.dcm: a structured report'])).toMatch(
    /^study: no image to open\. Found study\/1\.dcm: a structured report; and 1 file \(\.txt\)\. Expected .*: choose/,
  );
  // a thousand of them are no thousand lines
  const many = Array.from({ length: 1000 }, (_, k) => `study/${k}.dcm`);
  expect(
    nothingToOpen(
      many,
      many.map((path) => `${path}: a segmentation`),
    ),
  ).toMatch(/Found study\/0\.dcm: a segmentation; .*; and 995 more\. Expected .*: choose/);
  // files one by one have no folder
  expect(nothingToOpen(['a.txt', 'b.txt'], [])).toMatch(/^no image to open\. Found 2 files \(\.txt\)/);
});

it('says so of models, runs and files that are gone', async () => {
  const file = new Blob();
  expect(() => modelFiles([{ path: 'scans/1.dcm', file }])).toThrow(
    /^scans: expected config\.json and model\.safetensors, .* found neither among 1 file\. Choose the folder/,
  );
  expect(() => modelFiles([])).toThrow(/^an empty folder: expected .* found neither among 0 files\. Choose/);
  expect(noRuns(['scans/1.dcm', 'scans/2.dcm'])).toMatch(
    /^scans: no run and no study among 2 files\. Expected run\.json .*: choose their folder/,
  );
  const gone = { arrayBuffer: () => Promise.reject(new Error('NotReadableError')) } as unknown as Blob;
  await expect(bytesOf({ path: 'model/config.json', file: gone })).rejects.toThrow(
    /^model\/config\.json: it can no longer be read: .* Choose it again$/,
  );
});
