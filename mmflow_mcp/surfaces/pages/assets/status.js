// Asks for the page anew and changes in place what is different. Stops while nobody looks.
"use strict";

(() => {
  const PAUSE = 3000;
  const lost = document.getElementById("lost");
  let timer = 0;
  let asking = false;
  let seen = new Date();

  const attributes = (old, fresh) => {
    for (const { name } of [...old.attributes]) {
      if (!fresh.hasAttribute(name)) old.removeAttribute(name);
    }
    for (const { name, value } of fresh.attributes) {
      if (old.getAttribute(name) !== value) old.setAttribute(name, value);
    }
  };

  // Only what differs is touched: nothing flickers, and what is selected or focused stays so.
  const morph = (old, fresh) => {
    if (old.isEqualNode(fresh)) return;
    if (old.nodeType !== fresh.nodeType || old.nodeName !== fresh.nodeName) {
      old.replaceWith(document.importNode(fresh, true));
      return;
    }
    if (old.nodeType !== Node.ELEMENT_NODE) {
      old.data = fresh.data;
      return;
    }
    attributes(old, fresh);
    const parts = [...fresh.childNodes];
    while (old.childNodes.length > parts.length) old.lastChild.remove();
    parts.forEach((part, place) => {
      const mine = old.childNodes[place];
      if (mine) morph(mine, part);
      else old.append(document.importNode(part, true));
    });
  };

  const refresh = async () => {
    const response = await fetch("/status", {
      headers: { accept: "text/html" },
      cache: "no-store",
      signal: AbortSignal.timeout(10000),
    });
    if (!response.ok) throw new Error(String(response.status));
    const next = new DOMParser().parseFromString(await response.text(), "text/html");
    for (const fresh of next.querySelectorAll("[data-live]")) {
      const old = document.getElementById(fresh.id);
      if (old) morph(old, fresh);
    }
  };

  const turn = async () => {
    timer = 0;
    if (asking) return;
    asking = true;
    try {
      await refresh();
      seen = new Date();
      lost.hidden = true;
    } catch {
      lost.textContent = `This server does not answer. What stands here is of ${seen.toISOString().slice(11, 19)} UTC.`;
      lost.hidden = false;
    }
    asking = false;
    if (!document.hidden && !timer) timer = setTimeout(turn, PAUSE);
  };

  document.addEventListener("visibilitychange", () => {
    clearTimeout(timer);
    timer = 0;
    if (!document.hidden) turn();
  });
  if (!document.hidden) timer = setTimeout(turn, PAUSE);
})();
