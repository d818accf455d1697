/** Texts of users in Markdown. */
const ENTITIES: Readonly<Record<string, string>> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '|': '\\|' };

/** A name as text of a Markdown table: names come from users, and nothing in them may end the cell, or be a tag. */
export const markdownCell = (text: string): string =>
  text.replaceAll(/\s+/g, ' ').replaceAll(/[&<>|]/g, (sign) => ENTITIES[sign]);
