/**
 * The report's page: what the run is, what it achieved on held-out pairs, what that looks like, how training went, how to go on.
 * Everything is in the one document: no address is loaded, and the page's own policy forbids it. All figures stand in the markup;
 * only the curves need scripts. It draws no conclusion that the figures do not: worse is called worse.
 */
import { lossName } from '../methods/judgement/names.ts';
import { CHART_SCRIPT } from './chart-script.ts';
import { type Chart, chartsOf } from './charts.ts';
import { type Html, html, jsonScript, trusted } from './html.ts';

import { isJudgedByPairs, type RunData } from './run-data.ts';
import { facts, type RunContent, resultSections } from './sections.ts';
import { STYLE } from './style.ts';

/** A command that goes on from a run. */
export interface NextCommand {
  readonly title: string;
  readonly text: string;
  readonly command: string;
}

export interface PageContent extends RunContent {
  readonly title: string;
  readonly commands: readonly NextCommand[];
  /** uPlot's own files. */
  readonly plotScript: string;
  readonly plotStyle: string;
  readonly version: string;
}

// --- how training went ---

function chartFigures(charts: readonly Chart[], first: number): Html {
  return html`<div class="charts">${charts.map(
    ({ title, unit, logarithmic, summary }, k) =>
      html`<figure class="chart"><h3>${title} <span class="unit">${[unit, logarithmic && 'logarithmic'].filter(Boolean).join(', ')}</span></h3><div id="chart-${first + k}"></div><p>${summary}</p></figure>`,
  )}</div>`;
}

// --- the page ---

const list = (items: readonly string[]): string =>
  items.length < 2 ? items.join('') : `${items.slice(0, -1).join(', ')} and ${items.at(-1)}`;

/** What the loss of a pre-training is, from the terms that its log has. */
function lossNote({ steps }: RunData): string {
  const terms = Object.keys(steps.at(-1)?.loss ?? {}).filter((name) => name !== 'total');
  return terms.length === 0
    ? 'The loss is minimised.'
    : terms.length === 1
      ? `The loss is ${lossName(terms[0])}.`
      : `The total is the weighted sum of ${list(terms.map(lossName))}; the curves of these are without their weights.`;
}

/** The whole document. */
export function renderPage(content: PageContent): string {
  const { title, data, commands, version } = content;
  const { task } = data.run;
  const byPairs = isJudgedByPairs(data);
  const charts = chartsOf(data);
  const all = [...charts.evaluation, ...charts.training];
  const once = data.evaluations.length === 1 ? ' There are no evaluation curves after a single evaluation.' : '';
  const noCurves = all.length === 0;
  // Scripts and styles of the page itself and pictures inside it; no address at all.
  const policy = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'";
  const page = html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="${trusted(policy)}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${title}</title>
<link rel="icon" href="data:,">
<style>${trusted(content.plotStyle)}${trusted(STYLE)}</style>
</head>
<body>
<main>
<header>
<p class="kind">${data.run.method === undefined && !task ? 'Geometric visual similarity learning: report' : 'Report'} of a ${task ? 'training on a task' : 'pre-training run'}</p>
<h1>${title}</h1>
${facts(data)}
</header>
${resultSections(content)}
<section>
<h2>Training curves</h2>
${
  noCurves
    ? html`<p class="note">No curves yet: the log has fewer than two entries.</p>`
    : html`<p class="note">The x axis shows optimiser steps. Thin lines are logged values, thick lines their running mean. Drag over a chart to zoom in, double-click to reset.${once}</p>
<noscript><p class="note">The curves need JavaScript; the first and last values are below each.</p></noscript>`
}
${charts.evaluation.length > 0 && html`<h3>On ${task ? 'validation subjects' : byPairs ? 'held-out pairs' : 'held-out subjects'}</h3>${chartFigures(charts.evaluation, 0)}`}
${charts.training.length > 0 && html`<h3>On training ${byPairs ? 'pairs' : 'subjects'}</h3><p class="note">${task ? 'The loss is minimised.' : lossNote(data)} The gradient norms of ${list(['the U-Net', 'each head'])} show whether every part is training; a part whose norm falls to zero is not.</p>${chartFigures(charts.training, charts.evaluation.length)}`}
</section>
<section>
<h2>Next steps</h2>
${commands.map(({ title: name, text, command }) => html`<h3>${name}</h3><p class="note">${text}</p><pre><code>${command}</code></pre>`)}
</section>
${
  data.run.configuration &&
  html`<section><h2>Configuration</h2><details><summary>Full configuration of this run, for gvsl ${task ? 'train' : 'pretrain'} --config</summary><pre><code>${JSON.stringify(data.run.configuration, null, 2)}</code></pre></details></section>`
}
<footer>Written by gvsl ${version} from ${data.folder}. This file is self-contained and loads nothing.</footer>
</main>
${
  !noCurves &&
  html`<script type="application/json" id="charts">${jsonScript(all)}</script>
<script>${trusted(content.plotScript)}</script>
<script>${trusted(CHART_SCRIPT)}</script>`
}
</body>
</html>
`;
  return page.html;
}
