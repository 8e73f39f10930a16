/* What the YAML page needs of CodeMirror, under one name. Built by `make editor`; see docs/decisions/0038. */
import {acceptCompletion, autocompletion} from '@codemirror/autocomplete';
import {defaultKeymap, history, historyKeymap} from '@codemirror/commands';
import {yaml} from '@codemirror/lang-yaml';
import {HighlightStyle, bracketMatching, foldGutter, foldKeymap, indentOnInput, indentUnit, syntaxHighlighting} from '@codemirror/language';
import {forceLinting, lintGutter, lintKeymap, linter, openLintPanel, nextDiagnostic, setDiagnostics} from '@codemirror/lint';
import {highlightSelectionMatches, openSearchPanel, searchKeymap} from '@codemirror/search';
import {EditorState} from '@codemirror/state';
import {
  EditorView, crosshairCursor, drawSelection, dropCursor, highlightActiveLine, highlightActiveLineGutter, highlightSpecialChars, keymap, lineNumbers,
  rectangularSelection,
} from '@codemirror/view';
import {tags} from '@lezer/highlight';

export {
  EditorState, EditorView, HighlightStyle, acceptCompletion, autocompletion, bracketMatching, crosshairCursor, defaultKeymap, drawSelection, dropCursor, foldGutter, foldKeymap, forceLinting,
  highlightActiveLine, highlightActiveLineGutter, highlightSelectionMatches, highlightSpecialChars, history, historyKeymap, indentOnInput, indentUnit, keymap,
  lineNumbers, lintGutter, lintKeymap, linter, nextDiagnostic, openLintPanel, openSearchPanel, rectangularSelection, searchKeymap, setDiagnostics,
  syntaxHighlighting, tags, yaml,
};
