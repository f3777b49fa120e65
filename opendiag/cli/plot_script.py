"""Style and script of a plot's page: they draw what is zoomed into, and the two cursors. No other file is loaded."""

STYLE = """
body{font-family:sans-serif;margin:1em auto;max-width:1200px;padding:0 1em;color:#222;background:#fff}
h1{font-size:1.25em}svg{width:100%;height:auto;display:block;touch-action:none;user-select:none;cursor:crosshair}
svg text[data-trace]{cursor:pointer}table{border-collapse:collapse;margin:1em 0;font-size:.9em}
td,th{padding:.25em .7em;border-bottom:1px solid #ddd;text-align:left}#values td+td{text-align:right;
font-variant-numeric:tabular-nums}caption{text-align:left;font-weight:bold;padding:.3em 0}
.use{color:#666;font-size:.85em}
"""

SCRIPT = r"""
"use strict";
(function () {
  const data = JSON.parse(document.getElementById("data").textContent), plot = document.getElementById("plot");
  const g = data.geometry, width = g.width - g.left - g.right, hidden = new Set();
  const whole = [data.from, data.to], span = data.to - data.from;
  let view = whole.slice(), cursors = [data.from + span * 0.25, data.from + span * 0.75], drag = null;

  const escape = s => s.replace(/[&<>"]/g, c => ({"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;"})[c]);
  const show = (v, digits) => v === null || v === undefined || !isFinite(v) ? "" : String(+v.toPrecision(digits || 6));
  const x = t => g.left + (t - view[0]) / (view[1] - view[0]) * width;
  const time = px => view[0] + (px - g.left) / width * (view[1] - view[0]);

  function after(times, t) {  // place of the first sample later than t
    let low = 0, high = times.length;
    while (low < high) { const m = (low + high) >> 1; if (times[m] <= t) low = m + 1; else high = m; }
    return low;
  }
  function ticks(low, high, most) {
    const size = Math.pow(10, Math.floor(Math.log10((high - low) / most)));
    const step = size * [1, 2, 2.5, 5, 10].find(f => (high - low) / (size * f) <= most), out = [];
    for (let n = Math.ceil(low / step - 1e-9); n <= Math.floor(high / step + 1e-9); n++) out.push(n * step);
    return out;
  }
  function label(v, list) {  // as many digits as neighbours need to differ
    const step = list.length > 1 ? list[1] - list[0] : 1;
    const digits = Math.max(0, Math.min(9, Math.ceil(-Math.log10(Math.abs(step) || 1)) + 1));
    return Math.abs(v) >= 1e7 || (v !== 0 && step < 1e-9) ? v.toExponential(3) : String(+v.toFixed(digits));
  }
  function range(panel) {
    let low = Infinity, high = -Infinity;
    for (const n of panel.traces) {
      if (hidden.has(n)) continue;
      const d = data.traces[n], from = Math.max(after(d.t, view[0]) - 1, 0), to = after(d.t, view[1]) + 1;
      for (let i = from; i < Math.min(to, d.v.length); i++) {
        const v = d.v[i];
        if (v !== null) { if (v < low) low = v; if (v > high) high = v; }
      }
    }
    if (low > high) { low = 0; high = 1; }
    const room = (high - low) * 0.06 || Math.max(Math.abs(high) * 0.05, 0.5);
    return [low - room, high + room];
  }
  function lines(d, y) {  // runs without a gap; of many samples the extremes of each column
    const from = Math.max(after(d.t, view[0]) - 1, 0), to = Math.min(after(d.t, view[1]) + 1, d.t.length);
    const out = [], dense = to - from > 3 * g.width;
    let run = [], column = null, least = null, most = null, last = null;
    const put = (px, py) => run.push(px.toFixed(1) + "," + py.toFixed(1));
    const flush = () => {
      if (least) (least[0] <= most[0] ? [least, most] : [most, least]).forEach(p => put(p[0], p[1]));
      least = most = null;
    };
    const end = () => {
      flush();
      if (run.length === 1 && last) put(last[0] + 0.7, last[1]);
      if (run.length) out.push(run.join(" "));
      run = []; last = null; column = null;
    };
    for (let i = from; i < to; i++) {
      if (d.v[i] === null) { end(); continue; }
      const p = [x(d.t[i]), y(d.v[i])];
      if (dense) {
        if (Math.floor(p[0]) !== column) { flush(); column = Math.floor(p[0]); }
        if (!least || p[1] < least[1]) least = p;
        if (!most || p[1] > most[1]) most = p;
      } else {
        if (d.steps && last) put(p[0], last[1]);
        put(p[0], p[1]);
      }
      last = p;
    }
    end();
    return out;
  }
  function drawPanel(panel, n) {
    const [low, high] = range(panel), bottom = panel.top + panel.height;
    const y = v => bottom - (v - low) / (high - low) * panel.height, right = g.width - g.right;
    let out = `<rect x="${g.left}" y="${panel.top}" width="${width}" height="${panel.height}" fill="#fcfcfc" ` +
      'stroke="#999" stroke-width="0.8"/>';
    const line = (a, b, c, d) => `<line x1="${a}" y1="${b}" x2="${c}" y2="${d}" stroke="#ddd" stroke-width="0.7"/>`;
    const steps = ticks(low, high, Math.max(Math.floor(panel.height / 30), 2));
    for (const v of steps) {
      out += line(g.left, y(v), right, y(v)) +
        `<text x="${g.left - 6}" y="${y(v) + 4}" text-anchor="end" fill="#444">${label(v, steps)}</text>`;
    }
    for (const t of ticks(view[0], view[1], 10)) out += line(x(t), panel.top, x(t), bottom);
    for (const place of panel.traces) {
      if (hidden.has(place)) continue;
      const d = data.traces[place];
      for (const points of lines(d, y)) {
        out += `<polyline clip-path="url(#clip${n})" points="${points}" fill="none" stroke="${d.colour}" ` +
          'stroke-width="1.4" stroke-linejoin="round"/>';
      }
    }
    document.getElementById("panel" + n).innerHTML = out;
  }
  function drawBands() {
    const group = document.getElementById("bands"), bottom = g.height - 36, right = g.width - g.right;
    if (!group) return;
    let out = "";
    data.bands.forEach((band, n) => {
      if (band.b < view[0] || band.a > view[1]) return;
      const from = Math.max(x(band.a), g.left), wide = Math.max(Math.min(x(band.b), right) - from, 0.5);
      const colour = band.bad ? "#e88" : ["#c3d7ea", "#9fbfdd"][n % 2], letters = Math.floor((wide - 4) / 6.2);
      const text = band.text.length <= letters ? band.text : letters > 2 ? band.text.slice(0, letters - 1) + "…" : "";
      const at = `x="${from}" width="${wide}" y="${g.bands}" fill="${colour}"`;
      out += `<rect ${at} height="${bottom - g.bands}" opacity="${band.bad ? 0.25 : 0.12}"/>` +
        `<rect ${at} height="17" stroke="#fff" stroke-width="0.5"><title>${escape(band.text)}</title></rect>` +
        `<text x="${from + 2}" y="${g.bands + 12}" fill="#222" pointer-events="none">${escape(text)}</text>`;
    });
    group.innerHTML = out;
  }
  function drawMarks() {
    const ends = [0, 0, 0], bottom = g.height - 36;
    let out = "";
    for (const mark of data.marks) {
      if (mark.t < view[0] || mark.t > view[1]) continue;
      const px = x(mark.t), wide = mark.text.length * 6.2 + 8, at = Math.max(Math.min(px + 3, g.width - wide), 0);
      const row = ends.findIndex(end => end <= at), top = row < 0 ? 46 : 2 + 14 * row;
      out += `<line x1="${px}" y1="${top}" x2="${px}" y2="${bottom}" stroke="#b00020" stroke-dasharray="4 3" ` +
        `stroke-width="0.9"><title>${escape(mark.text)}</title></line>`;
      if (row >= 0) {
        ends[row] = at + wide;
        out += `<text x="${at}" y="${top + 10}" fill="#b00020">${escape(mark.text)}</text>`;
      }
    }
    document.getElementById("marks").innerHTML = out;
  }
  function drawTime() {
    const steps = ticks(view[0], view[1], 10), last = g.height - 36;
    let out = `<text x="${g.width - g.right}" y="${last + 30}" text-anchor="end" fill="#444">time [s]</text>`;
    for (const t of steps) {
      out += `<text x="${x(t)}" y="${last + 15}" text-anchor="middle" fill="#444">${label(t, steps)}</text>`;
    }
    document.getElementById("time").innerHTML = out;
  }
  function held(d, t) {  // the last sample at or before t
    const i = after(d.t, t) - 1;
    return i < 0 ? null : d.v[i];
  }
  function between(d, a, b) {
    let least = null, most = null, sum = 0, count = 0;
    for (let i = after(d.t, Math.min(a, b)), to = after(d.t, Math.max(a, b)); i < to; i++) {
      const v = d.v[i];
      if (v === null) continue;
      if (least === null || v < least) least = v;
      if (most === null || v > most) most = v;
      sum += v; count++;
    }
    return [least, most, count ? sum / count : null];
  }
  function drawCursors() {
    const [a, b] = cursors, bottom = g.height - 36, dt = b - a;
    let out = "";
    cursors.forEach((t, n) => {
      if (t < view[0] || t > view[1]) return;
      const px = x(t), top = g.panels.length ? g.panels[0].top : 10, name = "AB"[n];
      out += `<line x1="${px}" y1="${top}" x2="${px}" y2="${bottom}" stroke="#111" stroke-width="1"/>` +
        `<text x="${px + 3}" y="${top + 12}" font-weight="bold">${name}</text>`;
    });
    if (drag && drag.select) {
      const from = Math.min(drag.from, drag.to), to = Math.max(drag.from, drag.to);
      out += `<rect x="${from}" y="0" width="${to - from}" height="${bottom}" fill="#0072b2" opacity="0.15"/>`;
    }
    document.getElementById("cursors").innerHTML = out;
    const per = dt ? ` (${show(1 / Math.abs(dt), 5)} Hz)` : "";
    let rows = "<thead><tr><th></th><th>A</th><th>B</th><th>B - A</th><th>least</th><th>greatest</th><th>mean</th>" +
      `</tr></thead><tbody><tr><td>time [s]</td><td>${show(a, 8)}</td><td>${show(b, 8)}</td>` +
      `<td>${show(dt, 6)}${per}</td><td colspan="3">between A and B</td></tr>`;
    for (const d of data.traces) {
      const va = held(d, a), vb = held(d, b), dy = va === null || vb === null ? null : vb - va;
      const cells = [va, vb, dy, ...between(d, a, b)].map(v => `<td>${show(v, 7)}</td>`).join("");
      rows += `<tr><td style="color:${d.colour}">${escape(d.name + (d.unit ? ` [${d.unit}]` : ""))}</td>${cells}</tr>`;
    }
    document.getElementById("values").innerHTML = rows + "</tbody>";
  }
  function draw() {
    g.panels.forEach(drawPanel);
    drawTime(); drawBands(); drawMarks(); drawCursors();
    for (const legend of plot.querySelectorAll("[data-trace]")) {
      legend.setAttribute("opacity", hidden.has(+legend.dataset.trace) ? 0.35 : 1);
    }
  }
  function look(from, to) {
    const least = span * 1e-6, wide = Math.min(Math.max(to - from, least), span);
    const start = Math.min(Math.max(from, whole[0]), whole[1] - wide);
    view = [start, start + wide];
    draw();
  }
  function place(event) {
    const box = plot.getBoundingClientRect();
    return (event.clientX - box.left) / box.width * g.width;
  }
  plot.addEventListener("pointerdown", event => {
    const legend = event.target.dataset ? event.target.dataset.trace : undefined;
    if (legend !== undefined) {
      if (!hidden.delete(+legend)) hidden.add(+legend);
      draw();
      return;
    }
    const px = place(event), near = cursors.findIndex(t => Math.abs(x(t) - px) < 6);
    drag = {from: px, to: px, cursor: near, select: false};
    plot.setPointerCapture(event.pointerId);
  });
  plot.addEventListener("pointermove", event => {
    if (!drag) return;
    drag.to = place(event);
    if (drag.cursor >= 0) cursors[drag.cursor] = Math.min(Math.max(time(drag.to), whole[0]), whole[1]);
    else if (Math.abs(drag.to - drag.from) > 4) drag.select = true;
    drawCursors();
  });
  plot.addEventListener("pointerup", event => {
    const done = drag;
    drag = null;
    if (!done) return;
    if (done.select) look(time(Math.min(done.from, done.to)), time(Math.max(done.from, done.to)));
    else if (done.cursor < 0) {
      cursors[event.shiftKey ? 1 : 0] = Math.min(Math.max(time(done.from), view[0]), view[1]);
      drawCursors();
    }
  });
  plot.addEventListener("pointercancel", () => { drag = null; drawCursors(); });
  plot.addEventListener("wheel", event => {
    event.preventDefault();
    const t = time(place(event)), by = Math.exp(Math.sign(event.deltaY) * 0.25);
    look(t - (t - view[0]) * by, t + (view[1] - t) * by);
  }, {passive: false});
  plot.addEventListener("dblclick", () => look(whole[0], whole[1]));
  document.addEventListener("keydown", event => {
    const wide = view[1] - view[0];
    if (event.key === "ArrowLeft") look(view[0] - wide / 10, view[1] - wide / 10);
    else if (event.key === "ArrowRight") look(view[0] + wide / 10, view[1] + wide / 10);
    else if (event.key === "0") look(whole[0], whole[1]);
  });
  draw();
})();
"""
