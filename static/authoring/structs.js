/* Rows that are added, removed, moved and dragged; fields that fit what is chosen. Without it everything stays visible. */
(() => {
  "use strict";
  let next = Date.now();

  const add = (rows, name) => {
    const blank = rows.querySelector(":scope > [data-blank]");
    const index = String(next++);
    const row = blank.cloneNode(true);
    row.hidden = false;
    row.removeAttribute("data-blank");
    // only this list's index: lists inside keep their own blank rows
    const rename = (text) => text.replace("__row__", index);
    row.querySelectorAll("[name]").forEach((control) => { control.name = rename(control.name); });
    row.querySelectorAll("[data-rows]").forEach((inner) => { inner.dataset.rows = rename(inner.dataset.rows); });
    row.querySelectorAll("[data-prefix]").forEach((inner) => { inner.dataset.prefix = rename(inner.dataset.prefix); });
    const marker = row.querySelector(":scope > input[type=hidden]");
    marker.value = index;
    enable(row);
    blank.before(row);
    fit(row);
    row.dispatchEvent(new Event("rows:added", { bubbles: true }));
    const key = row.querySelector(":scope > .st-item > .st-name");
    if (name && key) key.value = name;
    row.querySelector(name ? ":scope > .st-item > :not(.st-name) input.st-in" : ".st-in, .pk-in")?.focus();
  };

  // what stands in a blank row must not be sent
  const disable = (root) => root.querySelectorAll("[data-blank] [name]").forEach((control) => { control.disabled = true; });
  const enable = (row) => row.querySelectorAll("[name]").forEach((control) => {
    if (control.closest("[data-blank]")) return;
    control.disabled = false;
  });

  const cellOf = (struct, key) => [...struct.querySelectorAll(`[data-key="${key}"]`)].find((cell) => cell.closest(".st-struct") === struct);
  const said = (struct, key) => {
    const control = struct && cellOf(struct, key)?.querySelector("select, input, textarea");
    return control ? (control.type === "checkbox" ? (control.checked ? "1" : "") : control.value.trim()) : "";
  };
  const holds = (rule, struct) => rule.split("|").reduce(
    (state, part) => {
      const [key, value] = part.includes("=") ? part.split("=") : [state.key, part];
      const have = said(struct, key);
      return { key, yes: state.yes || (value === "*" ? have !== "" : have === value) };
    }, { key: "", yes: false },
  ).yes;
  // what is said is sent, so it stays in sight; what stands in a case that is not chosen is not sent
  const filled = (cell) => [...cell.querySelectorAll("[name]")].some((control) => {
    const hidden = control.closest("[data-when][hidden]");
    if (control.disabled || control.name.endsWith(".@row") || (hidden && hidden !== cell && cell.contains(hidden))) return false;
    if (control.name.endsWith(".@kind")) return control.value === "yes";
    return control.type === "checkbox" ? control.checked : control.value.trim() !== "";
  });
  // from the inside out: whether a key holds something depends on which of its cases is chosen
  const fit = (root) => {
    [...root.querySelectorAll("[data-when]")].reverse().forEach((cell) => {
      const key = cell.classList.contains("st-key");
      const struct = (key ? cell : cell.closest(".st-key")).closest(".st-struct");
      cell.hidden = !holds(cell.dataset.when, struct) && !(key && filled(cell));
    });
    root.querySelectorAll(".st-part").forEach((part) => { part.hidden = !part.querySelector(".st-key:not([hidden])"); });
  };

  // an activity of the store and a subprocess say what they take: a click adds it by its name
  const give = (control) => {
    const key = control.closest(".st-key");
    const known = JSON.parse(document.getElementById("struct-picks")?.textContent || "{}");
    const name = control.value.trim();
    const [takes, rows] = key.dataset.key === "uses"
      ? [known.templates?.[name], document.querySelector('[data-rows="activity.with.uses"]')]
      : [known.processes?.[name], document.querySelector('[data-rows="activity.inputs"]')];
    if (!rows) return;
    rows.querySelector(":scope > .st-takes")?.remove();
    const have = new Set([...rows.querySelectorAll(":scope > .st-row:not([data-blank]) > .st-item > .st-name")].map((field) => field.value.trim()));
    const left = Object.entries(takes || {}).filter(([one]) => !have.has(one));
    if (!left.length) return;
    const box = document.createElement("div");
    box.className = "st-takes";
    box.append("Takes ", ...left.map(([one, required]) => {
      const button = document.createElement("button");
      Object.assign(button, { type: "button", className: "st-btn", textContent: required ? `${one} (required)` : one });
      button.addEventListener("click", () => { add(rows, one); give(control); });
      return button;
    }));
    rows.append(box);
  };
  const GIVERS = '.st-key[data-key="uses"] > .st-body > input, .st-key[data-key="process"] > .st-body > input';

  document.addEventListener("click", (event) => {
    const button = event.target.closest("[data-add], [data-remove], [data-up], [data-down]");
    if (!button) return;
    if ("add" in button.dataset) { add(button.parentElement); return; }
    const row = button.closest(".st-row");
    const list = row.parentElement;
    const rows = [...list.querySelectorAll(":scope > .st-row:not([data-blank])")];
    const place = rows.indexOf(row);
    if ("remove" in button.dataset) { row.remove(); (rows[place + 1] || rows[place - 1])?.querySelector("[data-remove]").focus(); }
    else if ("up" in button.dataset && place > 0) { rows[place - 1].before(row); button.focus(); }
    else if ("down" in button.dataset && place < rows.length - 1) { rows[place + 1].after(row); button.focus(); }
    list.dispatchEvent(new Event("change", { bubbles: true }));
  });
  document.addEventListener("change", (event) => {
    if (event.target.closest(".st")) fit(event.target.closest(".st"));
  });
  document.addEventListener("input", (event) => {
    if (event.target.matches(GIVERS)) give(event.target);
    if (event.target.matches(".st select, .st .st-in")) fit(event.target.closest(".st"));
  });

  // dragging a row by its tools
  let dragged = null;
  document.addEventListener("pointerdown", (event) => {
    const row = event.target.closest(".st-tools")?.parentElement;
    if (row && !event.target.closest("button")) row.draggable = true;
  });
  document.addEventListener("dragstart", (event) => { dragged = event.target.closest?.(".st-row"); });
  document.addEventListener("dragover", (event) => {
    const row = event.target.closest?.(".st-row:not([data-blank])");
    if (dragged && row && row !== dragged && row.parentElement === dragged.parentElement) {
      event.preventDefault();
      const box = row.getBoundingClientRect();
      if (event.clientY < box.top + box.height / 2) row.before(dragged); else row.after(dragged);
    }
  });
  document.addEventListener("dragend", () => {
    if (!dragged) return;
    dragged.draggable = false;
    dragged.dispatchEvent(new Event("change", { bubbles: true }));
    dragged = null;
  });

  const begin = (root) => { disable(root); fit(root); };
  document.addEventListener("DOMContentLoaded", () => {
    begin(document);
    document.querySelectorAll(GIVERS).forEach(give);
  });
  document.addEventListener("rows:added", (event) => begin(event.target));
})();
