/* One stream a page, none while it is hidden (a browser has few connections). What it tells of is polled at once; by the clock only now and then. */
(() => {
  const doc = document, one = sel => doc.querySelector(sel), all = sel => [...doc.querySelectorAll(sel)];
  const due = new WeakSet(), asked = new WeakMap();
  let stream, again = false;
  const early = it => {
    const soon = stream?.readyState === 1 && it.dataset.push && !due.has(it) && Date.now() - (asked.get(it) ?? 0) < 15000;
    if (!soon) { due.delete(it); asked.set(it, Date.now()); }
    return soon;
  };
  const told = name => all(`[data-push="${name}"][hx-get]`).forEach(it => { due.add(it); htmx.trigger(it, 'every'); });
  const listen = () => {
    const names = [...new Set(all('[data-push]').map(it => it.dataset.push))];
    stream?.close();
    stream = null;
    if (doc.hidden || !names.length) return;
    const to = name => name === 'release' ? one('[data-release]')?.dataset.release ?? '' : '1';
    stream = new EventSource(`/live/?${new URLSearchParams(names.map(name => [name, to(name)]))}`);
    stream.onopen = () => { names.forEach(name => (again || name === 'release') && told(name)); again = true; };
    names.forEach(name => stream.addEventListener(name, () => told(name)));
  };
  setInterval(() => stream?.readyState === 2 && listen(), 30000);
  doc.addEventListener('visibilitychange', listen);
  addEventListener('pagehide', () => stream?.close());
  addEventListener('pageshow', e => e.persisted && listen());
  addEventListener('DOMContentLoaded', listen);
  doc.addEventListener('htmx:before:request', e => { const it = e.detail.ctx.sourceElement; if (it?.dataset?.push && early(it)) e.preventDefault(); });
  // told again while it asked
  doc.addEventListener('htmx:finally:request', e => { const it = e.detail.ctx.sourceElement; if (due.has(it)) htmx.trigger(it, 'every'); });
})();
