#!/usr/bin/env bash
# Libraries as their user meets them: linked into programs, with others, under hostile names.
#   embed.sh examples|names|threads   SOURCE_DIR FTSO
# In: the built program, C and C++ compilers, cmake, pkg-config. Out: one line with the number of checks; every failed one before
# it. Works in a scratch folder, on a small network with weights by chance.
set -uo pipefail
part=$1 root=$(cd "$2" && pwd) ftso=$(realpath "$3")
export LC_ALL=C TERM=dumb
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
export HOME=$scratch XDG_CACHE_HOME=$scratch/cache TMPDIR=$scratch/tmp
mkdir "$TMPDIR"
cd "$scratch" || exit 1
checked=0 failed=0
strict="-Wall -Wextra -Wpedantic -Wconversion -Werror"

fail() { failed=$((failed + 1)); echo "embed: $*"; sed 's/^/    /' err out 2>/dev/null | head -n 12; }
ok() { checked=$((checked + 1)); }
# code CODE COMMAND...: runs it with stdout in `out` and stderr in `err`; the exit code must be CODE.
code() {
  local want=$1 got
  shift
  ok
  "$@" >out 2>err </dev/null
  got=$?
  [ "$got" = "$want" ] || fail "exit code $got instead of $want: $*"
}
says() { ok; grep -qF -- "$2" "$1" || fail "'$2' is not in $1 of the last command"; }
same() { ok; cmp -s "$1" "$2" || fail "$1 and $2 differ"; }

{ "$ftso" new toy | sed 's/\[1, 28, 28\]/[1, 12, 12]/; s/crop(28, pad = 2)/crop(12, pad = 2)/'
  echo "genotype found : toy = Genotype(normal=[('conv_3x3', 1), ('conv_3x3', 2)], normal_concat=[2, 3]);"
} >toy.ftso
# library KIND PREFIX SEED: a folder of that name.
library() { code 0 "$ftso" build toy.ftso --init="$3" --kind="$1" --prefix="$2" -o "$2"; }
# picture FILE SEED: 12 x 12 grey pixels.
picture() {
  { printf 'P5\n12 12\n255\n'
    awk -v s="$2" 'BEGIN { for (i = 0; i < 144; i++) { s = (s * 16807) % 2147483647; printf "%c", 1 + s % 120 } }'; } >"$1"
}
# names FILE PREFIX: nothing is to be seen but the interface.
names() {
  ok
  nm -g --defined-only $3 "$1" 2>/dev/null | awk -v p="$2_" 'NF == 3 && substr($3, 1, length(p)) != p { print $3 }' >seen
  [ ! -s seen ] || fail "$1 shows $(head -n 3 seen | tr '\n' ' ')"
  ok
  [ "$(nm -g --defined-only $3 "$1" | grep -c " T $2_")" -ge 9 ] || fail "$1 lacks functions of its header"
}

# The programs of examples/embed, by pkg-config and by CMake, with the static and with the shared library.
examples() {
  local config kind i
  picture one.pgm 3
  picture two.pgm 77
  for i in c cpp; do
    ok; [ "$(wc -l <"$root/examples/embed/classify.$i")" -lt 60 ] || fail "classify.$i has 60 lines or more"
  done
  for kind in so lib; do
    rm -rf fashion
    library $kind fashion 1
    [ $kind = so ] && names fashion/lib/libfashion.so fashion -D || names fashion/lib/libfashion.a fashion ""
    config=$(pkg-config --with-path=fashion/lib/pkgconfig --cflags --libs --static fashion) || fail "pkg-config knows no fashion"
    # shellcheck disable=SC2086
    code 0 cc -std=c99 $strict "$root/examples/embed/classify.c" $config -Wl,-rpath,"$scratch/fashion/lib" -o by_c
    # shellcheck disable=SC2086
    code 0 c++ -std=c++11 $strict "$root/examples/embed/classify.cpp" $config -Wl,-rpath,"$scratch/fashion/lib" -o by_cpp
    code 0 ./by_c one.pgm two.pgm
    cp out $kind.c
    code 0 ./by_cpp one.pgm two.pgm
    same out $kind.c
    ok; [ "$(sed -E 's/^(one|two)\.pgm: [0-9]+ -?[0-9]+\.[0-9]{5}$/right/' out | sort -u)" = right ] || fail "no classes are printed"
    # A moved folder, and a project that finds it.
    mv fashion moved
    code 0 cmake -G Ninja -S "$root/examples/embed" -B project -DCMAKE_PREFIX_PATH="$scratch/moved" -DCMAKE_BUILD_TYPE=Release
    code 0 cmake --build project
    code 0 project/classify_c one.pgm two.pgm
    same out $kind.c
    code 0 project/classify_cpp one.pgm two.pgm
    same out $kind.c
    rm -rf moved project
  done
  same lib.c so.c
  # What is no picture.
  printf 'P5\n5 5\n255\n1234' >short.pgm
  code 1 ./by_c short.pgm
  says err 'argument'
  code 1 ./by_cpp short.pgm
  says err 'short.pgm is no picture'
}

