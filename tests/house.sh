#!/usr/bin/env bash
# House rules that a machine can check: who includes whom, no writable globals, exit only in cli/, one format.
#   house.sh includes|globals|exit|format|size   SOURCE_DIR BUILD_DIR
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
  globals) # nothing writable at file scope; tables of pointers (.data.rel.ro) are made read-only when the program starts
    writable() { # archive or object: symbols in writable sections, thread-local ones among them
      objdump -t "$1" 2>/dev/null | awk '{
        for (i = 2; i < NF; i++) if ($i ~ /^(\.t?data|\.t?bss|\*COM\*)/ && $i !~ /^\.data\.rel\.ro/) {
          if ($NF !~ /^\./) print $i, $NF
        }
      }'
    }
    # The rule itself must be able to fail.
    probe=$(mktemp -d)
    trap 'rm -rf "$probe"' EXIT
    printf '%s\n' 'int plain = 1; static int hidden; int zero; static _Thread_local int own; int text[2];' \
      'static int *const table[] = {&plain, &zero}; const int fixed = 2;' \
      'int f(int i) { static int kept; return hidden++ + own++ + kept++ + *table[i] + fixed; }' >"$probe/probe.c"
    cc -fPIC -O0 -c "$probe/probe.c" -o "$probe/probe.o"
    found=$(writable "$probe/probe.o" | awk '{print $2}' | sed 's/\.[0-9]*$//' | sort | tr '\n' ' ')
    [ "$found" = "hidden kept own plain text zero " ] || complain "the rule does not see all of a probe's globals: $found"
    # Allowed: the flag that the signal handler sets, and what tests put in for their thread (allocator, faults of files).
    for library in "$build"/libftso_*.a; do
      checked=$((checked + 1))
      while read -r section symbol; do
        case "$(basename "$library") $section $symbol" in
          "libftso_runtime.a .bss interrupted" | "libftso_base.a .tbss current" | "libftso_base.a .tbss fault") continue ;;
        esac
        complain "$(basename "$library") has a writable global: $symbol in $section"
      done < <(writable "$library")
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
