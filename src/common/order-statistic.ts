/**
 * The value that sorting would bring to a place, without sorting the others (Hoare's selection; linear time on average).
 * @param values none of them NaN; their order changes
 * @param place 0 for the least, to `values.length - 1` for the greatest
 */
export function orderStatistic(values: Float32Array | Float64Array, place: number): number {
  let [low, high] = [0, values.length - 1];
  while (low < high) {
    // the middle, so that values in order are no bad case
    const pivot = values[(low + high) >> 1];
    let [i, j] = [low, high];
    while (i <= j) {
      while (values[i] < pivot) i++;
      while (values[j] > pivot) j--;
      if (i > j) break;
      const value = values[i];
      values[i++] = values[j];
      values[j--] = value;
    }
    if (place <= j) high = j;
    else if (place >= i) low = i;
    else break;
  }
  return values[place];
}
