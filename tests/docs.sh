#!/usr/bin/env bash
# Runs what the documents tell their readers to type: every fenced sh block of README.md and docs/*.md, from the root of a
# scratch copy with the built program in build/. The README's first two blocks install and test: those are not for here.
#   docs.sh SOURCE_DIR FTSO
set -uo pipefail
root=$(cd "$1" && pwd) ftso=$(realpath "$2")
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
export HOME=$scratch/home PATH=$scratch/clone/build:$PATH LC_ALL=C TERM=dumb
unset XDG_CACHE_HOME
checked=0 failed=0

# blocks FILE SKIP FOLDER: writes the sh blocks of FILE behind the first SKIP to FOLDER/LINE.sh.
blocks() {
  mkdir -p "$3"
  awk -v skip="$2" -v folder="$3" '
    /^```sh *$/ { seen++; name = seen > skip ? sprintf("%s/%04d.sh", folder, NR) : ""; inside = 1; next }
    /^```/ { inside = 0; if (name != "") close(name); name = ""; next }
    inside && name != "" { print > name }' "$1"
}
# run_blocks FILE SKIP: each block in a shell of its own that stops at the first command that fails.
run_blocks() {
  local folder=$scratch/blocks$1 block
  blocks "$1" "$2" "$folder"
  for block in "$folder"/*.sh; do
    [ -f "$block" ] || continue
    checked=$((checked + 1))
    if ! (cd "$scratch/clone" && bash -euo pipefail "$block" >"$scratch/log" 2>&1 </dev/null); then
      failed=$((failed + 1))
      echo "docs: ${1#"$root"/}: the block in line $(basename "$block" .sh | sed 's/^0*//') fails:"
      sed 's/^/    /' "$block" "$scratch/log" | tail -n 20
    fi
  done
}

mkdir -p "$scratch/clone/build" "$HOME"
cp -r "$root"/README.md "$root"/docs "$root"/examples "$scratch/clone"
ln -s "$ftso" "$scratch/clone/build/ftso"

# A document whose block fails must be seen to fail.
printf '%s\n' '```sh' true '```' '```sh' 'false' 'true' '```' '```text' nonsense '```' >"$scratch/probe.md"
run_blocks "$scratch/probe.md" 0 >/dev/null
[ "$checked $failed" = "2 1" ] || { echo "docs: a failing block goes unseen"; exit 1; }
checked=0 failed=0

run_blocks "$root/README.md" 2
for document in "$root"/docs/*.md; do run_blocks "$document" 0; done

# The pages name verbs and files that are there.
for verb in $("$ftso" --help | sed -n 's/^  \([a-z]*\)  *[a-z].*/\1/p' | grep -v '^ftso$'); do
  checked=$((checked + 1))
  grep -q "^## .*\`ftso $verb\|^ftso $verb" "$root/docs/cli.md" || { failed=$((failed + 1)); echo "docs: docs/cli.md shows no ftso $verb"; }
done
for link in $(grep -ohE '\]\([a-z_]+\.md\)' "$root"/docs/*.md | tr -d '])(' | sort -u); do
  checked=$((checked + 1))
  [ -f "$root/docs/$link" ] || { failed=$((failed + 1)); echo "docs: docs/$link is named but not there"; }
done
echo "docs: $checked checks, $failed failed"
[ $failed = 0 ] && [ $checked -gt 10 ]
