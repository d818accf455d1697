/** Diffusion weighting as vendors state it beside, or instead of, the standard's attributes: in private elements of single-frame files. */
import type { DataSet } from 'dicom-parser';
import { text } from './elements.ts';

interface PrivateElement {
  /** Who reserved the block of elements (PS3.5 7.8.1): the beginning of its name. */
  readonly creator: string;
  readonly group: string;
  /** Within the block. */
  readonly element: string;
  /** Private elements may have lost their VR: in implicit transfer syntaxes, or as UN. */
  readonly type: 'text' | 'float' | 'double';
}

const element = (creator: string, group: string, number: string, type: PrivateElement['type']): PrivateElement => ({
  creator,
  group,
  element: number,
  type,
});

const B_VALUES: readonly PrivateElement[] = [
  element('SIEMENS MR HEADER', '0019', '0c', 'text'),
  element('GEMS_PARM_01', '0043', '39', 'text'),
  element('Philips Imaging DD 001', '2001', '03', 'float'),
];
/** One element of three numbers, or three of one. */
const DIRECTIONS: readonly (readonly PrivateElement[])[] = [
  [element('SIEMENS MR HEADER', '0019', '0e', 'double')],
  ['bb', 'bc', 'bd'].map((number) => element('GEMS_ACQU_01', '0019', number, 'text')),
  ['b0', 'b1', 'b2'].map((number) => element('Philips MR Imaging DD 001', '2005', number, 'float')),
];
/** GE adds this to some b-values, as a mark. */
const GE_MARK = 1e9;

function numbersOf(data: DataSet, wanted: PrivateElement): number[] {
  for (let block = 0x10; block <= 0xff; block++) {
    const inHex = block.toString(16);
    const reserved = `x${wanted.group}00${inHex}`;
    if (data.elements[reserved] === undefined || !text(data, reserved).startsWith(wanted.creator)) continue;
    const tag = `x${wanted.group}${inHex}${wanted.element}`;
    const length = data.elements[tag]?.length ?? 0;
    const read = {
      text: () =>
        text(data, tag)
          .split('\\')
          .map((part) => (part.trim() === '' ? Number.NaN : Number(part))),
      float: () => Array.from({ length: length >> 2 }, (_, k) => data.float(tag, k) ?? Number.NaN),
      double: () => Array.from({ length: length >> 3 }, (_, k) => data.double(tag, k) ?? Number.NaN),
    };
    return length === 0 ? [] : read[wanted.type]();
  }
  return [];
}

/** The b-value in s/mm2 and the gradient's direction; absent where the file states none. */
export function privateDiffusion(data: DataSet): { readonly bValue?: number; readonly direction?: readonly number[] } {
  const [bValue] = B_VALUES.map((one) => numbersOf(data, one)[0]).filter(Number.isFinite);
  const [direction] = DIRECTIONS.map((elements) => elements.flatMap((one) => numbersOf(data, one))).filter(
    (numbers) => numbers.length === 3 && numbers.every(Number.isFinite),
  );
  return { ...(bValue !== undefined && { bValue: bValue % GE_MARK }), ...(direction && { direction }) };
}
