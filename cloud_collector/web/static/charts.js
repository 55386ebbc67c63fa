// Draws each curve again with uPlot, to zoom into, and takes the place of the server's drawing. Without a script, or
// where anything fails, that one stays. A gap is a gap: what nobody metered is null and never zero.
"use strict";
const shade = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const paint = () => {
  // A colour in the sheet is `light-dark(a, b)`: only an element knows which of them it is.
  const probe = document.body.appendChild(document.createElement("i"));
  const found = {};
  for (const name of ["--accent", "--warn", "--soft", "--line"]) {
    probe.style.color = shade(name);
    found[name] = getComputedStyle(probe).color;
  }
  probe.remove();
  return found;
};

const draw = (holder, curve) => {
  const ink = paint();
  const metered = curve.bars.map((bar) => (bar.amount === null || (bar.gap_seconds && Number(bar.amount) === 0) ? null : Number(bar.amount)));
  const times = curve.bars.map((bar) => Date.parse(bar.start) / 1000);
  const estimated = curve.bars.map((bar, at) => (bar.estimated || bar.gap_seconds ? metered[at] : null));
  const said = (options) => new Intl.DateTimeFormat("en-GB", { timeZone: holder.dataset.zone, ...options });
  const day = said({ day: "numeric", month: "short" });
  const hour = said({ hour: "2-digit", minute: "2-digit" });
  const told = (at) => (hour.format(at * 1e3) === "00:00" ? day.format(at * 1e3) : hour.format(at * 1e3));
  const axis = { stroke: ink["--soft"], grid: { stroke: ink["--line"] }, ticks: { stroke: ink["--line"] } };
  const steps = uPlot.paths.bars({ size: [0.8, 60] });
  new uPlot(
    {
      width: holder.clientWidth,
      height: 240,
      tzDate: (at) => uPlot.tzDate(new Date(at * 1e3), holder.dataset.zone),
      scales: { y: { range: (_, low, high) => [Math.min(0, low), high || 1] } },
      axes: [{ ...axis, values: (_, splits) => splits.map(told) }, { ...axis, size: 70 }],
      series: [
        { label: "from", value: (_, at) => (at === null ? "" : `${day.format(at * 1e3)} ${hour.format(at * 1e3)}`) },
        { label: `${curve.meter}, ${curve.unit}`, stroke: ink["--accent"], fill: ink["--accent"], paths: steps, points: { show: false } },
        { label: "partly estimated", stroke: ink["--warn"], fill: ink["--warn"], paths: steps, points: { show: false } },
      ],
    },
    [times, metered, estimated],
    holder,
  );
  holder.parentElement.querySelector(".figure").hidden = true;
};

for (const holder of document.querySelectorAll("[data-curve]")) {
  fetch(holder.dataset.curve, { headers: { Accept: "application/json" } })
    .then((answer) => (answer.ok ? answer.json() : []))
    .then((curves) => {
      const curve = curves.find((each) => each.meter === holder.dataset.meter);
      if (curve) draw(holder, curve);
    })
    .catch(() => {});
}
