/* The YAML page: CodeMirror over its text area, problems at their lines while one types. Without this the text area does the same on pressing Check. */
(() => {
  'use strict';
  const area = document.querySelector('[data-editor]'), form = area?.form;
  if (!form) return;
  const {EditorState, EditorView, ...cm} = window.CodeMirror || {};
  const shown = () => document.getElementById('problems');
  const saved = area.defaultValue;
  let view, leaving = false;

  const found = state => [...shown().querySelectorAll('[data-line]')].map(item => {
    const line = state.doc.line(Math.min(Math.max(Number(item.dataset.line), 1), state.doc.lines));
    let from = line.from + (line.text.length - line.text.trimStart().length), to = Math.max(line.to, from);
    // What an expression gets wrong stands on the line, or, in a long text, soon after it.
    const at = item.dataset.mark ? state.sliceDoc(from, from + 4000).indexOf(item.dataset.mark) : -1;
    if (at >= 0) { from += at; to = from + item.dataset.mark.length; }
    return {from, to, severity: item.dataset.state === 'error' ? 'error' : 'warning', message: item.dataset.said};
  });

  // Asked anew when typing stops; an answer to an older text is not shown.
  let asked = 0, timer;
  const check = async () => {
    const mine = ++asked, body = new FormData(form);
    body.set('text', area.value);
    const answer = await fetch(form.dataset.check, {method: 'POST', body}).catch(() => null);
    if (mine !== asked || !answer?.ok) return;
    const html = await answer.text();
    if (mine !== asked) return;
    shown().outerHTML = html;
    if (view) view.dispatch(cm.setDiagnostics(view.state, found(view.state)));
  };
  const typed = () => { clearTimeout(timer); timer = setTimeout(check, 500); };

  const go = number => {
    if (view) {
      const line = view.state.doc.line(Math.min(number, view.state.doc.lines));
      view.dispatch({selection: {anchor: line.from}, effects: EditorView.scrollIntoView(line.from, {y: 'center'})});
      return view.focus();
    }
    const before = area.value.split('\n').slice(0, number - 1).join('\n').length + (number > 1 ? 1 : 0);
    area.focus();
    area.setSelectionRange(before, before);
  };
  document.addEventListener('click', e => {
    const item = e.target.closest('#problems a')?.closest('[data-line]');
    if (item) { e.preventDefault(); go(Number(item.dataset.line)); }
  });
  form.addEventListener('submit', () => { leaving = true; });
  addEventListener('pageshow', () => { leaving = false; });
  addEventListener('beforeunload', e => { if (!leaving && area.value !== saved) e.preventDefault(); });
  area.addEventListener('input', typed);
  if (!EditorView) return;

  // Its styles are constructed sheets in a shadow root, which the content policy allows; the page's tokens reach inside.
  const host = document.createElement('div');
  host.className = 'editor__box';
  const root = host.attachShadow({mode: 'open', delegatesFocus: true});
  const {tags: t} = cm;
  const look = EditorView.theme({
    '&': {height: '100%', backgroundColor: 'var(--surface)', color: 'var(--text)', fontSize: '12px'},
    '&.cm-focused': {outline: 'none'},
    '.cm-scroller': {fontFamily: 'var(--mono)', lineHeight: '20px'},
    '.cm-content': {caretColor: 'var(--text)'},
    '.cm-cursor, .cm-dropCursor': {borderLeftColor: 'var(--text)'},
    '&.cm-focused > .cm-scroller > .cm-selectionLayer .cm-selectionBackground, .cm-selectionBackground': {background: 'var(--running-bg) !important'},
    '.cm-gutters': {backgroundColor: 'var(--subtle)', color: 'var(--text-3)', borderRight: '1px solid var(--line)'},
    '.cm-activeLine': {backgroundColor: 'color-mix(in srgb, var(--hover) 55%, transparent)'},
    '.cm-activeLineGutter': {backgroundColor: 'var(--hover)', color: 'var(--text)'},
    '.cm-panels': {backgroundColor: 'var(--subtle)', color: 'var(--text)'},
    '.cm-panels.cm-panels-bottom': {borderTop: '1px solid var(--line)'},
    '.cm-textfield': {backgroundColor: 'var(--surface)', border: '1px solid var(--line-control)', borderRadius: '4px', color: 'inherit'},
    '.cm-button': {background: 'var(--surface)', border: '1px solid var(--line-strong)', borderRadius: '4px', color: 'inherit'},
    '.cm-tooltip': {backgroundColor: 'var(--surface)', color: 'var(--text)', border: '1px solid var(--line-strong)', borderRadius: '6px', overflow: 'hidden'},
    '.cm-tooltip-autocomplete ul': {fontFamily: 'var(--mono) !important', maxHeight: '16rem !important'},
    '.cm-tooltip-autocomplete ul li[aria-selected]': {background: 'var(--selected) !important', color: 'var(--text) !important'},
    '.cm-completionMatchedText': {textDecoration: 'none', fontWeight: '700'},
    '.cm-completionInfo': {fontFamily: 'var(--sans)', maxWidth: '20rem', padding: '.375rem .625rem'},
    '.cm-diagnostic': {fontFamily: 'var(--sans)', maxWidth: '36rem', whiteSpace: 'normal'},
    '.cm-diagnostic-error': {borderLeftColor: 'var(--failed-solid)'},
    '.cm-diagnostic-warning': {borderLeftColor: 'var(--waiting-solid)'},
    '.cm-lintRange-error, .cm-lintRange-warning': {backgroundImage: 'none', textDecoration: 'underline wavy 1px', textUnderlineOffset: '3px'},
    '.cm-lintRange-error': {textDecorationColor: 'var(--failed-solid)'},
    '.cm-lintRange-warning': {textDecorationColor: 'var(--waiting-solid)'},
    '.cm-searchMatch': {backgroundColor: 'var(--waiting-bg)', outline: '1px solid var(--waiting-line)'},
    '.cm-selectionMatch': {backgroundColor: 'var(--selected)'},
    '.cm-foldPlaceholder': {backgroundColor: 'var(--hover)', border: '1px solid var(--line)', color: 'var(--text-3)'},
    '.cm-lint-marker': {width: '.75em', height: '.75em'},
  });
  const colours = cm.HighlightStyle.define([
    {tag: t.comment, color: 'var(--success-fg)', fontStyle: 'italic'},
    {tag: [t.propertyName, t.definition(t.propertyName)], color: 'var(--link)'},
    {tag: [t.string, t.special(t.string)], color: 'var(--text)'},
    {tag: [t.keyword, t.meta, t.labelName, t.typeName], color: 'var(--hold-fg)'},
    {tag: [t.punctuation, t.separator, t.squareBracket, t.brace], color: 'var(--text-3)'},
  ]);
  // The schema comes once; the words come with each answer of the check, and stay while the text cannot be read.
  let schema, words = {}, heard = '';
  fetch(form.dataset.schema).then(answer => answer.json()).then(found => { schema = found; }, () => {});
  const complete = context => {
    if (!schema) return null;
    const said = shown().dataset.words;
    if (said && said !== heard) words = JSON.parse(heard = said);
    const line = context.state.doc.lineAt(context.pos);
    const found = globalThis.yamlCompleting(context.state.doc.toString(), line.number - 1, context.pos - line.from, schema, words, context.explicit);
    if (!found) return null;
    // What is written to its end is not offered, so that Enter makes a new line.
    const typed = context.state.sliceDoc(line.from + found.from, context.pos);
    const longer = found.options.some(option => option.label !== typed && option.label.startsWith(typed));
    return !context.explicit && !longer && found.options.some(option => option.label === typed) ? null : {from: line.from + found.from, options: found.options};
  };
  const save = () => { form.requestSubmit(form.querySelector('[name=save]')); return true; };
  view = new EditorView({
    root,
    parent: root,
    state: EditorState.create({
      doc: area.value,
      extensions: [
        cm.lineNumbers(), cm.foldGutter(), cm.lintGutter(), cm.highlightActiveLineGutter(), cm.highlightSpecialChars(), cm.history(), cm.drawSelection(),
        EditorState.allowMultipleSelections.of(true), cm.indentOnInput(), cm.bracketMatching(), cm.rectangularSelection(), cm.highlightActiveLine(),
        cm.highlightSelectionMatches(), cm.indentUnit.of('  '), EditorState.tabSize.of(2), cm.yaml(), cm.autocompletion({override: [complete], icons: false}), look, cm.syntaxHighlighting(colours),
        EditorView.contentAttributes.of({'aria-label': area.labels?.[0]?.textContent.trim() || 'Process file', spellcheck: 'false'}),
        cm.keymap.of([{key: 'Mod-s', run: save, preventDefault: true}, {key: 'Tab', run: cm.acceptCompletion}, ...cm.lintKeymap, ...cm.searchKeymap, ...cm.foldKeymap, ...cm.historyKeymap, ...cm.defaultKeymap]),
        EditorView.updateListener.of(update => { if (update.docChanged) { area.value = update.state.doc.toString(); typed(); } }),
      ],
    }),
  });
  area.before(host);
  area.hidden = true;
  document.querySelector('[data-editor-keys]').hidden = false;
  view.dispatch(cm.setDiagnostics(view.state, found(view.state)));
  // Single-letter keys of the page see the host, not the text inside it.
  host.addEventListener('keydown', e => e.stopPropagation());
})();
