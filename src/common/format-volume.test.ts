import { expect, it } from 'vitest';
import { formatMl } from './format-volume.ts';

it('tells volumes in hundredths of a ml, and smaller ones too', () => {
  expect([0, 123.456, 2, 0.1, 0.0375, 0.00125].map(formatMl)).toEqual(['0.00', '123.46', '2.00', '0.10', '0.037', '0.0013']);
});
