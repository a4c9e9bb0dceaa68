"use strict";
// What outsiders wrote reaches the page as text nodes and attributes only.
const by = id => document.getElementById(id);
function el(name, given, ...inside) {
  const one = document.createElement(name);
  for (const [key, value] of Object.entries(given || {})) one.setAttribute(key, value);
  one.append(...inside);
  return one;
}
function sv(name, given, ...inside) {
  const one = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(given || {})) one.setAttribute(key, value);
  one.append(...inside);
  return one;
}
const isNumber = v => typeof v === "number" && Number.isFinite(v);
const isThing = v => v !== null && typeof v === "object" && !Array.isArray(v);
// Both forms of rows as objects: {columns, rows} and a list of objects.
function objects(table) {
  if (Array.isArray(table)) return table.filter(isThing);
  if (!isThing(table) || !Array.isArray(table.rows) || !Array.isArray(table.columns)) return [];
  return table.rows.map(row => Object.fromEntries(table.columns.map((name, i) => [name, row[i]])));
}
const plain = (v, digits = 2) => v.toLocaleString("en-US", {maximumFractionDigits: digits, signDisplay: "negative"});
const price = v => plain(v, Math.abs(v) < 10 ? 4 : 2);
const signed = (v, digits = 2) => (v > 0 ? "+" : "") + plain(v, digits);
const brief = v => v.toLocaleString("en-US", {notation: "compact", maximumSignificantDigits: 3});
const percent = v => plain(v * 100, 2) + " %";
const when = ms => isNumber(ms) && Math.abs(ms) < 8e15 ? new Date(ms).toISOString().slice(0, 16).replace("T", " ") : "-";
// A value as the table tells it: the very number of the answer.
function exact(v) {
  if (v === null || v === undefined) return "-";
  if (isThing(v)) return Object.entries(v).map(([key, one]) => key + " " + exact(one)).join(", ");
  return String(v);
}
// The least and the greatest of a list of any length, which may be empty.
const ends = list => list.reduce(([a, b], v) => [Math.min(a, v), Math.max(b, v)], [Infinity, -Infinity]);
const scale = (d0, d1, r0, r1) => v => d1 === d0 ? (r0 + r1) / 2 : r0 + (v - d0) / (d1 - d0) * (r1 - r0);
function ticks(low, high, most) {
  const rough = (high - low) / Math.max(1, most);
  if (!(rough > 0)) return [low];
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 2.5, 5, 10].map(m => m * power).find(s => s >= rough * .999);
  const found = [];
  for (let i = Math.ceil(low / step - 1e-9); i * step <= high + step * 1e-9; i++) found.push(+(i * step).toPrecision(12));
  return found;
}
const wide = text => text.length * 6.3;
function label(x, y, text, anchor = "start", kind = "") {
  return sv("text", {x, y, "text-anchor": anchor, class: kind}, text);
}
// A label that stays inside the picture, centred on x where there is room.
function inside(x, y, text, width, kind) {
  const half = wide(text) / 2;
  return label(Math.max(half, Math.min(width - half, x)), y, text, "middle", kind);
}
const line = (x1, y1, x2, y2, kind = "rule") => sv("line", {x1, y1, x2, y2, class: kind});
// The left axis of a plot: its ticks, each with a rule across.
function axis(svg, box, y, values, write) {
  for (const v of values) {
    svg.append(line(box.left, y(v), box.right, y(v)), label(box.left - 4, y(v) + 4, write(v), "end", "mute"));
  }
}
// Words in lines of at most so many letters; what does not fit into the last line is cut.
function wrap(text, letters, most) {
  const lines = [""];
  for (const word of text.split(" ")) {
    const longer = (lines.at(-1) + " " + word).trim();
    if (longer.length <= letters || lines.length === most || !lines.at(-1)) lines[lines.length - 1] = longer;
    else lines.push(word);
  }
  return lines.map(one => cut(one, letters));
}
const cut = (text, most) => text.length > most ? text.slice(0, most - 1) + "\u2026" : text;
// What there is to know about an answer, the loud things first.
function notesOf(meta) {
  const loud = [], quiet = [];
  const source = String(meta.source || "");
  if (source.startsWith("sim:")) loud.push("sim: simulated market, not the live one");
  if (source.startsWith("replay:")) loud.push("replay: recorded, not the live market");
  const sources = (Array.isArray(meta.sources) ? meta.sources : []).filter(isThing);
  // The reason's code may be the status again.
  const why = s => exact(s.reason).startsWith(exact(s.status) + ": ") ? exact(s.reason).slice(exact(s.status).length + 2) : exact(s.reason);
  const tell = s => cut(exact(s.source), 30) + " " + cut(exact(s.status), 20) + (isNumber(s.ageMs) ? " (" + plain(s.ageMs / 6e4, 1) + " min old)" : "") + ": " + cut(why(s), 70);
  const stale = sources.filter(s => s.status === "stale");
  const other = sources.filter(s => s.status !== "stale");
  if (meta.partial) loud.push("Partial: something asked is missing." + (other.length ? " " + other.map(tell).join("; ") : ""));
  else if (other.length) quiet.push(other.map(tell).join("; "));
  if (stale.length) loud.push("Stale: " + stale.map(tell).join("; "));
  if (meta.truncated) loud.push("Not all rows: " + exact(meta.narrow || meta.total + " there are"));
  for (const [coin, venues] of Object.entries(isThing(meta.notListed) ? meta.notListed : {})) quiet.push(coin + " is not listed on " + [].concat(venues).join(", "));
  for (const key of ["kinds", "narrowed"]) if (isThing(meta[key])) quiet.push(exact(meta[key]));
  if (meta.spot) quiet.push("spot is the " + exact(meta.spot));
  if (meta.rowsSkipped) quiet.push(exact(meta.rowsSkipped) + " rows could not be used");
  if (meta.condensed) quiet.push(exact(meta.condensed));
  if (meta.history) loud.push(exact(meta.history));
  const at = meta.asOf || (isNumber(meta.fetchedAt) ? when(meta.fetchedAt) + " UTC" : "");
  if (at) quiet.push("as of " + at);
  return {loud, quiet};
}
function showNotes(meta) {
  const {loud, quiet} = notesOf(meta);
  by("notes").replaceChildren(
    ...loud.map(text => el("li", {class: "loud"}, cut(text, 400))),
    ...(quiet.length ? [el("li", {}, cut(quiet.join(" \u00b7 "), 400))] : []),
  );
}
// Columns of moments; a table tells them as minutes, UTC.
const TIMES = ["t", "ts", "expiryMs", "fetchedAt", "nextFundingTime"];
function tableOf({caption, columns, rows: given}) {
  const rows = given.map(row => row.map((v, i) => TIMES.includes(columns[i]) && isNumber(v) ? when(v) : v));
  const words = columns.map((_, i) => rows.length > 0 && rows.every(row => !isNumber(row[i])));
  return el("div", {class: "wide", tabindex: 0, role: "group", "aria-label": caption}, el("table", {}, el("caption", {}, caption),
    el("thead", {}, el("tr", {}, ...columns.map((name, i) => el("th", {scope: "col", class: words[i] ? "word" : ""}, TIMES.includes(name) ? name + " (UTC)" : name)))),
    el("tbody", {}, ...rows.map(row => el("tr", {}, ...row.map((v, i) => el("td", {class: words[i] ? exact(v).length > 24 ? "word long" : "word" : ""}, exact(v))))))));
}
