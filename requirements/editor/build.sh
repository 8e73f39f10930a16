#!/bin/sh
# Builds static/vendor/codemirror/ from what package-lock.json locks, in a folder of its own: the same bytes each time. Needs node and npm; nobody else does.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
to="$here/../../static/vendor/codemirror"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cp "$here/package.json" "$here/package-lock.json" "$here/.npmrc" "$here/editor.js" "$work"
cd "$work"
npm ci --silent
mkdir -p "$to"
./node_modules/.bin/esbuild editor.js --bundle --minify --format=iife --global-name=CodeMirror --target=es2022 --charset=utf8 --legal-comments=none \
	--log-level=warning --outfile="$to/codemirror.min.js"
for licence in node_modules/@codemirror/*/LICENSE node_modules/@lezer/*/LICENSE node_modules/@marijn/*/LICENSE node_modules/crelt/LICENSE \
	node_modules/style-mod/LICENSE node_modules/w3c-keyname/LICENSE; do
	folder=$(dirname "$licence")
	printf '%s %s\n\n' "${folder#node_modules/}" "$(node -p "require('./$folder/package.json').version")"
	cat "$licence"
	printf '\n'
done > "$to/LICENSE"
