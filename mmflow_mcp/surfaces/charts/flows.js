const PARTS = [["coinbasePremiumBps", "Coinbase", " bps"], ["kimchiPremiumPct", "Kimchi", " %"], ["etfLatestTotalUsdm", "ETF", " US$ m"], ["hlMicroNetUsd5m", "Hyperliquid 5 min", " USD"], ["venueSpreadDispersionBps", "venues apart", " bps"]];
const chart = {
  read(data) {
    if (!isThing(data)) return null;
    const rows = objects(data.rows), signals = objects(data.signals);
    if (!rows.length) return null;
    const columns = [...new Set(rows.flatMap(Object.keys))];
    const known = rows.filter(row => isNumber(row.flowPressureScore)).sort((a, b) => b.flowPressureScore - a.flowPressureScore);
    const told = row => exact(row.coin) + " " + signed(row.flowPressureScore);
    return {
      title: "Flow pressure by coin",
      finding: (!known.length ? "No score is known" : known.length === 1 ? told(known[0]) : "Strongest buying " + told(known[0]) + ", weakest " + told(known.at(-1))) + "; " + (signals.length ? signals.length + " signal" + (signals.length > 1 ? "s" : "") : "no signals") + ".",
      rows, signals,
      tables: [
        {caption: "Flows; score -100 selling .. +100 buying", columns, rows: rows.map(row => columns.map(name => row[name]))},
        ...(signals.length ? [{caption: "Signals", columns: Object.keys(signals[0]), rows: signals.map(Object.values)}] : []),
      ],
    };
  },
  parts(row) {
    const told = PARTS.filter(([name]) => isNumber(row[name])).map(([name, word, unit]) => word + " " + signed(row[name]) + unit);
    const lacking = Object.entries(isThing(row.coverage) ? row.coverage : {}).filter(([, state]) => state !== "full" && state !== "live").map(([name, state]) => name + " " + state);
    return [told.length ? told.join(" \u00b7 ") : exact(row.headline), lacking.length ? "coverage: " + lacking.join(", ") : ""];
  },
  draw(svg, width, height, {rows, signals}) {
    const most = Math.min(3, signals.length), foot = most ? most * 15 + 22 : 4;
    const roomy = rows.length * 58 + 34 + foot <= Math.max(height, 270), letters = Math.floor(width / 6);
    const x = scale(-100, 100, 64, width - 42);
    svg.append(label(0, 12, "flow pressure score: -100 selling .. +100 buying", "start", "mute"));
    let y = 20;
    const marks = rows.map(row => {
      const score = isNumber(row.flowPressureScore) ? row.flowPressureScore : null;
      const [parts, lacking] = this.parts(row), bar = roomy ? 16 : 13;
      svg.append(label(0, y + 12, cut(exact(row.coin), 9)), line(64, y + bar / 2, width - 42, y + bar / 2), line(x(0), y, x(0), y + bar, "here"));
      if (score !== null) {
        const rect = sv("rect", {class: score < 0 ? "down" : "up", x: Math.min(x(0), x(score)), y: y + 2, width: Math.abs(x(score) - x(0)), height: bar - 4});
        rect.dataset.v = score;
        svg.append(rect);
      }
      svg.append(label(width, y + 12, score === null ? "?" : signed(score), "end"));
      const words = roomy ? [...wrap(parts, letters, 2).map(text => [text, ""]), ...(lacking ? [[cut(lacking, letters), "mute"]] : [])] : [];
      words.forEach(([text, kind], i) => svg.append(label(0, y + 29 + i * 14, text, "start", kind)));
      const mark = {x: 2, y, w: width - 4, h: bar, text: exact(row.coin) + ": " + (score === null ? "no score" : signed(score)) + "; " + parts + (lacking ? "; " + lacking : "")};
      y += roomy ? 26 + words.length * 14 : 17;
      return [mark];
    });
    if (most) svg.append(label(0, y + 12, "Signals" + (signals.length > most ? " (" + most + " of " + signals.length + ")" : ""), "start", "mute"));
    const heard = signals.slice(0, most).map((one, i) => {
      const coin = exact(one.coin === undefined ? String(one.id).split(":")[0] : one.coin);
      const text = coin + " " + exact(one.severity) + ": " + exact(one.message) + " (confidence " + exact(one.confidence) + ")";
      const top = y + 17 + i * 15;
      svg.append(label(0, top + 11, cut(text, letters)));
      return [{x: 2, y: top, w: width - 4, h: 14, text}];
    });
    return {groups: [...marks, ...heard], height: y + foot};
  },
};
