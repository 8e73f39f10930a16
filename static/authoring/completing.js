/* What can be written at a place of a process file: keys and values of the JSON Schema, ids, and after `${{` the names. Pure; yaml.js gives it to CodeMirror. */
globalThis.yamlCompleting = (() => {
  'use strict';
  const CONDITIONS = new Set(['if', 'check', 'required_if']);
  const KEY = /^((?: *- +)* *)(?:([\w$]+)|"([^"]*)"|'([^']*)') *:(?: (.*)|)$/;
  const BLOCK = /(^|\s)[|>][-+\d]*\s*(#.*)?$/;

  const indent = text => text.length - text.trimStart().length;
  const dashes = prefix => [...prefix].flatMap((char, at) => (char === '-' ? [at] : []));

  // What stands on one line up to the cursor: flow maps and lists, and what is being typed in the innermost.
  const along = (text, base) => {
    const around = [];
    let path = base, key = null, word = '', list = false, quote = '';
    for (let at = 0; at < text.length; at++) {
      const char = text[at];
      if (quote) { if (char === quote) quote = ''; else word += char; continue; }
      if ((char === '"' || char === "'") && !word.trim()) { quote = char; word = ''; continue; }
      if (char === '#' && (at === 0 || text[at - 1] === ' ')) return null;
      if ((char === '{' && text[at - 1] !== '{' && text[at - 1] !== '$') || (char === '[' && !word.trim())) {
        around.push({path, key, list});
        path = key === null ? path : [...path, key];
        if (char === '[') path = [...path, '[]'];
        [key, word, list] = [null, '', char === '['];
      } else if ((char === '}' || char === ']') && around.length) {
        ({path, key, list} = around.pop());
        word = '';
      } else if (char === ',' && around.length) {
        if (!list) key = null;
        word = '';
      } else if (char === ':' && key === null && (at + 1 === text.length ? !list : text[at + 1] === ' ')) {
        [key, word] = [word.trim(), ''];
      } else word += char;
    }
    return {path, key, word: word.trimStart(), quoted: Boolean(quote), inside: around.length > 0};
  };

  const keyOn = text => {
    const found = KEY.exec(text);
    return found && {marks: dashes(found[1]), column: found[1].length, name: found[2] ?? found[3] ?? found[4], value: (found[5] ?? '').replace(/(^|\s)#.*$/, '').trim()};
  };
  const says = text => text.trim() && !text.trimStart().startsWith('#');

  // The keys that lead to a column of line `row`, by indentation; those beside it; the line of the innermost key, and whether its text is a block.
  // `item`: the column is that of a dash.
  const above = (lines, row, column, item) => {
    const path = [], beside = {};
    let edge = column, list = item, block = false, parent = null;
    for (let at = row - 1; at >= 0 && (edge > 0 || list); at--) {
      const key = says(lines[at]) && keyOn(lines[at]);
      if (!key) continue;
      if (key.column === edge && !list) {
        if (parent === null && !path.length) beside[key.name] = key.value;
        if (key.marks.length) { path.unshift('[]'); edge = key.marks[key.marks.length - 1]; list = true; }
      } else if (key.column < edge || (list && key.column === edge)) {
        const opens = BLOCK.test(key.value);
        if (key.value && !opens) continue;
        if (parent === null) { parent = at; block = opens; }
        path.unshift(key.name);
        [edge, list] = [key.column, false];
        for (const mark of [...key.marks].reverse()) { path.unshift('[]'); [edge, list] = [mark, true]; }
      }
    }
    for (let at = row - 1; edge === 0 && !list && !path.length && at >= 0; at--) {
      const key = says(lines[at]) && keyOn(lines[at]);
      if (key?.column === 0) beside[key.name] = key.value;
    }
    return {path, beside, block, parent};
  };
  const below = (lines, row, column) => {
    const beside = {};
    for (let at = row + 1; at < lines.length; at++) {
      if (!says(lines[at])) continue;
      if (indent(lines[at]) < column) break;
      const key = keyOn(lines[at]);
      if (key?.column === column) beside[key.name] = key.value;
    }
    return beside;
  };

  const lead = text => /^(?: *- +)* */.exec(text)[0];
  const place = (lines, row, before) => {
    const prefix = lead(before), marks = dashes(prefix), column = prefix.length;
    const outer = above(lines, row, marks.length ? marks[0] : column, marks.length > 0);
    const line = along(before.slice(column), [...outer.path, ...marks.map(() => '[]')]);
    return {line, beside: {...(marks.length ? {} : outer.beside), ...below(lines, row, column)}, block: outer.block && !marks.length, parent: outer.parent};
  };
  // The connector of the activity whose `with` this is.
  const connectorOf = (lines, here) => {
    if (here.line.inside) return here.beside.connector;
    const column = lead(lines[here.parent]).length;
    return {...above(lines, here.parent, column, false).beside, ...below(lines, here.parent, column), ...ownOf(lines[here.parent])}.connector;
  };
  const ownOf = text => { const key = keyOn(text); return {[key.name]: key.value}; };

  // Every part of the schema that could describe a place.
  const unfold = (schema, node) => {
    if (!node || node === true) return [];
    if (node.$ref) return [{...unfold(schema, schema.$defs[node.$ref.split('/').pop()])[0], ...(node.description ? {description: node.description} : {})}];
    return node.anyOf ? node.anyOf.flatMap(one => unfold(schema, one)) : [node];
  };
  const described = (schema, path) => path.reduce((nodes, step) => nodes.flatMap(node =>
    unfold(schema, step === '[]' ? node.items : node.properties?.[step] ?? node.additionalProperties)), [schema]);

  const values = (nodes, path, words) => {
    const found = nodes.flatMap(node => node.enum || (node.const !== undefined ? [node.const] : node.type === 'boolean' ? [true, false] : [])).map(String);
    const key = path.filter(step => step !== '[]').pop();
    const people = ['owners', 'of', 'to'].includes(key) ? words.owners : [];
    const ids = key === 'depends_on' ? (path.includes('activities') ? words.activities : words.phases) : [];
    return [...found, ...(people || []), ...(ids || []), ...(['connector', 'uses', 'process'].includes(key) ? words[key] || [] : [])];
  };

  /* At `column` of line `row`: {from, options} or null. `words` is what the page knows of the text (processes/words.py). */
  return (text, row, column, schema, words, asked) => {
    const lines = text.split('\n'), before = lines[row].slice(0, column);
    const expression = /\$\{\{(?:(?!\}\}).)*$/.exec(before);
    const here = place(lines, row, before);
    const keys = here.line ? [...here.line.path, ...(here.line.key === null ? [] : [here.line.key])] : [];
    const deepest = keys.filter(step => step !== '[]').pop();
    if (expression || (here.line?.key !== null && here.line && CONDITIONS.has(deepest))) {
      const word = /[A-Za-z_][\w.]*$/.exec(before)?.[0] || '';
      if (!word && !asked && !/\$\{\{ ?$/.test(before)) return null;
      const stem = word.slice(0, word.lastIndexOf('.') + 1);
      return {
        from: column - word.length,
        options: [
          ...(words.names || []).filter(name => name.startsWith(stem)).map((label, at) => ({label, type: 'variable', boost: 90 - Math.min(at / 100, 90)})),
          ...(stem ? [] : words.functions || []).map(name => ({label: `${name}(`, type: 'function', boost: -50})),
        ],
      };
    }
    if (!here.line || here.block) return null;
    const {line} = here, typed = line.word;
    const word = /[\w@:.-]*$/.exec(typed)[0];
    if (word !== typed) return null;
    if (line.key === null) {
      if (!word && !asked) return null;
      const nodes = described(schema, line.path), there = line.inside ? {} : here.beside, found = new Map();
      for (const node of nodes) {
        for (const [key, inner] of Object.entries(node.properties || {})) if (!(key in there)) found.set(key, inner.description || unfold(schema, inner)[0]?.description);
      }
      if (line.path[line.path.length - 1] === 'with') for (const key of words.with?.[connectorOf(lines, here)] || []) if (!(key in there)) found.set(key);
      const options = [...found].map(([key, info], at) => ({label: key, apply: `${key}: `, info, type: 'property', boost: 90 - at}));
      if (line.path[line.path.length - 1] === '[]') options.push(...values(nodes, line.path, words).map(label => ({label, type: 'enum'})));
      return options.length ? {from: column - word.length, options} : null;
    }
    const options = values(described(schema, keys), keys, words).map(label => ({label, type: 'enum'}));
    return options.length ? {from: column - word.length, options} : null;
  };
})();
