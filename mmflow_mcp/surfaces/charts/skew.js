const chart = {
  read(data) {
    if (!isThing(data)) return null;
    const term = objects(data.termStructure);
    const known = term.filter(row => isNumber(row.atmIv) && isNumber(row.dteDays));
    const smiles = Object.entries(isThing(data.smileByExpiry) ? data.smileByExpiry : {}).map(([name, table]) => [name, objects(table).filter(p => isNumber(p.iv) && isNumber(p.strike))]).filter(([, points]) => points.length);
    if (!known.length && !smiles.length) return null;
    const near = known[0], far = known.at(-1);
    const month = [...known].sort((a, b) => Math.abs(a.dteDays - 30) - Math.abs(b.dteDays - 30))[0];
    const rr = month && isNumber(month.riskReversal25) ? " 25-delta risk reversal near 30 days " + signed(month.riskReversal25 * 100) + " points: " + (month.riskReversal25 < 0 ? "puts" : "calls") + " dearer." : "";
    const columns = [...new Set(term.flatMap(Object.keys))];
    return {
      title: exact(data.underlying) + " implied volatility",
      finding: known.length ? "At the money " + percent(near.atmIv) + " in " + plain(near.dteDays) + " days, " + percent(far.atmIv) + " in " + plain(far.dteDays) + "." + rr : "No volatility at the money is known.",
      term: known, smiles: new Map(smiles), spot: data.spot,
      key: month ? String(month.expiryLabel) : smiles[0][0],
      tables: [
        {caption: "Term structure; volatilities as fractions", columns, rows: term.map(row => columns.map(name => row[name]))},
        ...smiles.map(([name, points]) => ({caption: "Smile " + name, columns: Object.keys(points[0]), rows: points.map(Object.values)})),
      ],
    };
  },
  draw(svg, width, height, model) {
    const beside = width >= 640, gap = 18;
    const one = beside ? {w: (width - gap) / 2, h: height} : {w: width, h: (height - 8) / 2};
    const term = this.panel(svg, {x: 0, y: 0, ...one}, "Term structure: IV at the money, %", "days to expiry", model.term.map(row => ({
      x: Math.sqrt(Math.max(0, row.dteDays)), y: row.atmIv * 100, v: row.atmIv, key: String(row.expiryLabel), strong: String(row.expiryLabel) === model.key,
      text: row.expiryLabel + " (" + plain(row.dteDays) + " days): " + percent(row.atmIv) + " at the money" + (isNumber(row.riskReversal25) ? "; risk reversal " + signed(row.riskReversal25 * 100) + ", butterfly " + signed(row.butterfly25 * 100) + " points" : ""),
    })), [1, 7, 30, 90, 180, 365].map(days => [Math.sqrt(days), String(days)]));
    const points = model.smiles.get(model.key) || [];
    const strikes = points.map(p => p.strike);
    const smile = this.panel(svg, {x: beside ? one.w + gap : 0, y: beside ? 0 : one.h + 8, ...one}, "Smile of " + model.key + ": IV, %", "strike, USD", points.map(p => ({
      x: p.strike, y: p.iv * 100, v: p.iv, key: model.key, open: p.type === "P",
      text: model.key + " strike " + price(p.strike) + " (" + (p.type === "P" ? "put" : "call") + ", " + plain(p.moneyness * 100, 1) + " % of spot): " + percent(p.iv),
    })), ticks(Math.min(...strikes), Math.max(...strikes), 4).map(v => [v, price(v)]), isNumber(model.spot) ? model.spot : null);
    return {groups: [term, smile], height};
  },
  panel(svg, area, title, below, points, marks, spot = null) {
    const box = {left: area.x + 36, right: area.x + area.w - 8, top: area.y + 26, bottom: area.y + area.h - 32};
    svg.append(label(area.x, area.y + 12, title));
    if (!points.length) {
      svg.append(label(box.left, box.top + 20, "no values", "start", "mute"));
      return [];
    }
    const xs = points.map(p => p.x), ys = points.map(p => p.y);
    const pad = Math.max((Math.max(...ys) - Math.min(...ys)) * .12, .05);
    const x = scale(Math.min(...xs), Math.max(...xs), box.left + 6, box.right - 6);
    const y = scale(Math.min(...ys) - pad, Math.max(...ys) + pad, box.bottom, box.top);
    axis(svg, box, y, ticks(Math.min(...ys) - pad, Math.max(...ys) + pad, Math.max(2, (box.bottom - box.top) / 34)), v => plain(v));
    let free = -Infinity;
    for (const [value, text] of marks) {
      const at = x(value), half = wide(text) / 2;
      if (at < box.left || at > box.right || at - half < free + 6 || at + half > area.x + area.w) continue;
      free = at + half;
      svg.append(label(at, box.bottom + 14, text, "middle", "mute"));
    }
    if (spot !== null && x(spot) > box.left && x(spot) < box.right) {
      svg.append(line(x(spot), box.top, x(spot), box.bottom, "here flip"), label(area.x, box.bottom + 28, "dashed: spot; open: puts", "start", "mute"));
    }
    svg.append(label(box.right, box.bottom + 28, below, "end", "mute"));
    svg.append(sv("polyline", {class: "line", points: points.map(p => x(p.x) + "," + y(p.y)).join(" ")}));
    return points.map(p => {
      const r = p.strong ? 6 : 3.5, fill = p.open ? "fill:var(--bg)" : "";
      const dot = sv("circle", {class: p.strong ? "up" : "down", cx: x(p.x), cy: y(p.y), r, style: fill, stroke: "var(--down)"});
      dot.dataset.v = p.v;
      svg.append(dot);
      return {x: x(p.x) - 5, y: y(p.y) - 5, w: 10, h: 10, text: p.text, key: p.key};
    });
  },
};
