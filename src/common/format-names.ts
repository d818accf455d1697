/** Names for messages. */

/** All of a few names, or the first `most` of them and how many more there are. */
export const formatNames = (names: readonly string[], most = 3): string =>
  names.length <= most + 1 ? names.join(', ') : `${names.slice(0, most).join(', ')} and ${names.length - most} more`;
