/* Rows that are added, removed, moved and dragged; fields that fit what is chosen; names to pick that make no circle. Without it everything stays visible. */
(() => {
  "use strict";
  let next = Date.now();
  const picks = () => JSON.parse(document.getElementById("struct-picks")?.textContent || "{}");

  const add = (rows) => {
    const blank = rows.querySelector(":scope > [data-blank]");
    const index = String(next++);
    const row = blank.cloneNode(true);
    row.hidden = false;
    row.removeAttribute("data-blank");
    // only this list's index: lists inside keep their own blank rows
    const rename = (name) => name.replace("__row__", index);
    row.querySelectorAll("[name]").forEach((control) => { control.name = rename(control.name); });
    row.querySelectorAll("[data-rows]").forEach((inner) => { inner.dataset.rows = rename(inner.dataset.rows); });
    row.querySelectorAll("[data-prefix]").forEach((inner) => { inner.dataset.prefix = rename(inner.dataset.prefix); });
    const marker = row.querySelector(":scope > input[type=hidden]");
    marker.value = index;
    enable(row);
    blank.before(row);
    fit(row);
    offer(row);
    row.querySelector(".st-in")?.focus();
  };

  // what stands in a blank row must not be sent
  const disable = (root) => root.querySelectorAll("[data-blank] [name]").forEach((control) => { control.disabled = true; });
  const enable = (row) => row.querySelectorAll("[name]").forEach((control) => {
    if (control.closest("[data-blank]")) return;
    control.disabled = false;
  });

  const said = (scope, key) => {
    const cell = scope.querySelector(`:scope > [data-key="${key}"]`);
    const control = cell?.querySelector("select, input, textarea");
    return control ? (control.type === "checkbox" ? (control.checked ? "1" : "") : control.value.trim()) : "";
  };
  const holds = (rule, scope) => rule.split("|").reduce(
    (state, part) => {
      const [key, value] = part.includes("=") ? part.split("=") : [state.key, part];
      const have = said(scope, key);
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
  const fit = (root) => [...root.querySelectorAll("[data-when]")].reverse().forEach((cell) => {
    const key = cell.classList.contains("st-key");
    const scope = key ? cell.parentElement : cell.closest(".st-key").parentElement;
    cell.hidden = !holds(cell.dataset.when, scope) && !(key && filled(cell));
  });

  // what a name may depend on: everything that does not come after it itself
  const graph = (kind) => {
    const known = { ...(picks()[kind] || {}) };
    const prefix = kind === "phases" ? "draft_phases" : "draft_activities";
    document.querySelectorAll(`[name^="${prefix}-"][name$="-identifier"]`).forEach((field) => {
      const on = document.getElementsByName(field.name.replace(/identifier$/, "depends_on"))[0];
      if (field.value && !field.name.includes("__prefix__")) known[field.value] = (on?.value || "").split(/[,\n]/).map((name) => name.trim()).filter(Boolean);
    });
    return known;
  };
  const after = (known, name) => {
    const found = new Set([name]);
    for (let grown = true; grown;) {
      grown = false;
      for (const [other, on] of Object.entries(known)) if (!found.has(other) && on.some((one) => found.has(one))) { found.add(other); grown = true; }
    }
    return found;
  };
  const own = (area) => {
    const field = document.getElementsByName(area.name.replace(/depends_on$/, "identifier"))[0];
    return field?.value || document.querySelector(".st-back code")?.textContent || "";
  };
  const choices = (area) => {
    const kind = area.dataset.picks;
    if (kind === "people") return picks().people || [];
    const known = graph(kind);
    const behind = after(known, own(area));
    return Object.keys(known).filter((name) => !behind.has(name));
  };
  const offer = (root) => root.querySelectorAll("textarea[data-picks]").forEach((area) => {
    area.addEventListener("focus", () => show(area));
  });
  const show = (area) => {
    let box = area.parentElement.querySelector(".st-picks");
    if (!box) { box = document.createElement("div"); box.className = "st-picks"; area.after(box); }
    const have = new Set(area.value.split(/[,\n]/).map((name) => name.trim()));
    box.replaceChildren(...choices(area).filter((name) => !have.has(name)).map((name) => {
      const button = document.createElement("button");
      button.type = "button";
      button.className = "st-pick";
      button.textContent = name;
      button.dataset.pick = name;
      return button;
    }));
  };

  document.addEventListener("click", (event) => {
    const pick = event.target.closest("[data-pick]");
    if (pick) {
      const area = pick.parentElement.parentElement.querySelector("textarea[data-picks]");
      area.value = [...area.value.split(/[,\n]/).map((name) => name.trim()).filter(Boolean), pick.dataset.pick].join("\n");
      area.dispatchEvent(new Event("input", { bubbles: true }));
      show(area);
      return;
    }
    const button = event.target.closest("[data-add], [data-remove], [data-up], [data-down]");
    if (!button) return;
    if ("add" in button.dataset) { add(button.parentElement); return; }
    const row = button.closest(".st-row");
    const rows = [...row.parentElement.querySelectorAll(":scope > .st-row:not([data-blank])")];
    const place = rows.indexOf(row);
    if ("remove" in button.dataset) row.remove();
    else if ("up" in button.dataset && place > 0) rows[place - 1].before(row);
    else if ("down" in button.dataset && place < rows.length - 1) rows[place + 1].after(row);
  });
  document.addEventListener("change", (event) => { if (event.target.closest(".st")) fit(event.target.closest(".st")); });
  document.addEventListener("input", (event) => { if (event.target.matches(".st select, .st .st-in")) fit(event.target.closest(".st")); });

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
  document.addEventListener("dragend", () => { if (dragged) dragged.draggable = false; dragged = null; });

  const begin = (root) => { disable(root); fit(root); offer(root); };
  document.addEventListener("DOMContentLoaded", () => begin(document));
  document.addEventListener("formset:added", (event) => begin(event.target));
})();
