import { readdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';
import { checkStudy } from '../src/study/check.ts';

const results = fileURLToPath(new URL('../docs/results', import.meta.url));

it('tables of published studies follow from the scores of their subjects', async () => {
  // older studies are tables alone: the scores of their subjects were not kept
  const studies = readdirSync(results, { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('scores.csv'))
    .map((name) => join(results, dirname(name)));
  expect(studies.length).toBeGreaterThan(0);
  for (const study of studies) expect({ study, ...(await checkStudy(study)) }).toMatchObject({ study, differences: [] });
});
