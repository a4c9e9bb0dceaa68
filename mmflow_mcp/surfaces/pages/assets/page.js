// Copy buttons, and the address of this server as the visitor knows it.
"use strict";

(() => {
  // A page that is reached under another name, or through TLS, shows the address it was reached by.
  for (const block of document.querySelectorAll("[data-origin]")) {
    const guessed = block.dataset.origin;
    const code = block.querySelector("code");
    if (guessed !== location.origin) {
      code.textContent = code.textContent.replaceAll(guessed, location.origin);
      block.dataset.origin = location.origin;
    }
  }

  // Where the clipboard is closed to pages (plain HTTP from elsewhere), what is selected is copied.
  const selected = (block) => {
    const range = document.createRange();
    range.selectNodeContents(block);
    const selection = getSelection();
    selection.removeAllRanges();
    selection.addRange(range);
    const done = document.execCommand("copy");
    selection.removeAllRanges();
    return done;
  };

  const copy = async (block) => {
    try {
      await navigator.clipboard.writeText(block.textContent);
      return true;
    } catch {
      return selected(block);
    }
  };

  const told = document.getElementById("told");
  for (const button of document.querySelectorAll("button.copy")) {
    button.hidden = false;
    button.addEventListener("click", async () => {
      const done = await copy(button.previousElementSibling);
      const word = done ? "Copied" : "Select it and copy by hand";
      button.textContent = word;
      told.textContent = word;
      setTimeout(() => {
        button.textContent = "Copy";
        told.textContent = "";
      }, 2000);
    });
  }
})();
