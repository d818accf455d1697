/** What DICOM objects are, in words: those without intensities of a scan are passed over by name (PS3.4 annex B.5). */
const STORAGE = '1.2.840.10008.5.1.4.1.1.';

/** SOP classes below STORAGE that hold no image intensities. A trailing dot: the class and all below it. */
const NOT_IMAGES: readonly (readonly [string, string])[] = [
  ['66.4', 'DICOM SEG (segmentation)'],
  ['66.5', 'DICOM surface segmentation'],
  ['66.6', 'DICOM tractography'],
  ['66.7', 'DICOM SEG (label map segmentation)'],
  ['66.8', 'DICOM SEG (height map segmentation)'],
  ['66.1', 'DICOM REG (spatial registration)'],
  ['66.2', 'DICOM spatial fiducials'],
  ['66.3', 'DICOM REG (deformable registration)'],
  ['66', 'DICOM raw data'],
  ['67', 'DICOM RWV (real world value mapping)'],
  ['68.', 'DICOM surface scan'],
  ['11.', 'DICOM PR (presentation state)'],
  ['88.59', 'DICOM KO (key object selection)'],
  ['88.', 'DICOM SR (structured report)'],
  ['104.', 'DICOM encapsulated document'],
  ['4.2', 'DICOM MR spectroscopy'],
  ['9.', 'DICOM waveform'],
  ['9', 'DICOM curve'],
  ['8', 'DICOM overlay'],
  ['481.2', 'DICOM RTDOSE (dose, not an image)'],
  ['481.3', 'DICOM RTSTRUCT (structures)'],
  ['481.5', 'DICOM RTPLAN (treatment plan)'],
  ['481.8', 'DICOM RTPLAN (ion plan)'],
  ['481.4', 'DICOM RTRECORD (treatment record)'],
  ['481.6', 'DICOM RTRECORD (treatment record)'],
  ['481.7', 'DICOM RTRECORD (treatment record)'],
  ['481.9', 'DICOM RTRECORD (treatment record)'],
  ['200.', 'DICOM procedure protocol'],
];

/** By modality, for SOP classes that are not known here (private or newer ones). */
const NOT_IMAGE_MODALITIES: Readonly<Record<string, string>> = {
  SEG: 'DICOM SEG (segmentation)',
  SR: 'DICOM SR (structured report)',
  PR: 'DICOM PR (presentation state)',
  KO: 'DICOM KO (key object selection)',
  REG: 'DICOM REG (registration)',
  RTDOSE: 'DICOM RTDOSE (dose, not an image)',
  RTSTRUCT: 'DICOM RTSTRUCT (structures)',
  RTPLAN: 'DICOM RTPLAN (treatment plan)',
  RTRECORD: 'DICOM RTRECORD (treatment record)',
  DOC: 'DICOM encapsulated document',
  ECG: 'DICOM waveform',
  AU: 'DICOM waveform',
};

export const PARAMETRIC_MAP = `${STORAGE}30`;
export const NUCLEAR_MEDICINE = `${STORAGE}20`;

/** What an object is if it is none with intensities, else null. */
export function nonImageKind(sopClass: string, modality: string): string | null {
  if (sopClass === '1.2.840.10008.1.3.10') return 'DICOMDIR (an index of files)';
  if (/^1\.2\.840\.10008\.5\.1\.4\.(38|39|43|44|45)\./.test(sopClass)) return 'DICOM protocol or implant template';
  if (sopClass.startsWith(STORAGE)) {
    const own = sopClass.slice(STORAGE.length);
    const known = NOT_IMAGES.find(([uid]) => own === uid || (uid.endsWith('.') && own.startsWith(uid)));
    if (known) return known[1];
    // classes of the standard that hold pixels, whatever their modality says
    if (/^(1|2|3|4|6|7|12|13|20|30|77|128|130|481\.1)(\.|$)/.test(own)) return null;
  }
  return NOT_IMAGE_MODALITIES[modality] ?? null;
}
