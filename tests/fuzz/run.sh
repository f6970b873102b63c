#!/bin/sh
# Fuzzes the language under ASan and UBSan: tests/fuzz/run.sh SECONDS [WORK-FOLDER]
# Starts from tests/fuzz/corpus, tests/broken and examples; findings and new inputs land in the work folder.
set -eu
seconds=${1:?usage: tests/fuzz/run.sh SECONDS [WORK-FOLDER]}
root=$(cd "$(dirname "$0")/../.." && pwd)
work=${2:-$root/build-fuzz}
mkdir -p "$work/corpus"
bison -o "$work/parser.c" --header="$work/parser.h" "$root/frontend/parser.y"
flex -o "$work/lexer.c" --header-file="$work/lexer.h" "$root/frontend/lexer.l"
flags="-std=c11 -D_GNU_SOURCE -DFTSO_FUZZER -w -g -O1 -I$root -I$root/frontend -I$work"
sanitizers="-fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer"
rm -f "$work"/*.o "$work/ir.a"
for source in "$root"/frontend/*.c "$work/parser.c" "$work/lexer.c" "$root"/base/*.c "$root/tests/fuzz/fuzz_language.c" \
    $(find "$root/ir" -name '*.c'); do
    # shellcheck disable=SC2086
    clang $flags $sanitizers -c "$source" -o "$work/$(echo "${source#"$root"/}" | tr / _).o"
done
ar rcs "$work/ir.a" "$work"/ir_*.o
rm -f "$work"/ir_*.o
clang -fsanitize=fuzzer,address,undefined "$work"/*.o "$work/ir.a" -lutf8proc -lm -o "$work/fuzz_language"
cd "$work"
exec ./fuzz_language -max_total_time="$seconds" -max_len=8192 -timeout=20 -rss_limit_mb=2048 -print_final_stats=1 \
    -dict="$root/tests/fuzz/language.dict" corpus "$root/tests/fuzz/corpus" "$root/tests/broken" "$root/examples"
