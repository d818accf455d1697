/**
 * The page's own script, as text: draws the charts that the page holds as JSON with uPlot, in the style sheet's colours, again when the
 * reader's colour scheme or the page's width changes, and in light colours for printing. Everything else on the page stands without it.
 */

export const CHART_SCRIPT = String.raw`'use strict';
(() => {
  const charts = JSON.parse(document.getElementById('charts').textContent);
  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const superscript = (n) => String(n).replace('-', '\u207b').replace(/\d/g, (d) => '\u2070\u00b9\u00b2\u00b3\u2074\u2075\u2076\u2077\u2078\u2079'[d]);
  const show = (value) => value == null ? '\u2013' : value !== 0 && (Math.abs(value) < 1e-3 || Math.abs(value) >= 1e5) ? value.toExponential(2) : String(+value.toPrecision(4));
  const tick = (value, logarithmic) => {
    if (value == null) return '';
    if (!logarithmic) return Math.abs(value) >= 1e4 ? value / 1e3 + 'k' : String(+value.toPrecision(6));
    const exponent = Math.log10(value);
    return Math.abs(exponent - Math.round(exponent)) > 1e-9 ? '' : Math.abs(exponent) < 3 ? String(+value.toPrecision(3)) : '10' + superscript(Math.round(exponent));
  };
  let drawn = [];
  function draw() {
    for (const chart of drawn) chart.destroy();
    const [ink, line, ground] = [colour('--muted'), colour('--line'), colour('--ground')];
    const font = '12px ' + getComputedStyle(document.body).fontFamily;
    drawn = charts.map((chart, k) => {
      const place = document.getElementById('chart-' + k);
      // On a logarithmic axis, lines at the powers of ten only.
      const decades = (_, values) => values.map((value) => Number.isInteger(+Math.log10(value).toFixed(9)) ? value : null);
      const axis = (logarithmic) => ({
        stroke: ink, font, gap: 4,
        grid: { stroke: line, width: 1, ...(logarithmic && { filter: decades }) },
        ticks: { stroke: line, width: 1, size: 4, ...(logarithmic && { filter: decades }) },
        values: (_, values) => values.map((value) => tick(value, logarithmic)),
      });
      const few = chart.steps.length <= 40;
      return new uPlot({
        width: place.clientWidth, height: 230, padding: [8, 12, 0, 0],
        legend: { markers: { width: 0, fill: (plot, k) => chart.series[k - 1] ? colour(chart.series[k - 1].colour) : ground } },
        cursor: { drag: { x: true, y: false }, points: { size: 6 } },
        scales: {
          x: { time: false },
          y: chart.logarithmic ? { distr: 3 } : { range: {
            min: { pad: 0.1, soft: 0, mode: 2 },
            // A share that is nowhere more than a tenth of a percent is drawn as the flat line that it is.
            max: { pad: 0.1, ...(chart.unit === '%' && { soft: 0.1, mode: 1 }) },
          } },
        },
        axes: [{ ...axis(false), size: 30 }, { ...axis(chart.logarithmic), size: 52 }],
        series: [
          { label: 'step', value: (_, value) => value == null ? '\u2013' : String(Math.round(value)) },
          ...chart.series.map((series) => {
            const stroke = colour(series.colour);
            return series.faint
              ? { label: series.label, class: 'faint', stroke: stroke + '4d', width: 1, points: { show: false }, spanGaps: true }
              : {
                  label: series.label, stroke, width: 2, spanGaps: true, value: (_, value) => show(value),
                  dash: series.colour === '--before' ? [4, 4] : undefined,
                  // what stands alone has no line
                  points: { show: few && (!chart.series.some((other) => other.faint) || series.values.filter((value) => value != null).length < 3), size: 6, fill: ground, stroke },
                };
          }),
        ],
      }, [chart.steps, ...chart.series.map((series) => series.values)], place);
    });
  }
  draw();
  matchMedia('(prefers-color-scheme: dark)').addEventListener('change', draw);
  let timer;
  addEventListener('resize', () => {
    clearTimeout(timer);
    timer = setTimeout(() => drawn.forEach((chart, k) => chart.setSize({ width: document.getElementById('chart-' + k).clientWidth, height: 230 })), 100);
  });
  addEventListener('beforeprint', () => { document.documentElement.dataset.scheme = 'light'; draw(); });
  addEventListener('afterprint', () => { delete document.documentElement.dataset.scheme; draw(); });
})();
`;
