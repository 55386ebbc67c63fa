// Draws the days that stand in the table below it; what is not known stays empty and is hatched. Without it the table says all.

(() => {
  const resolved = (name) => {
    const probe = document.createElement("span");
    probe.style.color = `var(${name})`;
    document.body.append(probe);
    const found = getComputedStyle(probe).color;
    probe.remove();
    return found;
  };

  const hatched = (plot, rows, colour) => {
    const { ctx, bbox } = plot;
    ctx.save();
    ctx.strokeStyle = colour;
    ctx.lineWidth = Math.max(1, devicePixelRatio);
    const width = bbox.width / Math.max(1, rows.length);
    rows.forEach((row, at) => {
      if (row.state !== "gap") return;
      const left = plot.valToPos(at, "x", true) - width * 0.4;
      ctx.save();
      ctx.beginPath();
      ctx.rect(left, bbox.top, width * 0.8, bbox.height);
      ctx.clip();
      ctx.beginPath();
      for (let x = left - bbox.height; x < left + width; x += 7 * devicePixelRatio) {
        ctx.moveTo(x, bbox.top + bbox.height);
        ctx.lineTo(x + bbox.height, bbox.top);
      }
      ctx.stroke();
      ctx.restore();
    });
    ctx.restore();
  };

  const draw = (box) => {
    const place = box.querySelector(".chart");
    const rows = [...box.querySelectorAll("tbody tr")].map((row) => ({
      label: row.dataset.day,
      value: row.dataset.value === "" ? null : Number(row.dataset.value),
      state: row.dataset.state,
    }));
    if (rows.length === 0) return;
    const soft = resolved("--soft");
    const line = resolved("--line");
    const bars = uPlot.paths.bars({ size: [0.8, 60] });
    const series = (colour) => ({ fill: colour, stroke: colour, width: 0, paths: bars, points: { show: false }, spanGaps: false });
    const pick = (wanted) => rows.map((row) => (wanted(row) ? row.value : null));
    const estimated = (row) => row.state === "estimated" || row.state === "gap";
    place.replaceChildren();
    new uPlot(
      {
        width: place.clientWidth || 320,
        height: 220,
        legend: { show: false },
        cursor: { show: false },
        scales: { x: { time: false, range: [-0.6, rows.length - 0.4] }, y: { range: (plot, low, high) => [0, high > 0 ? high * 1.08 : 1] } },
        axes: [
          { stroke: soft, grid: { show: false }, ticks: { stroke: line }, values: (plot, all) => all.map((at) => (Number.isInteger(at) && rows[at] ? rows[at].label : "")) },
          { stroke: soft, grid: { stroke: line, width: 1 }, ticks: { show: false }, size: 60 },
        ],
        series: [{}, series(resolved("--accent")), series(resolved("--warn"))],
        hooks: { drawClear: [(plot) => hatched(plot, rows, resolved("--idle"))] },
      },
      [rows.map((_, at) => at), pick((row) => !estimated(row)), pick(estimated)],
      place,
    );
  };

  const all = () => document.querySelectorAll(".chart-box").forEach(draw);
  const begin = () => {
    document.querySelectorAll(".chart-box details").forEach((each) => each.removeAttribute("open"));
    all();
  };
  begin();
  // What took longer to work out comes after the page.
  document.body.addEventListener("htmx:afterSettle", (event) => {
    if (event.detail.elt.querySelector?.(".chart-box")) begin();
  });
  addEventListener("beforeprint", () => document.querySelectorAll(".chart-box details").forEach((each) => each.setAttribute("open", "")));
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", all);
  let waiting = 0;
  addEventListener("resize", () => {
    clearTimeout(waiting);
    waiting = setTimeout(all, 150);
  });
})();
