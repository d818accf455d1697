/** '1 slice', '2 slices'. */
export const counted = (count: number, thing: string): string => `${count} ${thing}${count === 1 ? '' : 's'}`;

/** '12 subjects'; where some patients have several scans, '12 scans of 7 patients'. */
export const countedScans = (subjects: number, patients: number | undefined): string =>
  patients === undefined ? counted(subjects, 'subject') : `${counted(subjects, 'scan')} of ${counted(patients, 'patient')}`;
