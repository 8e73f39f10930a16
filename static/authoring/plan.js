/* Phases and activities: add, name, move (by button or drag, from phase to phase too), remove and take back. Order and phase are written into hidden fields. */
(() => {
  "use strict";
  const control = (row, name) => row.querySelector(`[name="${row.dataset.form}-${name}"]`);
  const total = (kind) => document.querySelector(`[name="${kind}-TOTAL_FORMS"]`);
  let plan;

  const number = () => {
    const cards = [...plan.querySelectorAll("[data-phase]")];
    cards.forEach((card, place) => { control(card, "position").value = place; });
    let place = 0;
    cards.forEach((card) => card.querySelectorAll("[data-activity]").forEach((row) => {
      control(row, "position").value = place;
      place += 1;
      control(row, "phase").value = control(card, "identifier").value.trim();
    }));
    plan.querySelector("[data-none]").hidden = cards.length > 0;
  };
  const changed = () => { number(); plan.dispatchEvent(new Event("input", { bubbles: true })); };
  const say = (text) => { plan.querySelector("[data-said]").textContent = text; };
  const called = (row) => control(row, "name").value || control(row, "identifier").value || "It";

  const add = (kind, into) => {
    const blank = plan.querySelector(`template[data-blank="${kind}"]`);
    const forms = total(kind === "phase" ? "draft_phases" : "draft_activities");
    const holder = document.createElement("template");
    holder.innerHTML = blank.innerHTML.replaceAll("__prefix__", forms.value);
    forms.value = Number(forms.value) + 1;
    const row = holder.content.firstElementChild;
    into.append(row);
    row.dispatchEvent(new Event("rows:added", { bubbles: true }));
    changed();
    control(row, "name").focus();
  };

  // an id from the name, for as long as nobody has seen it
  const slug = (text, taken) => {
    const word = text.normalize("NFKD").toLowerCase().replace(/[^a-z0-9]+/g, "_").replace(/^[_0-9]+|_+$/g, "").slice(0, 60);
    let found = word, count = 2;
    while (word && taken.has(found)) { found = `${word}_${count}`; count += 1; }
    return found;
  };
  const name = (input) => {
    const row = input.closest("[data-form]");
    const id = control(row, "identifier");
    if (control(row, "id").value || (id.value && id.value !== id.dataset.auto)) return;
    const kind = row.hasAttribute("data-phase") ? "data-phase" : "data-activity";
    const others = [...plan.querySelectorAll(`[${kind}]`)].filter((other) => other !== row);
    id.value = id.dataset.auto = slug(input.value, new Set(others.map((other) => control(other, "identifier").value)));
  };

  const remove = (row, gone) => {
    for (const one of [row, ...row.querySelectorAll("[data-activity]")]) {
      one.classList.toggle("is-gone", gone);
      control(one, "DELETE").value = gone ? "on" : "";
    }
    changed();
    row.querySelector(gone ? "[data-undo]" : "[data-gone]")?.focus();
  };
  const move = (row, by) => {
    const kind = row.hasAttribute("data-phase") ? "[data-phase]" : "[data-activity]";
    const beside = by < 0 ? row.previousElementSibling : row.nextElementSibling;
    if (beside?.matches(kind)) { if (by < 0) beside.before(row); else beside.after(row); }
    else if (kind === "[data-activity]") {
      // at the end of its phase an activity goes on into the next one
      const cards = [...plan.querySelectorAll("[data-phase]")];
      const card = cards[cards.indexOf(row.closest("[data-phase]")) + by];
      const list = card?.querySelector("[data-activities]");
      if (!list) return;
      if (by < 0) list.append(row); else list.prepend(row);
    } else return;
    changed();
    const home = row.parentElement.closest("[data-phase]");
    const rows = [...row.parentElement.children].filter((other) => other.matches(kind));
    say(`${called(row)} is ${rows.indexOf(row) + 1} of ${rows.length}${home ? ` in ${called(home)}` : ""}.`);
    row.querySelector(`[data-move="${by}"]`).focus();
  };

  const begin = () => {
    plan = document.getElementById("plan");
    const whole = document.getElementById("id_name"), wholeId = document.getElementById("id_identifier");
    if (whole && wholeId && !wholeId.disabled) whole.addEventListener("input", () => {
      if (!wholeId.value || wholeId.value === wholeId.dataset.auto) wholeId.value = wholeId.dataset.auto = slug(whole.value, new Set());
    });
    if (!plan) return;
    number();
    plan.addEventListener("click", (event) => {
      const button = event.target.closest("button");
      if (!button) return;
      const row = button.closest("[data-activity], [data-phase]");
      if ("addPhase" in button.dataset) add("phase", plan.querySelector("[data-phases]"));
      else if ("addActivity" in button.dataset) add("activity", row.querySelector("[data-activities]"));
      else if ("gone" in button.dataset) remove(row, true);
      else if ("undo" in button.dataset) remove(row, false);
      else if (button.dataset.move) move(row, Number(button.dataset.move));
    });
    plan.addEventListener("input", (event) => {
      if (event.target.matches("[data-names]")) name(event.target);
      if (event.target !== plan) number();
    });

    let dragged = null;
    plan.addEventListener("dragstart", (event) => {
      dragged = event.target.closest?.("[data-grip]")?.closest("[data-activity], [data-phase]") || null;
      if (!dragged) return;
      dragged.classList.add("is-dragged");
      event.dataTransfer.effectAllowed = "move";
      event.dataTransfer.setData("text/plain", called(dragged));
      event.dataTransfer.setDragImage(dragged, 8, 8);
    });
    plan.addEventListener("dragover", (event) => {
      if (!dragged) return;
      const card = event.target.closest?.("[data-phase]");
      if (!card) return;
      event.preventDefault();
      const row = dragged.hasAttribute("data-phase") ? card : event.target.closest("[data-activity]");
      if (row === dragged) return;
      if (!row) { card.querySelector("[data-activities]").append(dragged); return; }
      const box = row.getBoundingClientRect();
      if (event.clientY < box.top + box.height / 2) row.before(dragged); else row.after(dragged);
    });
    plan.addEventListener("dragend", () => {
      if (!dragged) return;
      dragged.classList.remove("is-dragged");
      dragged = null;
      changed();
    });
  };
  document.addEventListener("DOMContentLoaded", begin);
})();
