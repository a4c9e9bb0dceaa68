// The MCP Apps bridge: JSON-RPC 2.0 with the window that holds this page, and with no other.
const send = message => parent.postMessage({jsonrpc: "2.0", ...message}, "*");
function dress(context) {
  if (!isThing(context)) return;
  const root = document.documentElement;
  if (context.theme === "light" || context.theme === "dark") {
    root.style.colorScheme = context.theme;
    root.dataset.theme = context.theme;
  }
  const variables = isThing(context.styles) && context.styles.variables;
  for (const [name, value] of Object.entries(isThing(variables) ? variables : {})) {
    if (name.startsWith("--") && typeof value === "string") root.style.setProperty(name, value);
  }
}
function take(result) {
  if (!isThing(result)) return say("The host sent no result.", true);
  const text = (Array.isArray(result.content) ? result.content : []).filter(one => isThing(one) && one.type === "text").map(one => String(one.text)).join("\n");
  by("notes").replaceChildren();
  by("title").textContent = document.title;
  if (result.isError) return say(text || "The call failed.", true);
  let answer = result.structuredContent;
  if (!isThing(answer)) {
    try { answer = JSON.parse(text); } catch { answer = null; }
  }
  if (!isThing(answer) || !("data" in answer)) return say(text || "The answer holds nothing.");
  try {
    show(answer.data, isThing(answer.meta) ? answer.meta : {});
  } catch (error) {
    console.warn(error);
    say("This answer could not be drawn. " + text, true);
  }
}
let told = "";
const sizes = new ResizeObserver(() => {
  if (model && by("plot").clientWidth !== drawnAt) draw();
  const box = document.documentElement.getBoundingClientRect();
  const size = {width: Math.ceil(box.width), height: Math.ceil(box.height)};
  if (told === size.width + "x" + size.height) return;
  told = size.width + "x" + size.height;
  send({method: "ui/notifications/size-changed", params: size});
});
const NOTIFIED = {
  "ui/notifications/tool-input": () => { if (!model) say("Asking."); },
  "ui/notifications/tool-result": take,
  "ui/notifications/tool-cancelled": params => {
    by("notes").replaceChildren();
    say("Cancelled" + (params && params.reason ? ": " + params.reason : "."));
  },
  "ui/notifications/host-context-changed": params => { dress(params); draw(); },
};
addEventListener("message", event => {
  const message = event.data;
  if (event.source !== parent || !isThing(message) || message.jsonrpc !== "2.0") return;
  if (message.method === undefined) {
    if (message.id !== 1) return;
    if (message.error) return say("The host refused this page: " + exact(message.error.message), true);
    dress(message.result && message.result.hostContext);
    send({method: "ui/notifications/initialized", params: {}});
    sizes.observe(document.documentElement);
  } else if (message.id === undefined) {
    if (Object.hasOwn(NOTIFIED, message.method)) NOTIFIED[message.method](message.params);
  } else if (message.method === "ping" || message.method === "ui/resource-teardown") {
    if (message.method !== "ping") sizes.disconnect();
    send({id: message.id, result: {}});
  } else send({id: message.id, error: {code: -32601, message: "Method not found"}});
});
send({id: 1, method: "ui/initialize", params: {
  protocolVersion: "2026-01-26",
  appInfo: {name: "mmflow-" + document.title.toLowerCase().replaceAll(" ", "-"), version: "1"},
  appCapabilities: {availableDisplayModes: ["inline"]},
}});
