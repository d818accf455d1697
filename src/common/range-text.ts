/** The ends of an interval as tables have them: ' (0.1 to 0.3)'; nothing where there are none. */
export const rangeText = (
  { low, high }: { readonly low: number | null; readonly high: number | null },
  text: (end: number) => string,
): string => (low === null || high === null ? '' : ` (${text(low)} to ${text(high)})`);
