const usd = v => (v > 0 ? "+" : v < 0 ? "-" : "") + "$" + brief(Math.abs(v));
const chart = {
  read(data) {
    if (!isThing(data)) return null;
    const rows = objects(data.strikes).filter(row => isNumber(row.strike) && isNumber(row.gex)).sort((a, b) => a.strike - b.strike);
    if (!rows.length) return null;
    const wall = (name, one) => isThing(one) && isNumber(one.strike) ? name + " " + price(one.strike) : "no " + name;
    const columns = [...new Set(objects(data.strikes).flatMap(Object.keys))];
    const whole = Object.entries(data).filter(([name]) => name !== "strikes");
    return {
      title: exact(data.underlying) + " dealer gamma by strike",
      finding: "Total " + (isNumber(data.totalGex) ? usd(data.totalGex) : "unknown") + " per 1 % move; " + wall("call wall", data.callWall) + ", " + wall("put wall", data.putWall)
        + ", " + (isNumber(data.gammaFlip) ? (data.gammaFlipMethod === "cumulative" ? "flip of the running sum over strikes " : "flip ") + price(data.gammaFlip) : "no flip") + ", spot " + (isNumber(data.spot) ? price(data.spot) : "unknown") + ".",
      rows, data,
      tables: [
        {caption: "The whole", columns: ["figure", "value"], rows: whole},
        {caption: "By strike; gex in USD per 1 % move, open interest in coins", columns, rows: objects(data.strikes).map(row => columns.map(name => row[name]))},
      ],
    };
  },
  draw(svg, width, height, {rows, data}) {
    const box = {left: 52, right: width - 4, top: 48, bottom: height - 36};
    const values = rows.map(row => row.gex);
    const low = Math.min(0, ...values), high = Math.max(0, ...values);
    const y = scale(low, high || (low ? 0 : 1), box.bottom - 14, box.top + 14);
    const step = (box.right - box.left) / rows.length;
    const x = strike => {
      const i = rows.findIndex(row => row.strike >= strike);
      if (i < 0 || (i === 0 && rows[0].strike > strike)) return null;
      const before = rows[Math.max(0, i - 1)].strike;
      const part = i === 0 ? 0 : (rows[i].strike - strike) / (rows[i].strike - before);
      return box.left + (i + .5 - part) * step;
    };
    svg.append(label(0, 12, "gex, USD per 1 % move; calls +, puts - (assumed)", "start", "mute"));
    axis(svg, box, y, ticks(low, high, 5), v => v ? usd(v) : "0");
    const marks = rows.map((row, i) => {
      const top = Math.min(y(0), y(row.gex)), tall = Math.abs(y(row.gex) - y(0));
      const bar = sv("rect", {class: row.gex < 0 ? "down" : "up", x: box.left + i * step + step * .1, y: top, width: Math.max(1, step * .8), height: tall});
      bar.dataset.v = row.gex;
      svg.append(bar);
      const oi = isNumber(row.callOi) ? "; calls " + plain(row.callOi) + ", puts " + plain(row.putOi) + " coins open" : "";
      return {x: box.left + i * step, y: top, w: step, h: tall, tall: true, text: "Strike " + price(row.strike) + ": " + signed(row.gex, 1) + " USD per 1 % move" + oi};
    });
    svg.append(line(box.left, y(0), box.right, y(0), "here"));
    this.level(svg, box, width, x, data.spot, "spot", 28, "here");
    this.level(svg, box, width, x, data.gammaFlip, "flip", 42, "here flip");
    for (const [name, one, dy] of [["call wall", data.callWall, -5], ["put wall", data.putWall, 12]]) {
      if (isThing(one) && rows.some(row => row.strike === one.strike)) svg.append(inside(x(one.strike), y(one.gex) + dy, name + " " + price(one.strike), width));
    }
    this.strikes(svg, box, rows, step);
    svg.append(label(box.right, box.bottom + 30, "strike, USD (in order, not to scale)", "end", "mute"));
    return {groups: [marks], height};
  },
  level(svg, box, width, x, value, name, textY, kind) {
    if (!isNumber(value)) return;
    const at = x(value), text = name + " " + price(value);
    if (at === null) return svg.append(label(box.right, textY, text + " lies outside these strikes", "end"));
    svg.append(line(at, textY + 3, at, box.bottom, kind), inside(at, textY, text, width));
  },
  strikes(svg, box, rows, step) {
    let free = -Infinity;
    rows.forEach((row, i) => {
      const text = price(row.strike), at = box.left + (i + .5) * step, half = wide(text) / 2;
      if (at - half < free + 8 || at + half > box.right + 4) return;
      free = at + half;
      svg.append(line(at, box.bottom, at, box.bottom + 4), label(at, box.bottom + 15, text, "middle", "mute"));
    });
  },
};
