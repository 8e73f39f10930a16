/* Keys of the inbox: they select and open forms, and never decide by themselves. Heard before app.js, whose keys are for every page. */
(() => {
  const doc = document, all = css => [...doc.querySelectorAll(css)];
  const boxes = () => all('.pickrow__x'), own = row => row?.closest('.pickrow')?.querySelector('.pickrow__x');
  doc.addEventListener('keydown', e => {
    const {key, target: it} = e, row = it.closest('a.mail');
    if (e.ctrlKey || e.metaKey || e.altKey || doc.documentElement.dataset.keys === 'off' || doc.querySelector('dialog[open]')) return;
    if (it.closest('input:not(.pickrow__x), textarea, select')) return;
    const stop = () => { e.preventDefault(); e.stopPropagation(); };
    if (key === 'x' && own(row)) { stop(); own(row).checked = !own(row).checked; }
    else if (key === 'X' && boxes().length) {
      stop();
      const first = own(row) || boxes()[0], same = boxes().filter(box => box.dataset.same === first.dataset.same), on = same.some(box => !box.checked);
      same.forEach(box => { box.checked = on; });
    } else if ((key === 'a' || key === 'r') && row) {  // of the row that has the focus, whatever is shown beside it
      stop();
      location.href = `${row.pathname}?choose=${key === 'a' ? 'approve' : 'reject'}#decide`;
    } else if (key === 'a' || key === 'r') {
      const choice = doc.querySelector(`label[data-key=${key}] input`);
      if (choice) { stop(); choice.checked = true; choice.focus(); }
    }
  }, true);
})();
