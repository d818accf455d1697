/** A structure's volume in ml for people: to a hundredth, and of what is smaller two digits, since 0.00 would say that nothing was found. */
export const formatMl = (ml: number): string => (ml > 0 && ml < 0.1 ? ml.toPrecision(2) : ml.toFixed(2));
