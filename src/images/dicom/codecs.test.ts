import { expect, it, vi } from 'vitest';
import { decoderOf } from './codecs.ts';

vi.mock('@cornerstonejs/codec-charls/decodewasmjs', () => {
  throw new Error('not here');
});

it('tells a decoder that is missing from a frame that is damaged', async () => {
  const decode = decoderOf('1.2.840.10008.1.2.4.80')(Uint8Array.of(0xff, 0xd8, 0xff, 0xd9), {
    rows: 1,
    columns: 1,
    bitsAllocated: 8,
  });
  await expect(decode).rejects.toThrow(/^the decoder of its compressed frames cannot be loaded \(.*\): install gvsl again$/);
});
