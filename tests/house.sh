#!/usr/bin/env bash
# House rules that a machine can check: who includes whom, no writable globals, exit only in cli/, one format.
#   house.sh includes|globals|exit|format|words   SOURCE_DIR BUILD_DIR
set -euo pipefail
what=$1 root=$2 build=$3
cd "$root"
bad=0
complain() { echo "house: $*"; bad=1; }
checked=0

case $what in
  includes) # the arrows of docs/README.md: a folder may include itself and what stands behind the colon
    allowed="base: ; ir:base; runtime:base; frontend:base ir; search:base ir runtime; codegen:base ir runtime; \
kernels:base ir runtime codegen; cli:base ir runtime frontend search codegen kernels"
    while IFS=: read -r file line text; do
      folder=${file%%/*} target=$(sed -E 's/.*"([a-z]+)\/.*/\1/' <<<"$text")
      checked=$((checked + 1))
      [ "$folder" = "$target" ] && continue
      rule=$(tr ';' '\n' <<<"$allowed" | sed -n "s/^ *$folder://p")
      [[ " $rule " == *" $target "* ]] || complain "$file:$line includes $target/, which $folder/ may not"
    done < <(grep -nE '^#include "[a-z]+/' -r base ir runtime frontend search codegen kernels cli --include='*.[chly]')
    while IFS=: read -r file line _; do
      [[ $file == codegen/emit_llvm.h || $file == codegen/codegen_internal.h || $file == codegen/*.c ]] || complain "$file:$line shows llvm-c"
    done < <(grep -nE '^#include [<"]llvm-c' -r base ir runtime frontend search codegen kernels cli)
    ;;
  globals) # nothing writable at file scope, but for thread-local test hooks
    for library in "$build"/libftso_*.a; do
      checked=$((checked + 1))
      while read -r symbol; do complain "$(basename "$library") has a writable global: $symbol"; done < <(
        nm "$library" 2>/dev/null | awk '$2 ~ /^[dDbBC]$/ {print $3}' |
          grep -vE '^(__|_?yy|\.|ubsan|asan|current$|interrupted$|\.compoundliteral)' || true)
    done
    ;;
  exit)
    while IFS=: read -r file line _; do complain "$file:$line calls exit outside cli/"; done < <(
      grep -nE '(^|[^_a-z])_?exit\(' -r base ir runtime frontend search codegen kernels --include='*.[ch]' || true)
    checked=1
    ;;
  format)
    for file in $(git ls-files '*.c' '*.h'); do
      checked=$((checked + 1))
      clang-format-14 --dry-run -Werror "$file" >/dev/null 2>&1 || complain "$file is not formatted as .clang-format says"
    done
    ;;
  size) # a file of more than a thousand lines says why at its top
    for file in $(git ls-files '*.c' '*.h' '*.y' '*.l'); do
      checked=$((checked + 1))
      [ "$(wc -l <"$file")" -le 1000 ] || head -n 12 "$file" | grep -q 'long because' ||
        complain "$file has more than 1000 lines"
    done
    ;;
  *) echo "house: no check '$what'"; exit 2 ;;
esac
[ "$checked" -gt 0 ] || complain "nothing was checked"
echo "house: $what: $checked checked"
exit $bad
