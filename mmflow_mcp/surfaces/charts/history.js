const median = list => [...list].sort((a, b) => a - b)[Math.floor(list.length / 2)] || 0;
const steps = times => times.slice(1).map((t, i) => t - times[i]);
const HOUR = 3600e3;
// Lines {name, kind, points: [{t, v, told, lo, hi}], step}: `step` is the usual distance of points;
// neighbours further apart than 1.5 of it have a gap between them, which no line crosses.
// Columns tell percent a year, objects fractions per the venue's own period; `unit` says which.
const isYearly = data => exact(data.unit).startsWith("apr");
const kindOf = (data, name) => { const kinds = data.kinds || {}; return kinds[name] || kinds.all || ""; };
function fundingLines(data) {
  const yearly = isYearly(data);
  const rows = objects(data.points).filter(row => isNumber(row.ts));
  const grid = median(steps(rows.map(row => row.ts)));
  return Object.keys(data.periodHours).map(name => {
    const hours = data.periodHours[name], kind = kindOf(data, name);
    const rates = rows.map(row => [row.ts, (isThing(row.byVenue) ? row.byVenue : row)[name]]).filter(([, rate]) => isNumber(rate));
    const longest = Math.max(hours, ...((data.rescaled || {})[name] || []));
    return {
      name, kind,
      step: Math.max(grid, kind === "settled" ? longest * HOUR : data.cadenceMs || 0),
      points: yearly ? rates.map(([t, v]) => ({t, v, told: ""}))
        : hours > 0 ? rates.map(([t, rate]) => ({t, v: rate * 8760 / hours * 100, told: exact(rate) + " per " + plain(hours) + " h"})) : [],
    };
  });
}
function valueLine(one, name, meta) {
  const points = objects(one.points).filter(p => isNumber(p.t) && isNumber(p.v)).map(p => ({t: p.t, v: p.v, lo: p.lo, hi: p.hi, told: ""}));
  const usual = one.cadenceMs || 60e3;
  return {name, kind: one.kind || "", points, step: meta.condensed ? Math.max(usual, median(steps(points.map(p => p.t)))) : usual};
}
function tablesOf(data) {
  return (Array.isArray(data.series) ? data.series : [data]).filter(isThing).map(one => {
    const rows = objects(one.points);
    const flat = rows.map(({byVenue, ...rest}) => ({...rest, ...(isThing(byVenue) ? byVenue : {})}));
    const columns = [...new Set(flat.flatMap(Object.keys))];
    const head = name => !isYearly(data) && isThing(data.periodHours) && name in data.periodHours ? name + ", per " + exact(data.periodHours[name]) + " h" : name;
    return {caption: exact(one.venue || one.metric || (isYearly(data) ? "Funding, percent a year" : "Funding rates, fractions per period")), columns: columns.map(head), rows: flat.map(row => columns.map(name => row[name]))};
  });
}
const chart = {
  read(data, meta) {
    if (!isThing(data)) return null;
    const funding = isThing(data.periodHours), flow = data.metric !== undefined;
    const lines = funding ? fundingLines(data) : flow ? [valueLine(data, exact(data.metric), meta)] : (Array.isArray(data.series) ? data.series : [data]).filter(isThing).map(one => valueLine(one, exact(one.venue), meta));
    const full = lines.filter(one => one.points.length), bare = lines.filter(one => !one.points.length).map(one => one.name);
    if (!full.length) return null;
    const unit = funding ? "% a year" : flow ? exact(data.unit) : "coins, one-sided";
    const tell = v => funding || flow ? signed(v) : plain(v);
    const last = full.map(one => [one.points.at(-1).v, one.name]).sort((a, b) => b[0] - a[0]);
    const mark = funding ? " %" : "", word = exact(meta.condensed).includes("means") ? "Last mean" : "Last";
    return {
      title: exact(data.coin) + " " + (funding ? "funding" : flow ? exact(data.metric) : "open interest") + " over time",
      finding: (last.length === 1 ? word + " " + tell(last[0][0]) + mark + "." : word + ": highest " + last[0][1] + " " + tell(last[0][0]) + mark + ", lowest " + last.at(-1)[1] + " " + tell(last.at(-1)[0]) + mark + ".")
        + (bare.length ? " No history: " + bare.join(", ") + "." : ""),
      lines: full, unit, tell, mark, shared: funding, span: ends(full.flatMap(one => [one.points[0].t, one.points.at(-1).t])), tables: tablesOf(data),
    };
  },
  draw(svg, width, height, model) {
    const {lines, unit, shared, span} = model;
    const kinds = [...new Set(lines.map(one => one.kind))];
    const across = Math.max(1, Math.min(lines.length, Math.floor(width / 130), lines.length > 4 ? 4 : 2));
    const down = Math.ceil(lines.length / across);
    const all = lines.flatMap(one => one.points.flatMap(p => [p.v, p.lo, p.hi])).filter(isNumber);
    const w = (width - (across - 1) * 14) / across, h = (height - 40) / down;
    const many = lines.length > 1;
    svg.append(label(0, 12, cut(unit + (many ? shared ? "; one scale: " + plain(ends([0, ...all])[0]) + " to " + plain(ends([0, ...all])[1]) + (kinds.length === 1 ? "; " + kinds[0] : "") : "; each on its own scale" : ""), width / 6), "start", "mute"));
    const groups = lines.map((one, i) => this.panel(svg, {x: (i % across) * (w + 14), y: 18 + Math.floor(i / across) * h, w, h}, one, shared ? all : null, {...model, mixed: kinds.length > 1}));
    const bottom = 18 + down * h + 12;
    const day = when(span[0]), end = when(span[1]);
    svg.append(label(0, bottom, day + (width > 380 ? " UTC" : ""), "start", "mute"), label(width, bottom, end + " UTC", "end", "mute"));
    return {groups, height: bottom + 6};
  },
  panel(svg, area, one, all, {span, tell, mark, lines, mixed}) {
    const own = all || one.points.flatMap(p => [p.v, p.lo, p.hi]).filter(isNumber);
    const [low, high] = ends(all ? [0, ...own] : own);
    const box = {left: area.x + (lines.length > 1 ? 4 : 56), right: area.x + area.w - 6, top: area.y + (lines.length > 1 && !all ? 28 : 18), bottom: area.y + area.h - 8};
    const x = scale(...span, box.left + 2, box.right - 2), y = scale(low, high, box.bottom - 2, box.top + 2);
    const last = tell(one.points.at(-1).v) + mark;
    svg.append(label(area.x + area.w, area.y + 12, last, "end"));
    const name = lines.length > 1 && !(all && mixed) ? one.name : one.name + " " + one.kind;
    svg.append(label(area.x, area.y + 12, cut(name, Math.max(6, Math.floor((area.w - wide(last)) / 6.3) - 1))));
    if (lines.length > 1) {
      const amount = Math.max(-low, high) < 1e9 ? plain : brief;
      const second = all ? "" : amount(low) + " to " + amount(high) + (one.kind ? ", " + one.kind : "");
      svg.append(line(box.left, box.bottom, box.right, box.bottom), label(area.x, area.y + 25, cut(second, area.w / 6), "start", "mute"));
    }
    else axis(svg, box, y, ticks(low, high, 5), v => plain(v, 4));
    if (low < 0 && high > 0) svg.append(line(box.left, y(0), box.right, y(0), "here flip"));
    for (const part of this.stretches(one)) {
      const place = (p, v) => x(p.t) + "," + y(v);
      if (part.every(p => isNumber(p.lo) && isNumber(p.hi))) svg.append(sv("polygon", {class: "band", points: [...part.map(p => place(p, p.hi)), ...[...part].reverse().map(p => place(p, p.lo))].join(" ")}));
      svg.append(sv("polyline", {class: "line", points: part.map(p => place(p, p.v)).join(" "), "stroke-linecap": "round"}));
      if (part.length === 1) svg.append(sv("circle", {class: "down", cx: x(part[0].t), cy: y(part[0].v), r: 1.5}));
    }
    const many = one.points.length > 300, r = one.points.length > 80 ? 1 : 2;
    return one.points.map(p => {
      const dot = sv("circle", {class: p.v < 0 ? "down" : all ? "up" : "down", cx: x(p.t), cy: y(p.v), r});
      dot.dataset.v = p.v;
      if (!many) svg.append(dot);
      const range = isNumber(p.lo) && isNumber(p.hi) ? " (" + plain(p.lo) + " to " + plain(p.hi) + ")" : "";
      return {x: x(p.t) - 4, y: y(p.v) - 4, w: 8, h: 8, text: one.name + " " + when(p.t) + " UTC: " + tell(p.v) + mark + range + (p.told ? " = " + p.told : "")};
    });
  },
  stretches({points, step}) {
    const parts = [];
    points.forEach((p, i) => {
      if (i && p.t - points[i - 1].t <= step * 1.5) parts.at(-1).push(p);
      else parts.push([p]);
    });
    return parts;
  },
};
