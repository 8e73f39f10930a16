/* Zoom and pan of a graph: buttons, + - 0 and arrows on it, Ctrl and wheel, dragging its ground. Without it the graph scrolls. */
(() => {
  const root = document.documentElement, band = () => document.querySelector('.gwrap');
  const LEAST = .25, MOST = 2;
  let zoom = 1, drag = null;

  // The factor stands on the root, where no swap of the graph takes it away. What lies at `x` of the window stays there.
  const set = (wanted, x) => {
    const it = band();
    if (!it) return;
    const next = Math.min(MOST, Math.max(LEAST, wanted)), from = x ?? it.clientWidth / 2, at = (it.scrollLeft + from) / zoom;
    zoom = Math.abs(next - 1) < .02 ? 1 : next;
    root.style.setProperty('--g-zoom', zoom);
    it.scrollLeft = at * zoom - from;
    const said = document.querySelector('[data-zoom="1"]');
    if (said) said.textContent = `${Math.round(zoom * 100)} %`;
  };
  const fit = () => {
    const it = band(), graph = it?.querySelector('.graph');
    if (!graph) return;
    const columns = [...graph.querySelectorAll('.gcol')], end = columns.at(-1)?.getBoundingClientRect().right ?? 0;
    const wide = (end - graph.getBoundingClientRect().left) / zoom + 24;
    set(Math.min(1, it.clientWidth / wide));
    it.scrollLeft = 0;
  };
  const acts = {in: () => set(zoom * 1.25), out: () => set(zoom / 1.25), fit, 1: () => set(1)};
  document.addEventListener('click', e => acts[e.target.closest('[data-zoom]')?.dataset.zoom]?.());
  document.addEventListener('keydown', e => {
    const it = band();
    if (!it || e.target !== it || e.ctrlKey || e.metaKey || e.altKey) return;
    const act = {'+': 'in', '=': 'in', '-': 'out', 0: '1', '9': 'fit'}[e.key];
    if (act) acts[act]();
    else if (e.key === 'ArrowLeft' || e.key === 'ArrowRight') it.scrollBy({left: e.key === 'ArrowLeft' ? -120 : 120});
    else return;
    e.preventDefault();
    e.stopPropagation();
  }, true);
  document.addEventListener('wheel', e => {
    const it = e.ctrlKey && e.target.closest('.gwrap');
    if (!it) return;
    e.preventDefault();
    set(zoom * 1.0015 ** -e.deltaY, e.clientX - it.getBoundingClientRect().left);
  }, {passive: false});

  // Only the ground is dragged: names stay text that can be selected, links stay links. Fingers scroll by themselves.
  document.addEventListener('pointerdown', e => {
    const it = e.target.closest('.gwrap');
    if (!it || e.button || e.pointerType !== 'mouse' || e.target.closest('.phase')) return;
    drag = {it, x: e.clientX + it.scrollLeft, y: e.clientY + scrollY};
    it.dataset.dragged = '';
  });
  document.addEventListener('pointermove', e => {
    if (!drag) return;
    e.preventDefault();
    drag.it.scrollLeft = drag.x - e.clientX;
    scrollTo({top: drag.y - e.clientY});
  });
  const drop = () => { if (drag) delete drag.it.dataset.dragged; drag = null; };
  for (const name of ['pointerup', 'pointercancel', 'blur']) addEventListener(name, drop);
})();
