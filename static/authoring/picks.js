/* Names to pick as chips: people, and what may come before something without closing a circle. The text area behind it holds what is sent; without script one types there. */
(() => {
  "use strict";
  const lines = (text) => text.split(/[,\n]/).map((name) => name.trim()).filter(Boolean);
  const offered = () => JSON.parse(document.getElementById("struct-picks")?.textContent || "{}");
  const field = (row, name) => row.querySelector(`[name="${row.dataset.form}-${name}"]`)?.value.trim() || "";

  // the draft as the page says it, saved or not
  const draft = () => {
    const plan = document.getElementById("plan");
    const known = offered();
    if (!plan) return { phases: known.phases || {}, activities: known.activities || {} };
    const phases = {}, activities = {};
    plan.querySelectorAll("[data-phase]:not(.is-gone)").forEach((card) => {
      const phase = field(card, "identifier") || `#${card.dataset.form}`;
      phases[phase] = lines(field(card, "depends_on"));
      card.querySelectorAll("[data-activity]:not(.is-gone)").forEach((row) => {
        const id = field(row, "identifier") || `#${row.dataset.form}`;
        activities[id] = { phase, on: lines(field(row, "depends_on")), outputs: known.activities?.[id]?.outputs || [] };
      });
    });
    return { phases, activities };
  };
  // a phase opens before its activities and closes after them (S4): what comes after a node is everything that can be reached from it
  const later = ({ phases, activities }) => {
    const next = {};
    const edge = (from, to) => { (next[from] ||= []).push(to); };
    for (const [phase, on] of Object.entries(phases)) {
      edge(`opens ${phase}`, `closes ${phase}`);
      on.forEach((other) => edge(`closes ${other}`, `opens ${phase}`));
    }
    for (const [name, one] of Object.entries(activities)) {
      edge(`opens ${one.phase}`, `does ${name}`);
      edge(`does ${name}`, `closes ${one.phase}`);
      one.on.forEach((other) => edge(`does ${other}`, `does ${name}`));
    }
    return (from) => {
      const found = new Set([from]);
      for (const node of found) (next[node] || []).forEach((other) => found.add(other));
      return found;
    };
  };
  const ownId = (area) => {
    const row = area.closest("[data-form]");
    return row ? field(row, "identifier") || `#${row.dataset.form}` : document.querySelector("[data-own]")?.textContent || "";
  };
  const LISTS = { exclude: ["starter", "author", "earlier_approvers"] };
  const choices = (area) => {
    const kind = area.dataset.picks;
    if (kind === "people") return offered().people || [];
    if (LISTS[kind]) return LISTS[kind];
    const known = draft(), after = later(known), own = ownId(area);
    if (kind === "names") {
      const names = offered().names || {};
      const before = Object.entries(known.activities).filter(([name]) => name !== own && after(`does ${name}`).has(`does ${own}`));
      return ["inputs", ...(names.inputs || []).map((name) => `inputs.${name}`), ...(names.variables || []).map((name) => `variables.${name}`),
        ...before.flatMap(([name, one]) => [`activities.${name}.outputs`, ...one.outputs.map((output) => `activities.${name}.outputs.${output}`)])];
    }
    const behind = after(kind === "phases" ? `opens ${own}` : `does ${own}`);
    const verb = kind === "phases" ? "closes" : "does";
    const home = known.activities[own]?.phase;
    const fit = Object.keys(known[kind]).filter((name) => name !== own && !name.startsWith("#") && !behind.has(`${verb} ${name}`));
    return kind === "phases" ? fit : [...fit.filter((name) => known.activities[name].phase === home), ...fit.filter((name) => known.activities[name].phase !== home)];
  };

  let count = 0;
  const make = (area) => {
    area.dataset.ready = "1";
    const box = document.createElement("div");
    box.className = "pk";
    const input = document.createElement("input");
    const list = document.createElement("ul");
    list.id = `pk-${count += 1}`;
    list.className = "pk-list";
    list.setAttribute("role", "listbox");
    list.hidden = true;
    input.className = "pk-in";
    input.type = "text";
    input.autocomplete = "off";
    input.spellcheck = false;
    input.setAttribute("role", "combobox");
    input.setAttribute("aria-expanded", "false");
    input.setAttribute("aria-controls", list.id);
    input.setAttribute("aria-label", area.getAttribute("aria-label") || area.labels?.[0]?.textContent.trim() || "Names");
    if (area.id) { input.id = area.id; area.removeAttribute("id"); }
    box.append(input, list);
    area.before(box);
    area.hidden = true;

    let at = -1;
    const close = () => { list.hidden = true; at = -1; input.setAttribute("aria-expanded", "false"); input.removeAttribute("aria-activedescendant"); };
    const say = (names) => {
      area.value = [...new Set(names)].join("\n");
      chips();
      area.dispatchEvent(new Event("input", { bubbles: true }));
    };
    const add = (name) => { input.value = ""; say([...lines(area.value), ...lines(name)]); close(); };
    const chips = () => {
      box.querySelectorAll(".pk-chip").forEach((chip) => chip.remove());
      input.before(...lines(area.value).map((name) => {
        const chip = document.createElement("button");
        chip.type = "button";
        chip.className = "pk-chip";
        chip.textContent = name;
        chip.setAttribute("aria-label", `Remove ${name}`);
        chip.addEventListener("click", () => { say(lines(area.value).filter((other) => other !== name)); input.focus(); });
        return chip;
      }));
      input.placeholder = area.value ? "" : area.placeholder || "Add …";
    };
    const mark = (to) => {
      at = to;
      [...list.children].forEach((item, number) => {
        item.setAttribute("aria-selected", String(number === at));
        if (number === at) { item.scrollIntoView({ block: "nearest" }); input.setAttribute("aria-activedescendant", item.id); }
      });
    };
    const open = () => {
      const have = new Set(lines(area.value)), part = input.value.trim().toLowerCase();
      const fit = choices(area).filter((name) => !have.has(name) && name.toLowerCase().includes(part)).slice(0, 100);
      list.replaceChildren(...fit.map((name, number) => {
        const item = document.createElement("li");
        item.id = `${list.id}-${number}`;
        item.setAttribute("role", "option");
        item.textContent = name;
        item.addEventListener("pointerdown", (event) => { event.preventDefault(); add(name); input.focus(); });
        return item;
      }));
      list.hidden = !fit.length;
      input.setAttribute("aria-expanded", String(!list.hidden));
      mark(fit.length && part ? 0 : -1);
    };
    input.addEventListener("focus", open);
    input.addEventListener("click", open);
    input.addEventListener("input", (event) => { event.stopPropagation(); if (input.value.includes(",")) add(input.value); else open(); });
    input.addEventListener("blur", () => { if (input.value.trim()) add(input.value); close(); });
    input.addEventListener("keydown", (event) => {
      const many = list.children.length;
      if (event.key === "ArrowDown" && many) { event.preventDefault(); if (list.hidden) open(); mark((at + 1) % many); }
      else if (event.key === "ArrowUp" && many) { event.preventDefault(); mark((at - 1 + many) % many); }
      else if (event.key === "Enter") {
        event.preventDefault();
        const exact = choices(area).includes(input.value.trim());
        if (!exact && at >= 0 && !list.hidden) add(list.children[at].textContent); else if (input.value.trim()) add(input.value);
      }
      else if (event.key === "Escape" && !list.hidden) { event.preventDefault(); close(); }
      else if (event.key === "Backspace" && !input.value) { const have = lines(area.value); if (have.length) say(have.slice(0, -1)); }
    });
    chips();
  };
  const begin = (root) => root.querySelectorAll("textarea[data-picks]:not([data-ready])").forEach((area) => {
    if (!area.closest("[data-blank]") && !area.name.includes("__row__")) make(area);
  });
  document.addEventListener("DOMContentLoaded", () => begin(document));
  document.addEventListener("rows:added", (event) => begin(event.target));
})();
