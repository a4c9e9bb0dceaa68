// The filter, the forms that ask this server, and the same question for other clients.
"use strict";

(() => {
  const MOST_SHOWN = 100000;
  const MOST_EVENTS = 200;
  const HEADERS = [
    "x-ratelimit-limit",
    "x-ratelimit-remaining",
    "x-ratelimit-reset",
    "retry-after",
    "cache-control",
    "etag",
  ];
  const key = document.getElementById("key");
  const filter = document.getElementById("filter");
  const articles = [...document.querySelectorAll(".endpoint")];

  // --- the question that a form holds -----------------------------------------------------------

  const given = (form) =>
    [...form.elements]
      .filter((field) => field.name && field.value.trim())
      .map((field) => ({
        name: field.name,
        text: field.value.trim(),
        kind: field.closest(".parameter").dataset.kind,
      }));

  const addressOf = (article, asked) => {
    const query = asked.map(
      ({ name, text }) => `${name}=${encodeURIComponent(text).replaceAll("%2C", ",")}`,
    );
    return article.dataset.path + (query.length ? `?${query.join("&")}` : "");
  };

  const valueOf = ({ kind, text }) => {
    if (kind === "array") return text.split(",").map((part) => part.trim()).filter(Boolean);
    if (kind === "boolean") return text === "true";
    const isNumber = /^-?\d+(\.\d+)?$/.test(text);
    return isNumber && ["integer", "number", "moment"].includes(kind) ? Number(text) : text;
  };

  const quoted = (word) =>
    /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'"'"'`)}'`;

  const spaced = (value) =>
    Array.isArray(value)
      ? `[${value.map((one) => JSON.stringify(one)).join(", ")}]`
      : JSON.stringify(value);

  const linesOf = (article, asked) => {
    const url = quoted(location.origin + addressOf(article, asked));
    const header = key.value ? ` -H "Authorization: Bearer $KEY"` : "";
    const lines = { curl: `curl ${article.dataset.event ? "-N " : ""}${url}${header}` };
    if (article.dataset.tool) {
      const words = asked.map((one) => `${JSON.stringify(one.name)}: ${spaced(valueOf(one))}`);
      lines.tool = `{"name": "${article.dataset.tool}", "arguments": {${words.join(", ")}}}`;
      const said = asked.map(({ name, text }) => quoted(`${name}=${text}`));
      lines.command = ["mmflow-mcp call", article.dataset.tool, ...said].join(" ");
    }
    return lines;
  };

  const rewrite = (article) => {
    const lines = linesOf(article, given(article.querySelector("form")));
    for (const [name, text] of Object.entries(lines)) {
      document.getElementById(`${article.id}-${name}`).firstElementChild.textContent = text;
    }
  };

  // --- what was answered ------------------------------------------------------------------------

  const shown = (article) => {
    const box = article.querySelector(".answer");
    box.hidden = false;
    const [state, problems, headers, body] = box.children;
    return { state, problems, headers, body };
  };

  const list = (problems, said) => {
    problems.replaceChildren(
      ...said.map((text) => {
        const one = document.createElement("li");
        one.textContent = text;
        return one;
      }),
    );
    problems.hidden = said.length === 0;
  };

  const problemsOf = (told) => {
    const meta = told?.meta ?? {};
    const said = told?.error ? [told.error] : [];
    if (meta.partial && !told.error) said.push("Partial: something that was asked is missing.");
    for (const { source, status, reason } of meta.sources ?? []) {
      const twice = reason.startsWith(`${status}:`);
      said.push(`${source}: ${twice ? "" : `${status}, `}${reason}`);
    }
    return said;
  };

  const cut = (text) =>
    text.length <= MOST_SHOWN
      ? text
      : `${text.slice(0, MOST_SHOWN)}\n... the first ${MOST_SHOWN.toLocaleString("en")} of ` +
        `${text.length.toLocaleString("en")} characters`;

  const headersOf = (response) =>
    HEADERS.filter((name) => response.headers.has(name))
      .map((name) => `${name}: ${response.headers.get(name)}`)
      .join("\n");

  const wordsOf = (text) => {
    try {
      const told = JSON.parse(text);
      return { told, pretty: JSON.stringify(told, null, 2) };
    } catch {
      return { told: null, pretty: text };
    }
  };

  const showAnswer = async (article, response, began) => {
    const text = await response.text();
    const spent = Math.round(performance.now() - began);
    const { state, problems, headers, body } = shown(article);
    const { told, pretty } = wordsOf(text);
    const size = new TextEncoder().encode(text).length.toLocaleString("en");
    state.textContent = `${response.status} ${response.statusText}, ${spent} ms, ${size} bytes`;
    list(problems, problemsOf(told));
    headers.textContent = headersOf(response);
    body.textContent = cut(pretty);
  };

  const withKey = () => (key.value ? { authorization: `Bearer ${key.value.trim()}` } : {});

  const ask = async (article, address) => {
    const { state, problems, headers, body } = shown(article);
    state.textContent = "Asking ...";
    list(problems, []);
    headers.textContent = body.textContent = "";
    const began = performance.now();
    try {
      const response = await fetch(address, {
        headers: { accept: "application/json", ...withKey() },
        cache: "no-store",
      });
      await showAnswer(article, response, began);
    } catch (error) {
      state.textContent = `No answer: ${error.message}`;
    }
  };

  // --- streams ----------------------------------------------------------------------------------

  const eventsOf = (article) => {
    const { state, problems, headers, body } = shown(article);
    const lines = [];
    let count = 0;
    list(problems, []);
    headers.textContent = body.textContent = "";
    state.textContent = "Connecting ...";
    return {
      open: () => {
        state.textContent = "Listening";
      },
      take: (name, id, data) => {
        count += 1;
        lines.push(`${name}${id ? ` ${id}` : ""}\n  ${data}`);
        if (lines.length > MOST_EVENTS) lines.shift();
        body.textContent = lines.join("\n");
        body.scrollTop = body.scrollHeight;
        headers.textContent = `${count} ${count === 1 ? "event" : "events"}`;
      },
      end: (words) => {
        state.textContent = words;
      },
    };
  };

  // EventSource cannot show a key, and hides why it was refused: then the stream is fetched.
  const fetched = async (article, address, scope, told) => {
    const began = performance.now();
    const response = await fetch(address, { headers: withKey(), signal: scope.signal });
    if (!response.ok) {
      await showAnswer(article, response, began);
      return;
    }
    told.open();
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
    let rest = "";
    for (;;) {
      const { done, value } = await reader.read();
      if (done) break;
      const blocks = (rest + value).split("\n\n");
      rest = blocks.pop();
      for (const block of blocks) {
        const part = (name) =>
          block.split("\n").find((line) => line.startsWith(`${name}: `))?.slice(name.length + 2);
        if (part("event")) told.take(part("event"), part("id"), part("data") ?? "");
      }
    }
    told.end("The stream has ended");
  };

  const listen = (article, address, ended) => {
    const scope = new AbortController();
    const told = eventsOf(article);
    const viaFetch = () =>
      fetched(article, address, scope, told)
        .catch((error) => told.end(scope.signal.aborted ? "Stopped" : `Broken: ${error.message}`))
        .finally(ended);
    if (key.value) {
      viaFetch();
      return () => scope.abort();
    }
    const source = new EventSource(address);
    source.onopen = told.open;
    for (const name of [article.dataset.event, "heartbeat", "bye"]) {
      source.addEventListener(name, (event) => {
        told.take(name, event.lastEventId, event.data);
        if (name === "bye") {
          source.close();
          told.end("The stream has ended");
          ended();
        }
      });
    }
    source.onerror = () => {
      if (source.readyState === EventSource.CLOSED) viaFetch();
      else told.end("Connecting again ...");
    };
    return () => {
      source.close();
      scope.abort();
      told.end("Stopped");
      ended();
    };
  };

  // --- the forms --------------------------------------------------------------------------------

  const wire = (article) => {
    const form = article.querySelector("form");
    const [go, stop] = form.querySelectorAll("button");
    let halt = null;
    const running = (on) => {
      stop.hidden = !on;
      go.hidden = on;
      if (!on) halt = null;
    };
    form.addEventListener("input", () => rewrite(article));
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      const address = addressOf(article, given(form));
      if (!article.dataset.event) {
        ask(article, address);
        return;
      }
      running(true);
      stop.focus();
      halt = listen(article, address, () => running(false));
    });
    stop.addEventListener("click", () => {
      halt?.();
      go.hidden = false;
      go.focus();
    });
  };

  // --- examples, when they are opened -----------------------------------------------------------

  const example = (details) => {
    details.addEventListener("toggle", async () => {
      if (!details.open || details.dataset.done) return;
      details.dataset.done = "yes";
      const place = details.querySelector("p");
      place.textContent = "Executing it ...";
      try {
        const response = await fetch(details.dataset.from);
        const text = await response.text();
        if (!response.ok) throw new Error(text);
        const block = document.createElement("pre");
        block.tabIndex = 0;
        block.setAttribute("role", "region");
        block.setAttribute("aria-label", "Example answer");
        block.textContent = text;
        place.replaceWith(block);
      } catch (error) {
        delete details.dataset.done;
        place.textContent = `It could not be executed: ${error.message}`;
      }
    });
  };

  // --- the filter -------------------------------------------------------------------------------

  const texts = new Map(
    articles.map((one) => [
      one,
      [one.querySelector("h3"), ...one.querySelectorAll(":scope > p, label")]
        .map((part) => part.textContent)
        .join(" ")
        .toLowerCase(),
    ]),
  );

  const sift = () => {
    const words = filter.value.toLowerCase().split(/\s+/).filter(Boolean);
    let count = 0;
    for (const [article, text] of texts) {
      const fits = words.every((word) => text.includes(word));
      article.hidden = !fits;
      count += fits;
      document.querySelector(`.contents a[href="#${article.id}"]`).parentElement.hidden = !fits;
    }
    for (const family of document.querySelectorAll(".family")) {
      family.hidden = !family.querySelector(".endpoint:not([hidden])");
    }
    for (const group of document.querySelectorAll(".contents [data-family]")) {
      group.hidden = !group.querySelector("li:not([hidden])");
    }
    document.getElementById("nothing").hidden = count > 0;
    const fits = document.getElementById("fits");
    fits.textContent = words.length ? `${count} of ${articles.length} fit` : "";
  };

  document.getElementById("tools").hidden = false;
  filter.addEventListener("input", sift);
  key.addEventListener("input", () => articles.forEach(rewrite));
  articles.forEach(wire);
  document.querySelectorAll(".example").forEach(example);
  // On a narrow screen the list of all endpoints would push the endpoints away.
  if (matchMedia("(max-width: 63.99rem)").matches) {
    document.querySelector(".contents details").open = false;
  }
})();
