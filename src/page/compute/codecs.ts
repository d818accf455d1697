/** Where the page keeps the decoders of compressed DICOM; each is fetched when the first file needs it. */
import charls from '@cornerstonejs/codec-charls/decodewasm?url';
import libjpeg from '@cornerstonejs/codec-libjpeg-turbo-8bit/decodewasm?url';
import openjpeg from '@cornerstonejs/codec-openjpeg/decodewasm?url';
import openjph from '@cornerstonejs/codec-openjph/wasm?url';
import { codecsLieAt } from '../../images/dicom/codecs.ts';

/** Tells the decoders where their files are. */
export const placeCodecs = (): void =>
  codecsLieAt({
    'charlswasm_decode.wasm': charls,
    'libjpegturbowasm_decode.wasm': libjpeg,
    'openjpegwasm_decode.wasm': openjpeg,
    'openjphjs.wasm': openjph,
  });
