/* Completes names in text fields from the list of names on the page: arrows choose, Enter or Tab takes, Escape leaves. Without it the list is there to read. */
(() => {
  const doc = document;
  let last;
  const names = () => [...doc.querySelectorAll('#names [data-name], #functions [data-name]')].map(item => item.dataset.name);
  [...doc.querySelectorAll('[data-completes]')].forEach((field, which) => {
    const list = Object.assign(doc.createElement('ul'), {className: 'completes__list', id: `completions-${which}`, hidden: true});
    list.setAttribute('role', 'listbox');
    field.parentElement.classList.add('completes');
    field.after(list);
    for (const [key, value] of Object.entries({role: 'combobox', 'aria-autocomplete': 'list', 'aria-controls': list.id, 'aria-expanded': 'false'})) field.setAttribute(key, value);
    let at = -1;
    const word = () => field.value.slice(0, field.selectionStart).match(/[A-Za-z_][\w.]*$/)?.[0] || '';
    const close = () => { list.hidden = true; field.setAttribute('aria-expanded', 'false'); field.removeAttribute('aria-activedescendant'); at = -1; };
    const choose = index => {
      at = index;
      [...list.children].forEach((item, number) => item.setAttribute('aria-selected', number === at));
      field.setAttribute('aria-activedescendant', `completion-${which}-${at}`);
      list.children[at].scrollIntoView({block: 'nearest'});
    };
    const take = index => {
      const begun = word(), name = list.children[index].dataset.name, from = field.selectionStart - begun.length;
      field.setRangeText(name, from, field.selectionStart, 'end');
      close();
      field.focus();
    };
    field.addEventListener('input', () => {
      const begun = word(), low = begun.toLowerCase();
      const found = begun ? names().filter(name => name !== begun && (name.toLowerCase().startsWith(low) || (low.length > 2 && name.toLowerCase().includes(low)))) : [];
      found.sort((a, b) => a.toLowerCase().startsWith(low) === b.toLowerCase().startsWith(low) ? 0 : a.toLowerCase().startsWith(low) ? -1 : 1);
      list.replaceChildren(...found.slice(0, 8).map((name, number) => {
        const item = Object.assign(doc.createElement('li'), {id: `completion-${which}-${number}`, textContent: name});
        item.dataset.name = name;
        item.setAttribute('role', 'option');
        item.addEventListener('mousedown', e => { e.preventDefault(); take(number); });
        return item;
      }));
      if (!found.length) return close();
      list.hidden = false;
      field.setAttribute('aria-expanded', 'true');
      choose(0);
    });
    field.addEventListener('keydown', e => {
      if (e.key === 'Enter' && (e.ctrlKey || e.metaKey)) { e.preventDefault(); field.form.requestSubmit(); return; }
      if (list.hidden) return;
      const end = list.children.length - 1;
      if (e.key === 'ArrowDown') choose(at < end ? at + 1 : 0);
      else if (e.key === 'ArrowUp') choose(at > 0 ? at - 1 : end);
      else if (e.key === 'Enter' || e.key === 'Tab') take(at);
      else if (e.key === 'Escape') close();
      else return;
      e.preventDefault();
    });
    field.addEventListener('blur', close);
    field.addEventListener('focus', () => { last = field; });
  });
  doc.querySelector('#names')?.addEventListener('click', e => {
    const name = e.target.closest('[data-name]')?.dataset.name;
    const field = last || doc.querySelector('[data-completes]');
    if (name && field) { field.setRangeText(name, field.selectionStart, field.selectionEnd, 'end'); field.focus(); }
  });
})();
