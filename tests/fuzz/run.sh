#!/bin/sh
# Fuzzes one target under ASan and UBSan: tests/fuzz/run.sh language|safetensors|data SECONDS [WORK-FOLDER]
# Starts from the inputs that the tests replay; findings and new inputs land in the work folder.
set -eu
target=${1:?usage: tests/fuzz/run.sh language|safetensors|data SECONDS [WORK-FOLDER]}
seconds=${2:?usage: tests/fuzz/run.sh language|safetensors|data SECONDS [WORK-FOLDER]}
root=$(cd "$(dirname "$0")/../.." && pwd)
work=${3:-$root/build-fuzz}/$target
mkdir -p "$work/corpus"
libraries=
case $target in
  language)
    bison -o "$work/parser.c" --header="$work/parser.h" "$root/frontend/parser.y"
    flex -o "$work/lexer.c" --header-file="$work/lexer.h" "$root/frontend/lexer.l"
    sources="$(ls "$root"/frontend/*.c) $work/parser.c $work/lexer.c $(find "$root/ir" -name '*.c')"
    inputs="-dict=$root/tests/fuzz/language.dict $root/tests/fuzz/corpus $root/tests/broken $root/examples"
    ;;
  safetensors)
    sources="$root/runtime/safetensors.c $root/runtime/sniff.c"
    inputs="$root/tests/fuzz/safetensors"
    ;;
  data)
    sources="$(ls "$root"/runtime/data*.c "$root"/runtime/picture*.c) $root/runtime/sniff.c $root/runtime/augment.c \
$root/runtime/resize.c $root/runtime/jitter.c $root/runtime/random.c"
    inputs="$root/tests/fuzz/data $root/tests/pictures"
    libraries="-lturbojpeg -lpng -lz"
    ;;
  *) echo "fuzz: no target '$target'" >&2; exit 2 ;;
esac
flags="-std=c11 -D_GNU_SOURCE -DFTSO_HAVE_JPEG -DFTSO_HAVE_PNG -w -g -O1 -I$root -I$root/frontend -I$work"
sanitizers="-fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer"
rm -f "$work"/*.o "$work/all.a"
for source in $sources "$root"/base/*.c "$root/tests/fuzz/fuzz_$target.c"; do
    # shellcheck disable=SC2086
    clang $flags $sanitizers -c "$source" -o "$work/$(echo "${source#"$root"/}" | tr / _).o"
done
ar rcs "$work/all.a" "$work"/*.o
# shellcheck disable=SC2086
clang -fsanitize=fuzzer,address,undefined "$work"/tests_fuzz_*.o "$work/all.a" $libraries -lutf8proc -lm -o "$work/fuzz"
cd "$work"
# shellcheck disable=SC2086
exec ./fuzz -max_total_time="$seconds" -max_len=8192 -timeout=20 -rss_limit_mb=2048 -print_final_stats=1 corpus $inputs
