// The picture and its marks. A chart is {read(data, meta), draw(svg, width, height, model)}: read
// gives {title, finding, unit, tables} or null for an empty answer, draw gives groups of marks
// {x, y, w, h, text}. Left and right walk in a group, up and down from group to group.
const HINT = "Point, tap or use the arrow keys to read a value.";
let model = null, groups = [], at = null, drawnAt = 0;
function say(text, failed) {
  model = null;
  for (const id of ["plot", "tip", "more"]) by(id).hidden = true;
  by("finding").textContent = "";
  by("svg").replaceChildren();
  by("state").hidden = false;
  by("state").className = failed ? "failed" : "";
  by("state").textContent = cut(text, 2000);
}
function show(data, meta) {
  showNotes(meta);
  const read = chart.read(data, meta);
  by("title").textContent = cut(read ? read.title : document.title, 90);
  if (!read) return say(meta.partial ? "Nothing could be drawn: the answer has no values." : "The answer is empty: there is nothing to draw.");
  model = read;
  at = null;
  by("state").hidden = true;
  for (const id of ["plot", "tip", "more"]) by(id).hidden = false;
  by("finding").textContent = cut(read.finding, 300);
  by("svg").setAttribute("aria-label", cut(read.title + ". " + read.finding, 400));
  by("plot").setAttribute("aria-label", "Chart. " + HINT);
  by("plot").tabIndex = 0;
  by("tables").replaceChildren(...read.tables.map(tableOf));
  draw();
}
// What is left of 500 px below the words and above the table.
function room() {
  const used = ["title", "finding", "notes", "tip"].reduce((sum, id) => sum + by(id).offsetHeight, 0);
  return Math.max(150, Math.min(320, 500 - used - 44 - 36));
}
function draw() {
  if (!model) return;
  const svg = by("svg");
  drawnAt = by("plot").clientWidth;
  svg.replaceChildren();
  const found = chart.draw(svg, drawnAt, room(), model);
  groups = found.groups.filter(group => group.length);
  svg.setAttribute("height", found.height);
  svg.setAttribute("viewBox", "0 0 " + drawnAt + " " + found.height);
  point();
}
function point() {
  by("svg").querySelectorAll(".ring").forEach(one => one.remove());
  const mark = at && groups[at[0]] && groups[at[0]][at[1]];
  by("tip").textContent = mark ? mark.text : HINT;
  if (!mark) return;
  by("svg").append(sv("rect", {class: "ring", x: mark.x - 1, y: mark.y - 1, width: mark.w + 2, height: mark.h + 2, rx: 2}));
}
function choose(group, index) {
  const g = Math.max(0, Math.min(groups.length - 1, group));
  at = [g, Math.max(0, Math.min(groups[g].length - 1, index))];
  const {key} = groups[at[0]][at[1]];
  if (key !== undefined && key !== model.key) {
    model.key = key;
    draw();
  } else point();
}
const STEPS = {ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0], Home: [0, -1e9], End: [0, 1e9]};
by("plot").addEventListener("keydown", event => {
  const step = STEPS[event.key];
  if (!step || !groups.length) return;
  event.preventDefault();
  if (at) choose(at[0] + step[0], at[1] + step[1]);
  else choose(0, event.key === "End" ? 1e9 : 0);
});
// The nearest mark; groups that lie elsewhere on the page are further away.
function nearest(event) {
  if (!groups.length) return;
  const frame = by("svg").getBoundingClientRect();
  const x = event.clientX - frame.left, y = event.clientY - frame.top;
  let best = Infinity, found = null;
  groups.forEach((group, g) => group.forEach((mark, i) => {
    const dx = Math.max(mark.x - x, 0, x - mark.x - mark.w), dy = Math.max(mark.y - y, 0, y - mark.y - mark.h);
    const far = dx * dx + dy * dy * (mark.tall ? .05 : 1);
    if (far < best) [best, found] = [far, [g, i]];
  }));
  if (found) choose(...found);
}
by("svg").addEventListener("pointermove", nearest);
by("svg").addEventListener("pointerdown", nearest);
