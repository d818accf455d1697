/** The report's style sheet: one column of text, tables in tabular figures, light and dark by the reader's scheme, light on paper. */

/** Colours of the light scheme, as properties. */
export const LIGHT = `  --ground: #ffffff; --panel: #f6f7f8; --line: #dfe2e6; --ink: #1b1f24; --muted: #5a636e; --link: #1b5fae;
  --good: #18794e; --bad: #b42318;
  --before: #808892; --affine: #6aa3e4; --after: #1c5cab;
  --series-1: #1c5cab; --series-2: #d0641c; --series-3: #17866a; --series-4: #8147ad; --series-5: #98720a; --series-6: #ad3a64;
`;
/** Of the dark one. */
export const DARK = `  --ground: #14171a; --panel: #1c2024; --line: #33393f; --ink: #e7e9ec; --muted: #9ba4ae; --link: #7ab3f2;
  --good: #4cc38a; --bad: #ff8a7a;
  --before: #8a939d; --affine: #4d86c6; --after: #8cc0fa;
  --series-1: #6aaaf2; --series-2: #ee8b4a; --series-3: #3dba94; --series-4: #b98ae0; --series-5: #d2a93c; --series-6: #e77fa1;
`;
/** What stands in a report: facts, tables, pictures, charts. */
export const CONTENT = `.note, figcaption, .chart p { color: var(--muted); font-size: 13.5px; }
.lead { font-size: 17px; margin: 20px 0 0; }
a { color: var(--link); }
.facts { display: grid; grid-template-columns: repeat(auto-fill, minmax(215px, 1fr)); gap: 14px 28px; margin: 22px 0 0; }
.facts div { min-width: 0; }
.facts dt { color: var(--muted); font-size: 13px; }
.facts dd { margin: 0; overflow-wrap: anywhere; font-variant-numeric: tabular-nums; }
.scroll { overflow-x: auto; margin: 12px 0 10px; }
.pair .scroll { margin: 4px 0 6px; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { padding: 7px 12px; border-bottom: 1px solid var(--line); text-align: left; vertical-align: middle; white-space: nowrap; }
th { font-weight: 500; color: var(--muted); font-size: 13px; vertical-align: bottom; }
thead th { white-space: normal; }
tbody th { font-weight: 500; color: var(--ink); font-size: 15px; vertical-align: middle; }
tr > :first-child { padding-left: 0; }
tr > :last-child { padding-right: 0; }
.n { text-align: right; }
.unit { color: var(--muted); font-size: 13px; font-weight: 400; }
.headline td { font-size: 17px; padding-top: 10px; padding-bottom: 10px; }
.headline tbody th { padding-right: 24px; }
.headline .final { font-weight: 620; }
.good { color: var(--good); }
.bad { color: var(--bad); }
.plot { width: 34%; min-width: 190px; }
td.plot svg { display: block; width: 100%; height: 16px; overflow: visible; }
.key { display: inline-flex; gap: 16px; flex-wrap: wrap; font-size: 13px; color: var(--muted); }
.key span { white-space: nowrap; }
.key svg { width: 12px; height: 12px; margin-right: 5px; vertical-align: -1px; overflow: visible; }
.pair { margin: 0 0 30px; break-inside: avoid; }
.strip { min-width: 680px; background: #18181c; border-radius: 4px; overflow: hidden; }
.strip img { display: block; width: 100%; height: auto; }
.panels { display: grid; grid-auto-flow: column; grid-auto-columns: 1fr; min-width: 680px; color: var(--muted); font-size: 13px; text-align: center; padding: 2px 0 4px; }
.charts { display: grid; grid-template-columns: repeat(2, minmax(0, 1fr)); gap: 26px 32px; margin-top: 16px; }
.chart { margin: 0; min-width: 0; break-inside: avoid; }
.chart h3 { margin: 0 0 4px; }
.chart p { margin: 2px 0 0; }
.uplot { font-family: inherit; }
.u-legend { text-align: left; font-size: 13px; }
.u-legend.u-inline .u-series { padding: 0; margin-right: 10px; }
.u-legend th, .u-legend td { border: 0; padding: 2px 3px 2px 0; font-size: 13px; font-weight: 400; color: var(--muted); }
.u-legend.u-inline .u-series > th::after { content: ''; }
.u-legend .u-marker { width: 14px; height: 3px; border-radius: 1px; margin-right: 5px; }
.u-legend .u-series:first-child .u-marker { display: none; }
.u-legend .u-value { color: var(--ink); min-width: 5ch; display: inline-block; }
.u-legend .faint { display: none; }
`;

/** The whole sheet. Screens choose the scheme; paper, and `data-scheme="light"` while printing, take the light one. */
export const STYLE = `
:root {
  color-scheme: light dark;
${LIGHT}}
@media screen and (prefers-color-scheme: dark) {
  :root:not([data-scheme='light']) {
${DARK}  }
}
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; }
body {
  margin: 0; background: var(--ground); color: var(--ink);
  font: 15px/1.55 system-ui, -apple-system, 'Segoe UI', 'Helvetica Neue', Arial, sans-serif;
}
main { max-width: 1120px; margin: 0 auto; padding: 40px 28px 56px; }
header { border-bottom: 1px solid var(--line); padding-bottom: 20px; }
.kind { margin: 0 0 6px; color: var(--muted); font-size: 13px; }
h1 { margin: 0; font-size: 28px; line-height: 1.25; font-weight: 620; letter-spacing: -0.01em; overflow-wrap: anywhere; }
h2 { margin: 48px 0 8px; font-size: 19px; line-height: 1.3; font-weight: 620; }
h3 { margin: 28px 0 6px; font-size: 15px; font-weight: 620; overflow-wrap: anywhere; }
p { margin: 0 0 12px; max-width: 74ch; }
${CONTENT}pre { background: var(--panel); border: 1px solid var(--line); border-radius: 4px; padding: 12px 14px; margin: 6px 0 16px; white-space: pre-wrap; overflow-wrap: anywhere; font: 13px/1.6 ui-monospace, SFMono-Regular, Menlo, Consolas, 'DejaVu Sans Mono', monospace; }
summary { cursor: pointer; color: var(--link); }
footer { margin-top: 48px; padding-top: 16px; border-top: 1px solid var(--line); color: var(--muted); font-size: 13px; }
@media (max-width: 760px) {
  main { padding: 24px 16px 40px; }
  .charts { grid-template-columns: minmax(0, 1fr); }
  .facts { grid-template-columns: repeat(2, minmax(0, 1fr)); gap: 12px 18px; }
  h1 { font-size: 23px; }
  th, td { padding: 6px; }
  .headline td { font-size: 15px; }
}
@media print {
  main { max-width: none; padding: 0; }
  body { font-size: 11pt; }
  .strip, .panels { min-width: 0; }
  .scroll { overflow: visible; }
  tr, pre { break-inside: avoid; }
  h2, h3 { break-after: avoid; }
  details { display: none; }
  .u-legend .u-value { display: none; }
}
`;
