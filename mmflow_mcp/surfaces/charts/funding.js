const KEY = (coin, venue) => JSON.stringify([coin, venue]);
const chart = {
  read(data, meta) {
    const rows = objects(data);
    const known = rows.filter(row => isNumber(row.apr)).sort((a, b) => b.apr - a.apr);
    if (!known.length) return null;
    const told = row => row.coin + " on " + row.venue + " " + signed(row.apr) + " %";
    const columns = [...new Set(rows.flatMap(Object.keys))];
    return {
      title: "Funding, percent a year",
      finding: known.length === 1 ? told(known[0]) + "." : "Highest " + told(known[0]) + "; lowest " + told(known.at(-1)) + ".",
      rows, meta, top: Math.max(...known.map(row => Math.abs(row.apr))),
      tables: [{caption: "Funding; apr in % a year, rate a fraction per periodHours", columns, rows: rows.map(row => columns.map(name => row[name]))}],
    };
  },
  draw(svg, width, height, {rows, meta, top}) {
    const at = new Map(rows.map(row => [KEY(row.coin, row.venue), row]));
    const venues = [...new Set(rows.map(row => String(row.venue)))];
    const reach = new Map();
    for (const row of rows) reach.set(row.coin, Math.max(reach.get(row.coin) || 0, Math.abs(row.apr) || 0));
    let coins = [...reach.keys()];
    const longest = Math.max(6, ...rows.map(row => isNumber(row.apr) ? signed(row.apr).length : 0));
    const left = Math.min(width * .3, Math.max(...venues.map(v => wide(cut(v, 12)))) + 8);
    const least = longest * 6.3 + 8, tall = 20;
    const across = Math.max(1, Math.min(coins.length, Math.floor((width - left) / least)));
    const block = 18 + venues.length * tall + 4;
    const blocks = Math.max(1, Math.floor((height - 34) / block));
    const all = coins.length;
    if (all > blocks * across) {
      const kept = new Set([...coins].sort((a, b) => reach.get(b) - reach.get(a)).slice(0, blocks * across));
      coins = coins.filter(coin => kept.has(coin));
    }
    const cell = Math.min(96, (width - left) / across);
    const groups = [];
    let y = 12;
    svg.append(label(0, y, "apr, % a year: + longs pay, - shorts pay", "start", "mute"));
    for (let first = 0; first < coins.length; first += across) {
      const part = coins.slice(first, first + across);
      y += 16;
      part.forEach((coin, i) => svg.append(label(left + (i + .5) * cell, y, cut(coin, Math.floor(cell / 6.6)), "middle")));
      for (const venue of venues) {
        svg.append(label(left - 6, y + 4 + tall * .7, cut(venue, 12), "end", "mute"));
        groups.push(part.map((coin, i) => this.cell(svg, at.get(KEY(coin, venue)), {coin, venue, meta, top, x: left + i * cell, y: y + 4, w: cell, h: tall})));
        y += tall;
      }
      y += 6;
    }
    const said = [];
    if (coins.length < all) said.push("The " + coins.length + " of " + all + " coins with the largest apr; all are in the table.");
    if (groups.some(group => group.some(mark => mark.unlisted))) said.push("n/l: the venue does not list the coin.");
    said.forEach(text => svg.append(label(0, y += 13, cut(text, width / 6), "start", "mute")));
    return {groups, height: y + 5};
  },
  cell(svg, row, {coin, venue, meta, top, x, y, w, h}) {
    const apr = row && isNumber(row.apr) ? row.apr : null;
    const share = apr === null || !top ? 0 : Math.round(100 * Math.sqrt(Math.abs(apr) / top));
    const fill = "color-mix(in srgb, var(" + (apr < 0 ? "--cold" : "--warm") + ") " + share + "%, var(--paper))";
    const rect = sv("rect", {class: "cell", x, y, width: w, height: h, style: "fill:" + fill});
    if (apr !== null) rect.dataset.v = apr;
    const unlisted = apr === null && ((meta.notListed || {})[coin] || []).includes(venue);
    const absent = unlisted ? "not listed" : meta.truncated ? "not in this answer: rows were left out" : "unknown";
    svg.append(rect, label(x + w / 2, y + h * .7, apr === null ? (unlisted ? "n/l" : "?") : signed(apr), "middle", "ink"));
    const rate = row && isNumber(row.rate) ? " (" + exact(row.rate) + " per " + exact(row.periodHours) + " h)" : "";
    return {x, y, w, h, unlisted, text: coin + " on " + venue + ": " + (apr === null ? absent : signed(apr) + " % a year" + rate)};
  },
};
