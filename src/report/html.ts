/**
 * Building HTML from text that nobody checked: whatever is put into the template `html` is escaped, unless it is itself such a
 * template. So a subject named `<script>` is only a strange name. It knows text and attribute values in quotes; not URLs, style
 * or script, which the page writes from constants only.
 */

/** Markup that is safe to put into a page as it is. */
export interface Html {
  readonly html: string;
}

/** What a template takes: markup as it is, text and numbers escaped, nothing for null, undefined and false, lists one after the other. */
export type Content = Html | string | number | null | undefined | false | readonly Content[];

const ENTITIES: Readonly<Record<string, string>> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&#39;' };

function render(content: Content): string {
  if (content === null || content === undefined || content === false) return '';
  if (typeof content === 'string' || typeof content === 'number')
    return String(content).replace(/[&<>"']/g, (character) => ENTITIES[character]);
  return 'html' in content ? content.html : content.map(render).join('');
}

/** The template: html`<td>${name}</td>`. */
export const html = (markup: TemplateStringsArray, ...contents: readonly Content[]): Html => ({
  html: markup.reduce((page, part, k) => page + render(contents[k - 1]) + part),
});

/** Text that is markup already: constants of ours, and what others wrote to be put into pages (uPlot's files). */
export const trusted = (text: string): Html => ({ html: text });

/** A value as JSON inside a script element: with no `<`, nothing in it can end the element. */
export const jsonScript = (value: unknown): Html => ({ html: JSON.stringify(value).replaceAll('<', '\\u003c') });
