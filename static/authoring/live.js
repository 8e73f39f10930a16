/* What is wrong, at the field that it is about: as it was saved to begin with, and asked for anew while one types. Nothing is stored by asking. */
(() => {
  "use strict";
  const WAIT = 500;
  let panel, form, asking = null, timer = 0;

  // the control or the part of a form that a problem is about: the innermost that is on this page
  const inner = (around, part) => {
    const parts = [...around.querySelectorAll(".st-struct, .st-rows")];
    const holder = parts.find((one) => !one.closest("[data-blank]") && !one.closest(".st-case[hidden]"));
    if (!holder) return null;
    if (holder.matches(".st-struct")) return [...holder.querySelectorAll(".st-key")].find((key) => key.dataset.key === part && key.closest(".st-struct") === holder);
    const rows = [...holder.children].filter((row) => row.matches(".st-row:not([data-blank])"));
    return rows.find((row) => row.querySelector(":scope > .st-item > .st-name")?.value.trim() === part) || (/^\d+$/.test(part) ? rows[Number(part)] : null);
  };
  const place = (one) => {
    const struct = one.field && document.querySelector(`.st[data-field="${CSS.escape(one.field)}"]`);
    if (struct) {
      let found = struct;
      for (const part of one.inside) { const next = inner(found, part); if (!next) break; found = next; }
      return found;
    }
    return (one.field && document.getElementsByName(one.field)[0]) || (one.row && document.querySelector(`[data-form="${CSS.escape(one.row)}"]`)) || null;
  };
  const cell = (found) => {
    if (found.matches(".st-key")) return found.querySelector(":scope > .st-body");
    if (found.matches(".st-row")) return found.querySelector(":scope > .st-item");
    if (found.matches("[data-phase]")) return found.querySelector(":scope > .pl-head");
    return found.matches("input, select, textarea") ? found.closest(".pl-cell, .pl-after, .pl-row") || found.parentElement : found;
  };
  const focus = (found) => {
    for (let details = found.closest("details"); details; details = details.parentElement.closest("details")) details.open = true;
    const target = found.matches("input, select") ? found : cell(found).querySelector("input:not([type=hidden]), select, textarea:not([hidden]), button, a");
    found.scrollIntoView({ block: "center" });
    target?.focus({ preventScroll: true });
  };

  const show = (problems) => {
    document.querySelectorAll(".st-mark").forEach((mark) => mark.remove());
    document.querySelectorAll("[data-wrong]").forEach((one) => one.removeAttribute("data-wrong"));
    const wrong = problems.filter((one) => one.severity === "error").length;
    const more = problems.length - wrong;
    const count = (many, word) => `${many} ${word}${many > 1 ? "s" : ""}`;
    panel.dataset.severity = wrong ? "error" : more ? "warning" : "";
    panel.querySelector("[data-summary]").textContent = wrong
      ? `${count(wrong, "problem")} to solve before it can be published${more ? `, ${count(more, "warning")}` : ""}`
      : more ? `It can be published, with ${count(more, "warning")}` : panel.dataset.empty || "Nothing is wrong with it.";
    panel.querySelector("[data-list]").replaceChildren(...problems.map((one) => {
      const item = document.createElement("li");
      item.dataset.severity = one.severity;
      const found = place(one);
      const text = document.createElement("span");
      if (one.where) {
        const where = document.createElement(found ? "button" : "b");
        where.textContent = one.where;
        if (found) { where.type = "button"; where.className = "st-where"; where.addEventListener("click", () => focus(found)); }
        text.append(where, " ");
      }
      text.append(one.message);
      item.append(text);
      if (one.mend) {
        const mend = document.createElement("button");
        Object.assign(mend, { type: "submit", className: "st-btn", name: "_mend", value: one.value, textContent: one.mend });
        item.append(mend);
      }
      if (found) {
        const mark = document.createElement("p");
        mark.className = "st-mark";
        mark.dataset.severity = one.severity;
        mark.textContent = one.message;
        found.setAttribute("data-wrong", one.severity);
        cell(found).append(mark);
      }
      return item;
    }));
  };

  const ask = async () => {
    asking?.abort();
    const mine = asking = new AbortController();
    panel.setAttribute("aria-busy", "true");
    try {
      const answer = await fetch(panel.dataset.check, { method: "POST", body: new FormData(form), signal: mine.signal, headers: { Accept: "application/json" } });
      if (!answer.ok) throw new Error(String(answer.status));
      show((await answer.json()).problems);
      panel.dataset.checked = String(Number(panel.dataset.checked || 0) + 1);
    } catch (refused) {
      if (refused.name !== "AbortError") panel.querySelector("[data-summary]").textContent = "Not checked: the server does not answer. Saving checks again.";
    } finally { if (asking === mine) panel.removeAttribute("aria-busy"); }
  };
  const soon = () => { panel.setAttribute("aria-busy", "true"); clearTimeout(timer); timer = setTimeout(ask, WAIT); };

  document.addEventListener("DOMContentLoaded", () => {
    panel = document.getElementById("problems");
    if (!panel) return;
    form = panel.closest("form");
    show(JSON.parse(document.getElementById("found").textContent));
    form.addEventListener("input", soon);
    form.addEventListener("change", soon);
  });
})();