# Three models of hostile names in one program; names that cannot be are refused.
names_part() {
  local long name
  long=$(printf 'a%.0s' $(seq 300))
  for name in '' a.b 'a b' 1a '😀' "$long" 'a-b' '../a' 'a;b'; do
    code 2 "$ftso" build toy.ftso --init=1 --kind=lib --prefix="$name" -o refused
    says err 'prefix'
    ok; [ ! -e refused ] || fail "a library with the prefix '$name' was built"
  done
  code 2 "$ftso" build toy.ftso --init=1 --kind=lib -o refused
  says err 'prefix'
  library lib free 1
  library lib int 2
  library lib a_b 3
  for name in free int a_b; do
    names $name/lib/lib$name.a $name ""
    printf '#include <%s.h>\n#include <%s.h>\n%s_options options;\n' $name $name $name >header.c
    code 0 cc -std=c99 $strict -I$name/include -c header.c -o header.o
    code 0 c++ -std=c++98 $strict -I$name/include -x c++ -c header.c -o header.o
    code 0 c++ -std=c++17 $strict -I$name/include -x c++ -c header.c -o header.o
  done
  code 0 cc -std=c99 -D_POSIX_C_SOURCE=200809L $strict "$root/tests/embed/models.c" -Ifree/include -Iint/include -Ia_b/include \
    free/lib/libfree.a int/lib/libint.a a_b/lib/liba_b.a -pthread -lm -o models
  code 0 ./models
  says out '3 models on 8 threads, 0 failures'
}

# The same under the thread sanitizer, the runtime inside the libraries included; their kernels share no memory but through it.
threads() {
  local source target
  target=$(uname -m)-linux-gnu
  mkdir -p checked/artefact/"$target" objects
  cp "$ftso" checked/ftso
  cp "$(dirname "$ftso")/artefact/$target"/*.a checked/artefact/"$target"
  for source in "$root"/base/*.c "$root"/runtime/*.c "$root"/runtime/carried/*.c; do
    [ "$(basename "$source")" = diag.c ] || echo "$source objects/$(basename "$(dirname "$source")")_$(basename "$source").o"
  done >sources
  ok
  xargs -P 2 -L 1 sh -c 'cc -std=c11 -D_GNU_SOURCE -O1 -g -fPIC -ffunction-sections -fdata-sections -fsanitize=thread -I"$0" \
    -c "$1" -o "$2"' "$root" <sources 2>err || fail "the runtime does not compile with -fsanitize=thread"
  rm -f checked/artefact/"$target"/libftso_artefact.a checked/artefact/"$target"/libftso_library.a
  code 0 ar rcs checked/artefact/"$target"/libftso_library.a objects/carried_library.c.o
  rm -f objects/carried_library.c.o
  code 0 ar rcs checked/artefact/"$target"/libftso_artefact.a objects/*.o
  ftso=$scratch/checked/ftso
  library lib free 1
  library lib int 2
  library lib a_b 3
  code 0 cc -std=c99 -D_POSIX_C_SOURCE=200809L -g -fsanitize=thread "$root/tests/embed/models.c" -Ifree/include -Iint/include \
    -Ia_b/include free/lib/libfree.a int/lib/libint.a a_b/lib/liba_b.a -pthread -lm -o models
  ok; [ "$(nm free/lib/libfree.a | grep -c __tsan_)" -gt 3 ] || fail "the runtime is not watched"
  code 0 ./models
  says out '3 models on 8 threads, 0 failures'
  ok; grep -q 'ThreadSanitizer' err && fail "a race"
}

case $part in
  examples | threads) $part ;;
  names) names_part ;;
  *) echo "embed: no part '$part'"; exit 2 ;;
esac
echo "embed: $part: $checked checks, $failed failed"
[ $failed = 0 ] && [ $checked -gt 10 ]
