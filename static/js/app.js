/* The pages work without this. Listeners sit on the document: swapped parts need no set-up. */
(() => {
  const doc = document, root = doc.documentElement, one = css => doc.querySelector(css);
  const all = css => [...doc.querySelectorAll(css)], on = (name, act, more) => doc.addEventListener(name, act, more);
  root.dataset.js = '';

  // Forms: the pressed button is busy. The theme is shown at once, and kept by the server.
  on('submit', e => {
    const form = e.target, button = e.submitter;
    if (!form.matches('[data-theme-form]')) return void (form.method === 'post' && button?.setAttribute('aria-busy', 'true'));
    e.preventDefault();
    fetch(form.action, {method: 'POST', body: new FormData(form, button), redirect: 'manual'});
    root.dataset.theme = button.value;
    button.value = button.value === 'dark' ? 'light' : 'dark';
  });
  const rest = () => all('[aria-busy]').forEach(it => it.removeAttribute('aria-busy'));
  addEventListener('pageshow', e => e.persisted && rest());

  // Times age, in the words of relorch/lib/words.py; `t` switches.
  let absolute = false;
  const min = s => s > 59 ? ` ${s / 60 | 0} min` : '', long = s => (s < 3600 ? min(s) : `${s / 3600 | 0} h${min(s % 3600)}`).trim();
  const times = () => all('time[data-relative]').forEach(t => {
    const gap = (Date.parse(t.dateTime) - Date.now()) / 1000, s = Math.abs(gap) | 0;
    t.dataset.was ??= t.textContent;
    t.textContent = absolute ? t.title : s >= 86400 ? t.dataset.was : s < 60 ? (gap > 0 ? 'in a moment' : 'just now') : gap > 0 ? `in ${long(s)}` : `${long(s)} ago`;
  });
  setInterval(times, 30000);

  // Toasts: errors stay, others leave after 6 s, unless pointed at.
  const leave = it => setTimeout(() => it.matches(':hover, :focus-within') ? leave(it) : it.remove(), 6000);
  const greet = () => all('.toast:not([data-seen])').forEach(it => { it.dataset.seen = ''; it.dataset.state === 'error' || leave(it); });

  // Dialogs: popovers without script, modal with it. Menus close by a click elsewhere.
  on('click', e => {
    const dialog = e.target.closest('[popovertarget]')?.popoverTargetElement;
    if (dialog?.matches('dialog')) { e.preventDefault(); dialog.open ? dialog.close() : dialog.showModal(); }
    e.target.closest('[data-dismiss]')?.closest('.toast, .callout')?.remove();
    all('details.more[open]').forEach(menu => menu.contains(e.target) || (menu.open = false));
  });

  // Log: at its end, until scrolled up.
  const log = () => one('[data-follow]');
  const follow = () => { const it = log(); if (it && it.dataset.follow !== 'off') it.scrollTop = it.scrollHeight; };
  on('scroll', ({target: it}) => it === log() && (it.dataset.follow = it.scrollTop + it.clientHeight < it.scrollHeight - 40 ? 'off' : ''), true);

  // Drawer: focus goes in, and back to its row.
  let drawer = one('[data-drawer]'), row;
  const watch = () => {
    const open = one('[data-drawer]');
    if (open && open !== drawer) { if (!drawer) row = doc.activeElement?.id; open.focus(); }
    if (!open && drawer && row) doc.getElementById(row)?.focus();
    drawer = open;
  };

  // Polls: none while hidden, fewer after failures; the live mark says so.
  let fails = 0, next = 0, seen = new Date();
  const polls = ctx => ctx.sourceEvent?.type === 'every';
  const mark = ok => {
    if (ok) seen = new Date();
    fails = ok ? 0 : fails + 1;
    next = Date.now() + [0, 2, 5, 11, 29][Math.min(fails, 4)] * 1000;
    all('[data-live]').forEach(it => {
      it.classList.toggle('live--off', !ok);
      it.textContent = ok ? 'Live' : `Reconnecting, last update ${seen.toTimeString().slice(0, 8)}`;
    });
  };
  on('htmx:before:request', e => {
    if (!polls(e.detail.ctx)) e.detail.ctx.target?.setAttribute('aria-busy', 'true');
    else if (doc.hidden || Date.now() < next) e.preventDefault();
  });
  on('htmx:finally:request', ({detail: {ctx}}) => {
    const status = ctx.response?.status, lost = !status && /^error(?!.*Abort)/.test(ctx.status);
    if (polls(ctx)) return void ((status || lost) && mark(status < 500));
    rest();
    if (lost || status >= 500 && !/hx-partial/.test(ctx.text)) one('#toasts').append(one('#lost').content.cloneNode(true));
  });
  on('visibilitychange', () => doc.hidden || all('[hx-trigger*=every]').forEach(it => htmx.trigger(it, 'every')));
  const settle = () => { times(); greet(); follow(); watch(); };
  on('htmx:after:swap', settle);

  // Keys: an element's own is its data-key ("n", "g r").
  let went = false;
  on('keydown', e => {
    const {key, target: it} = e;
    if (e.ctrlKey || e.metaKey || e.altKey || root.dataset.keys === 'off' || one('dialog[open]')) return;
    if (key === 'Escape') { const menu = one('details.more[open]'); return void (menu ? menu.open = false : one('[data-close]')?.click()); }
    if (it.closest('input, textarea, select')) return;
    if (key.startsWith('Arrow') && it.matches('.act')) return void move(e, /Left|Right/.test(key), /Right|Down/.test(key) ? 1 : -1);
    const offer = one(`[data-key="${CSS.escape(went ? `g ${key}` : key)}"]`), rows = all('main a.title, main a.mail'), at = rows.indexOf(it);
    went = !went && key === 'g';
    if (offer) { e.preventDefault(); offer.matches('input') ? offer.focus() : offer.click(); }
    else if (key === 't') { absolute = !absolute; times(); }
    else if (key === 'f' && log()) { log().dataset.follow = log().dataset.follow === 'off' ? '' : 'off'; follow(); }
    else if (key === 'j' || key === 'k') rows[key === 'j' ? at + 1 : Math.max(0, at - 1)]?.focus();
  });
  const move = (e, sideways, sign) => {
    const from = e.target.getBoundingClientRect();
    const far = it => {
      const to = it.getBoundingClientRect(), dx = to.x - from.x, dy = to.y - from.y, ahead = sign * (sideways ? dx : dy);
      return ahead > 4 && ahead + 2 * Math.abs(sideways ? dy : dx);
    };
    const [near] = all('.act').filter(far).sort((a, b) => far(a) - far(b));
    if (near) { e.preventDefault(); near.focus(); }
  };

  const start = one('[data-start]'), band = one('.gwrap');
  if (start) band.scrollLeft = start.offsetLeft + start.offsetWidth + 140 - band.clientWidth;
  settle();
})();
