#!/usr/bin/env bash
# Artefacts as their user meets them: built, run, damaged, built again.
#   build.sh exe|cross|trained|trainer|pictures|multi|library|verify|text   SOURCE_DIR FTSO
# In: the built program, a C compiler. Out: one line with the number of checks; every failed one before it. Works in a scratch
# folder with a cache of its own, on a small network with weights by chance.
set -uo pipefail
part=$1 root=$(cd "$2" && pwd) ftso=$(realpath "$3")
export LC_ALL=C TERM=dumb
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
export HOME=$scratch XDG_CACHE_HOME=$scratch/cache TMPDIR=$scratch/tmp
mkdir "$TMPDIR"
cd "$scratch" || exit 1
checked=0 failed=0

fail() { failed=$((failed + 1)); echo "build: $*"; sed 's/^/    /' err out 2>/dev/null | head -n 8; }
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
absent() { ok; [ ! -e "$1" ] || fail "$1 is there"; }

# The toy space with a found cell, on images of one channel and 12 pixels a side.
make_toy() {
  { "$ftso" new toy | sed 's/\[1, 28, 28\]/[1, 12, 12]/; s/crop(28, pad = 2)/crop(12, pad = 2)/'
    echo "genotype found : toy = Genotype(normal=[('conv_3x3', 1), ('conv_3x3', 2)], normal_concat=[2, 3]);"
  } >toy.ftso
}
# tensors COUNT FLOATS SEED: float32 numbers between -2 and 2, little-endian, the same on every machine.
tensors() {
  awk -v n=$(($1 * $2)) -v s="$3" 'BEGIN { for (i = 0; i < n; i++) { s = (s * 16807) % 2147483647; v = int(s / 256) % 8
    printf "%c%c%c%c", 1 + s % 120, 1 + int(s / 128) % 120, (s % 2 ? 64 : 32) + int(s / 16384) % 32, (v < 4 ? 63 : 191) } }'
}
# flip FILE OFFSET MASK: one byte of it, in place.
flip() {
  local byte
  byte=$(od -An -tu1 -j "$2" -N 1 "$1" | tr -d ' ')
  printf '%b' "$(printf '\\x%02x' $((byte ^ $3)))" | dd of="$1" bs=1 seek="$2" conv=notrunc status=none
}
# section FILE NAME [COLUMN]: its place in the file; with column 2 its address.
section() {
  echo $((16#$(readelf -SW "$1" | awk -v name="$2" -v c="${3:-3}" '{ for (i = 1; i < NF; i++) if ($i == name) print $(i + c) }')))
}
# ar_offset FILE: where the one object of an archive begins; 0 for other files.
ar_offset() {
  [ "$(head -c 7 "$1")" = '!<arch>' ] || { echo 0; return; }
  grep -abo $'\x7fELF' "$1" | head -n 1 | cut -d: -f1
}
# places FILE MNEMONIC: file offsets of such instructions in the code.
places() {
  local shift=$(($(section "$1" .text) - $(section "$1" .text 2))) address
  objdump -d --no-show-raw-insn -j .text "$1" | awk -v word="$2" '$2 == word { sub(":", "", $1); print $1 }' |
    while read -r address; do echo $((16#$address + shift)); done
}
# change_instructions FILE OFFSETS WORDS COMMAND...: turns one multiplication after another into an addition, in a copy `damaged`.
# COMMAND must fail each time; of `tried` instructions `found` made it say WORDS. The last change stays.
change_instructions() {
  local at left
  tried=0 found=0
  for at in $2; do
    cp "$1" damaged
    # mulps is 0f 59, addps 0f 58, perhaps with a prefix before them
    [ "$(od -An -tx1 -j "$at" -N 2 damaged | tr -d ' ')" = 0f59 ] || at=$((at + 1))
    flip damaged $((at + 1)) 1
    "${@:4}" >out 2>err
    left=$?
    ok; [ $left -gt 0 ] && [ $left -lt 128 ] || fail "with one instruction changed at $at: exit code $left"
    tried=$((tried + 1))
    if grep -q "$3" out; then found=$((found + 1)); fi
  done
}

exe() {
  make_toy
  code 2 "$ftso" build toy.ftso
  says err 'Give -o'
  code 2 "$ftso" build toy.ftso -o classify
  says err 'which weights?'
  code 2 "$ftso" build toy.ftso nothing --init=1 -o classify
  says err "there is no genotype 'nothing'"
  absent classify
  code 0 "$ftso" build toy.ftso --init=1 -o classify --batch=4
  code 0 ./classify --self-test
  says out 'numbers: ok'
  says out 'bytes: ok'
  code 0 ./classify --info
  says out '"network":	"found"'
  says out "Genotype(normal=[('conv_3x3', 1), ('conv_3x3', 2)]"
  ok; grep -qF "$scratch" classify out && fail "the artefact names the place where it was made"
  ok; grep -qF "$root" classify && fail "the artefact names the place of its sources"
  code 0 ./classify --bench=3
  says out 'images/s'
  code 0 ./classify --help
  says out '[1, 12, 12]'
  code 2 ./classify
  says err 'which images?'
  code 2 ./classify --nonsense
  code 2 ./classify --threads=0 --bench

  # It needs the C library and its mathematics, nothing else; or nothing at all.
  ok; [ "$(readelf -d classify | sed -n 's/.*NEEDED.*\[\(.*\)\]/\1/p' | sort | tr '\n' ' ')" = "libc.so.6 libm.so.6 " ] ||
    fail "the executable needs $(readelf -d classify | grep NEEDED)"
  code 0 "$ftso" build toy.ftso --init=1 -o still --static
  ok; readelf -d still | grep -q NEEDED && fail "a static executable needs a library"
  code 0 ./still --self-test

  # Tensors in, classes out: the same on any number of threads, and whatever the batch; a torn stream is refused.
  tensors 7 144 5 >seven
  ok; [ "$(stat -c %s seven)" = 4032 ] || fail "the tensors have another size"
  ok; ./classify --raw --logits <seven >logits || fail "raw tensors are refused"
  ok; [ "$(stat -c %s logits)" = 280 ] || fail "seven images have not 70 results"
  ok; [ "$(od -An -v -w40 -tx4 logits | sort -u | wc -l)" = 7 ] || fail "different images have equal results"
  ./classify --raw --logits --threads=1 <seven >one
  same one logits
  ok; ./classify --raw --top=2 <seven >out 2>err || fail "raw tensors are refused"
  ok; [ "$(wc -l <out)" = 7 ] || fail "seven images have not seven lines"
  ok; grep -Eqx '6: [0-9] [01]\.[0-9]{4}, [0-9] [01]\.[0-9]{4}' out || fail "the last image has no two classes"
  ok; head -c 1000 seven | ./classify --raw >out 2>err; [ $? = 5 ] || fail "a torn stream is taken"
  says err 'ends within image 1: 424 bytes of 576'
  ok; ./classify --raw <seven >/dev/full 2>err; [ $? = 3 ] || fail "lost results go unnoticed"

  # A changed byte is noticed: in the bytes always, and in the numbers where it matters.
  local at weight found=0 tried=0
  cp classify damaged
  flip damaged $(($(section damaged .ftso.weights) + 3)) 64
  code 70 ./damaged --self-test
  says out 'numbers: WRONG'
  says out 'bytes: WRONG'
  cp classify damaged
  flip damaged "$(section damaged .ftso.weights)" 1
  code 70 ./damaged --self-test
  says out 'numbers: ok' # the last bit of a weight: within the tolerance, but not what was built
  says out 'bytes: WRONG'
  # A thousandth of one weight among three thousand is noticed in the numbers alone (some weights meet nothing but zeros).
  at=$(section classify .ftso.weights)
  for weight in $(seq 0 100 3200); do
    cp classify damaged
    flip damaged $((at + 4 * weight + 1)) 32
    code 70 ./damaged --self-test
    tried=$((tried + 1))
    grep -q 'numbers: WRONG' out && found=$((found + 1))
  done
  ok; [ "$found" -gt 20 ] || fail "of $tried weights changed by a thousandth $found were noticed in the numbers"
  # A right program has room: a tenth of what is allowed, or so.
  code 0 ./classify --self-test
  ok; awk '/^numbers/ { for (i = 1; i < NF; i++) if ($i == "distance") { d = $(i + 1); a = $(i + 3) } }
    END { exit !(d > 0 && 3 * d < a && a < 40 * d) }' out || fail "the tolerance has nothing to do with the distance"
  code 0 "$ftso" build toy.ftso --init=1 -o plain --cpu=x86-64
  code 0 ./plain --self-test
  change_instructions plain "$(places plain mulps | head -n 40)" 'numbers: WRONG' ./damaged --self-test
  ok; [ "$tried" -gt 3 ] && [ "$found" -gt 0 ] || fail "of $tried changed instructions $found were noticed in the numbers"

  # The same bytes again, in another folder; nothing is done where nothing changed, but damage is mended.
  mkdir other
  code 0 "$ftso" build toy.ftso --init=1 -o other/name --batch=4 --no-cache
  same other/name classify
  code 0 "$ftso" build toy.ftso --init=1 -o classify --batch=4
  says out 'nothing to do'
  flip classify $(($(section classify .ftso.weights) + 3)) 64
  code 0 "$ftso" build toy.ftso --init=1 -o classify --batch=4
  ok; grep -q 'nothing to do' out && fail "a damaged artefact is taken for a good one"
  same other/name classify
  code 0 "$ftso" build toy.ftso --init=2 -o classify --batch=4
  ok; cmp -s other/name classify && fail "other weights make the same artefact"

  # What cannot be done says why, and leaves no file.
  code 4 env PATH=/nowhere "$ftso" build toy.ftso --init=1 -o nothing
  says err "cannot run 'cc'"
  absent nothing
  code 5 "$ftso" build toy.ftso --init=1 -o no/such/folder
  ok; [ -z "$(ls "$TMPDIR")" ] || fail "scratch folders are left behind"
}

# What `there` of the last command says and does about pictures: read as here where the system's decoders are installed.
pictures_there() {
  if [ ! -f "$(dirname "$ftso")/artefact/$system/libftso_decoders.a" ]; then
    says err 'will read raw tensors, no pictures: '
    code 5 $emulator -L /usr/$system ./there "$root/tests/pictures/grey.png"
    says err 'PNG'
    echo "build: pictures on $system are not tested: its decoders are not installed"
    return
  fi
  ok; [ -s err ] && fail "something is said of a build that lacks nothing"
  sed 's/    test = normalize;/    test = resize(14) -> center_crop(12) -> normalize;/' toy.ftso >resized.ftso
  code 0 "$ftso" build resized.ftso --init=1 -o there --target=$system
  code 0 "$ftso" build resized.ftso --init=1 -o here --cpu=x86-64
  ./here --top=1 "$root"/tests/pictures/*.{jpg,png} >expected
  code 0 $emulator -L /usr/$system ./there --top=1 "$root"/tests/pictures/*.{jpg,png}
  sed 's/ [0-9.]*$//' expected >a
  sed 's/ [0-9.]*$//' out >b
  ok; [ "$(wc -l <a)" -gt 10 ] || fail "few pictures were read"
  same a b
}

# For other systems, under an emulator; one that is not installed is said, not passed over.
cross() {
  local system machine package emulator file
  make_toy
  code 2 "$ftso" build toy.ftso --init=1 -o there --target=vax-linux-gnu
  says err "there is no target 'vax-linux-gnu'; besides this machine there are aarch64-linux-gnu and riscv64-linux-gnu"
  code 2 "$ftso" build toy.ftso --init=1 -o there --target=aarch64-linux-gnu --cpu=x86-64-v3
  says err '--cpu chooses among processors of this machine'
  absent there
  # The program alone, without what is installed beside it.
  cp "$ftso" alone
  for system in aarch64-linux-gnu riscv64-linux-gnu; do
    machine=${system%%-*} package=gcc-$system emulator=qemu-${system%%-*}
    code 4 ./alone build toy.ftso --init=1 -o there --target=$system
    says err "install $package"
    absent there
    code 0 "$ftso" doctor
    if ! command -v $system-gcc >/dev/null || ! command -v $emulator >/dev/null; then
      echo "build: $system is not tested: install $package and qemu-user"
      continue
    fi
    says out "artefact/$system/libftso_artefact.a"
    code 0 "$ftso" build toy.ftso --init=1 -o there --target=$system --batch=4
    pictures_there
    code 0 "$ftso" build toy.ftso --init=1 -o there --target=$system --batch=4
    ok; readelf -h there | grep -Eq 'Machine:.*(AArch64|RISC-V)' || fail "the artefact is for $(readelf -h there | grep Machine)"
    code 0 $emulator -L /usr/$system ./there --self-test
    says out 'numbers: ok'
    says out 'bytes: ok'
    tensors 7 144 5 >seven
    ok; $emulator -L /usr/$system ./there --raw --logits --threads=1 <seven >one || fail "raw tensors are refused"
    ok; $emulator -L /usr/$system ./there --raw --logits --threads=3 <seven >three || fail "raw tensors are refused"
    same one three
    ok; [ "$(stat -c %s one)" = 280 ] || fail "seven images have not 70 results"
    code 0 "$ftso" build toy.ftso --init=1 -o again --target=$system --batch=4 --no-cache
    same again there
    flip again $(($(section again .ftso.weights) + 3)) 64
    code 70 $emulator -L /usr/$system ./again --self-test
    says out 'numbers: WRONG'
    code 0 "$ftso" build toy.ftso --init=1 -o sdk --target=$system --kind=lib --prefix=fashion
    code 0 $system-gcc -static -Isdk/include "$root/examples/embed/classify.c" -Lsdk/lib -lfashion -lm -o embedded
    { printf 'P5\n12 12\n255\n'; head -c 144 seven; } >picture.pgm
    code 0 $emulator ./embedded picture.pgm
    says out 'picture.pgm: '
    rm -rf sdk
    code 0 "$ftso" build toy.ftso --init=1 -o still --target=$system --static
    code 0 $emulator ./still --self-test
    code 0 "$ftso" build toy.ftso toy_train --init=1 -o tune --target=$system --kind=trainer
    code 0 $emulator -L /usr/$system ./tune --self-test
    says out 'step: ok'
    mkdir -p packed
    printf '\037\213\010' >packed/train-images-idx3-ubyte.gz
    for file in train-labels-idx1 t10k-images-idx3 t10k-labels-idx1; do cp packed/train-images-idx3-ubyte.gz packed/$file-ubyte.gz; done
    code 5 $emulator -L /usr/$system ./tune packed
    says err 'is packed, which this program does not read'
    rm -f there again
  done
}

# Pictures go through the data set's test transform, and classes have its names.
pictures() {
  make_toy
  sed -i 's/classes = 10;/&/; s/    test = normalize;/    test = resize(14) -> center_crop(12) -> normalize;/' toy.ftso
  local at=$root/tests/pictures
  code 0 "$ftso" build toy.ftso --init=1 -o classify --batch=2
  code 0 ./classify --info
  says out '"transform":	"resize(14) -> center_crop(12) -> normalize'
  code 0 ./classify "$at/full.jpg" "$at/grey.png" "$at/large.png" --top=1
  ok; [ "$(wc -l <out)" = 3 ] || fail "three pictures have not three lines"
  ok; grep -Eqx "$at/large.png: [0-9] [01]\.[0-9]{4}" out || fail "the third picture has no class"
  # The same picture alone gives the same numbers; another gives others.
  ./classify "$at/full.jpg" "$at/grey.png" --logits >both
  ./classify "$at/grey.png" --logits >one
  tail -c 40 both >last
  same one last
  ok; head -c 40 both | cmp -s - one && fail "two pictures have equal results"
  code 5 ./classify "$at/full.jpg" toy.ftso
  says err 'toy.ftso'
  code 5 ./classify nothing.png
  ok; [ "$(readelf -d classify | grep -c NEEDED)" = 2 ] || fail "decoders are not inside"
}

multi() {
  make_toy
  local cpu ran=0
  code 0 "$ftso" build toy.ftso --init=1 -o classify --cpu=multi
  code 0 ./classify --self-test
  tensors 3 144 9 >three
  code 4 ./classify --cpu=z80 --self-test
  says err "no code for 'z80'"
  for cpu in x86-64-v2 x86-64-v3 x86-64-v4; do
    code 0 ./classify --info
    says out "\"$cpu\""
    if ./classify --cpu=$cpu --self-test >out 2>err; then
      ran=$((ran + 1))
      says out "code for $cpu"
      ok; grep -q 'numbers: ok' out || fail "$cpu code is wrong"
      # one alone is the same code
      code 0 "$ftso" build toy.ftso --init=1 -o alone --cpu=$cpu
      ./classify --cpu=$cpu --raw --logits <three >a
      ./alone --raw --logits <three >b
      ok; [ -s a ] || fail "$cpu gives no results"
      same a b
    else
      says err 'this processor has no'
    fi
  done
  ok; [ $ran -gt 0 ] || fail "no code runs here"
  echo "build: $ran of 3 processors' code was run"
  code 2 "$ftso" build toy.ftso --init=1 -o classify --cpu=z80
}

library() {
  make_toy
  local kind
  code 2 "$ftso" build toy.ftso --init=1 --kind=lib -o sdk
  says err 'Give --prefix'
  code 2 "$ftso" build toy.ftso --init=1 --kind=lib -o sdk --prefix=9lives
  says err 'letters, digits and _'
  absent sdk
  for kind in lib so; do code 0 "$ftso" build toy.ftso --init=1 --kind=$kind --prefix=net -o sdk --batch=4; done
  code 0 "$ftso" build toy.ftso --init=1 --kind=obj --prefix=net -o net.o
  code 0 "$ftso" build toy.ftso --init=1 --kind=lib --prefix=net -o sdk --batch=4
  says out 'nothing to do'
  rm sdk/include/net.h
  code 0 "$ftso" build toy.ftso --init=1 --kind=lib --prefix=net -o sdk --batch=4
  ok; [ -s sdk/include/net.h ] || fail "a header that is gone is not written again"
  mkdir deep && cp -r sdk deep/moved
  code 0 "$ftso" build toy.ftso --init=1 --kind=lib --prefix=net -o deep/again --batch=4 --no-cache
  same deep/again/lib/libnet.a sdk/lib/libnet.a

  # Its names begin with the prefix; it calls nothing that prints, ends the process or is not the C library's.
  local names="net_abi net_class_name net_context_class_name net_create net_destroy net_info net_memory_bytes net_prepare net_run net_self_test net_strerror "
  ok; [ "$(nm -g --defined-only net.o | awk 'NF == 3 { print $3 }' | sort | tr '\n' ' ')" = "$names" ] || fail "the object shows $(nm -g --defined-only net.o)"
  ok; [ "$(nm -D --defined-only sdk/lib/libnet.so | awk 'NF == 3 { print $3 }' | sort | tr '\n' ' ')" = "$names" ] || fail "the shared library shows other names"
  ok; nm -u net.o | awk '{ print $2 }' | grep -Ex '_?_?exit|abort|.*assert.*|v?f?d?printf|puts|fputs|putchar|fwrite|write|open|raise|.*kill' >out && fail "the library calls what it must not"
  ok; grep -rqF "$scratch" sdk && fail "the library names the place where it was made"

  cat >use.c <<'END'
#include <net.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
static size_t taken, given, bytes;
static void *take(void *user, size_t size) { (void)user; taken++; bytes += size; return malloc(size); }
static void give(void *user, void *block) { (void)user; given += block != NULL; free(block); }
static void *none(void *user, size_t size) { size_t *left = (size_t *)user; return *left == 0 ? NULL : ((*left)--, malloc(size)); }
static void drop(void *user, void *block) { (void)user; free(block); }
int main(int argc, char **argv)
{
    static float images[7 * net_CHANNELS * net_HEIGHT * net_WIDTH], logits[7 * net_CLASSES];
    net_options options;
    net_context *context = NULL, *other = NULL;
    size_t left, count = 7;
    memset(&options, 0, sizeof options);
    options.size_bytes = sizeof options;
    options.threads = argc > 1 ? atoi(argv[1]) : 1;
    options.allocate = take;
    options.release = give;
    if (net_abi() != net_ABI || !strstr(net_info(), "ftso-artefact")) return 1;
    if (fread(images, sizeof images[0] * net_CHANNELS * net_HEIGHT * net_WIDTH, count, stdin) != count) return 2;
    if (net_create(&context, &options) != net_OK || net_create(&other, NULL) != net_OK) return 3;
    if (bytes < net_memory_bytes(options.threads)) return 4;
    {
        size_t before = taken;
        if (net_run(other, images, count, logits) != net_OK) return 5;
        if (net_run(context, images, count, logits) != net_OK || net_self_test(context) != net_OK) return 5;
        if (before != taken || given) return 6; /* nothing is allocated after create */
    }
    if (net_run(context, NULL, 1, logits) != net_BAD_ARGUMENT || net_run(NULL, images, 1, logits) != net_BAD_ARGUMENT) return 7;
    if (net_run(context, NULL, 0, NULL) != net_OK || strcmp(net_class_name(3), "3") || net_class_name(net_CLASSES)) return 8;
    if (!strstr(net_strerror(net_NO_MEMORY), "memory") || !*net_strerror(99)) return 9;
    net_destroy(context);
    net_destroy(other);
    net_destroy(NULL);
    if (taken != given) return 10;
    options.allocate = none;
    options.release = drop;
    options.user = &left;
    for (size_t n = 0;; n++) { /* memory that runs out at each place */
        left = n;
        int code = net_create(&context, &options);
        if (code == net_OK) { net_destroy(context); if (n < 4) return 11; break; }
        if (code != net_NO_MEMORY || context) return 12;
    }
    options.size_bytes = 1;
    if (net_create(&context, &options) != net_BAD_ARGUMENT) return 13;
    fwrite(logits, sizeof logits, 1, stdout);
    return 0;
}
END
  code 0 "$ftso" build toy.ftso --init=1 -o classify --batch=4
  tensors 7 144 5 >seven
  ./classify --raw --logits <seven >expected
  local flags="-Wall -Wextra -Wpedantic -Werror -Ideep/moved/include"
  code 0 cc -std=c99 $flags use.c deep/moved/lib/libnet.a -pthread -lm -o use_a
  code 0 cc -std=c99 $flags use.c -Ldeep/moved/lib -Wl,-rpath,'$ORIGIN/deep/moved/lib' -lnet -o use_so
  code 0 cc -std=c99 $flags -Dnet_BATCH_IS_NOT_USED use.c net.o -pthread -lm -o use_o
  for kind in a so o; do
    for threads in 1 3; do
      ok; ./use_$kind $threads <seven >got 2>err || fail "the program with use_$kind ends with $?"
      same got expected
    done
  done
  if command -v c++ >/dev/null; then
    printf '#include <net.h>\nint main() { net_context *c = nullptr; net_options o{}; o.size_bytes = sizeof o; o.threads = 1;\n  int code = net_create(&c, &o); code |= net_self_test(c); net_destroy(c); return code; }\n' >use.cc
    code 0 c++ $flags use.cc deep/moved/lib/libnet.a -pthread -lm -o use_cc
    code 0 ./use_cc
  fi
  ok; [ "$(PKG_CONFIG_PATH=deep/moved/lib/pkgconfig pkg-config --static --libs --cflags net | sed 's/-[IL][^ ]*//g' | tr -s ' ')" = " -lnet -pthread -lm " ] ||
    fail "pkg-config says $(PKG_CONFIG_PATH=deep/moved/lib/pkgconfig pkg-config --static --libs --cflags net)"
}

# no_artefact FILE WORDS: ftso verify refuses the file so.
no_artefact() {
  code 5 "$ftso" verify "$1"
  says err "$2"
  ok; [ "$(wc -l <err)" = 1 ] || fail "the error about $1 has more than one line"
}

verify() {
  make_toy
  local file kind found tried
  # images kept as bf16: the reference rounds them where the code does, in the artefact's own test and here
  code 0 "$ftso" build toy.ftso --init=1 --precision=bf16 -o narrow
  code 0 ./narrow --self-test
  says out 'numbers: ok'
  code 0 ./narrow --info
  says out '"precision":	"bf16"'
  code 0 "$ftso" verify narrow
  says out 'results  ok'
  code 2 "$ftso" build toy.ftso toy_train --init=1 --precision=bf16 --kind=trainer -o tune
  says err 'train.NAME.precision'
  for kind in exe lib so obj; do code 0 "$ftso" build toy.ftso --init=1 --kind=$kind --prefix=net --cpu=x86-64 -o made_$kind; done
  for file in made_exe made_lib/lib/libnet.a made_so/lib/libnet.so made_obj; do
    code 0 "$ftso" verify $file
    says out 'bytes    ok'
    says out 'stored   ok'
    says out 'results  ok'
    # A byte of the weights: bytes and stored results are wrong, though code and reference agree about the new weights.
    cp $file damaged
    flip damaged $(($(section damaged .ftso.weights) + 3 + $(ar_offset damaged))) 64
    code 5 "$ftso" verify damaged
    says out 'bytes    WRONG'
    says out 'stored   WRONG'
    says err 'is damaged'
  done
  change_instructions made_exe "$(places made_exe mulps | head -n 12)" 'results  WRONG' "$ftso" verify damaged
  ok; [ "$tried" -gt 3 ] && [ "$found" -gt 0 ] || fail "of $tried changed instructions $found were noticed in the results"
  # A crash is a result.
  cp made_exe damaged
  printf '\017\013' | dd of=damaged bs=1 seek="$(places made_exe mulps | head -n 1)" conv=notrunc status=none
  code 5 "$ftso" verify damaged
  says out 'was ended by signal'
  # What is no artefact is called by its name.
  no_artefact toy.ftso 'is neither an executable, nor a library, nor an object file'
  no_artefact /bin/true 'is an ELF file without the section .ftso.record: ftso did not build it'
  no_artefact "$(dirname "$ftso")/artefact/$(uname -m)-linux-gnu/libftso_artefact.a" 'is an archive without an artefact in it'
  no_artefact "$root/tests/pictures/grey.png" "is neither an executable"
  no_artefact nothing "cannot open 'nothing'"
  no_artefact . 'is a folder, not a file'
  : >empty
  no_artefact empty 'is empty'
  printf '\177ELF\001\001' >damaged
  no_artefact damaged 'is an ELF file of 32 bits'
  for at in 5 63 64 3000 $(($(stat -c %s made_exe) - 1)); do
    head -c "$at" made_exe >damaged
    no_artefact damaged "is cut short: an ELF file whose $at bytes end before its sections do"
  done
  head -c 5000 made_lib/lib/libnet.a >damaged
  no_artefact damaged 'or one that is cut short'
  code 0 "$ftso" build toy.ftso --kind=ll -o net.ll
  no_artefact net.ll 'is the code of a network as text'
  cp made_exe damaged
  strip --remove-section=.ftso.record damaged
  no_artefact damaged 'without the section .ftso.record'
  cp made_exe damaged
  chmod -x damaged
  if [ "$(id -u)" != 0 ] || ! [ -x damaged ]; then
    code 5 "$ftso" verify damaged
    says out 'may not be run'
  fi
  if command -v aarch64-linux-gnu-gcc >/dev/null; then
    for kind in exe lib; do
      code 0 "$ftso" build toy.ftso --init=1 --kind=$kind --prefix=net --target=aarch64-linux-gnu -o there_$kind
      file=there_exe; [ $kind = lib ] && file=there_lib/lib/libnet.a
      code 4 "$ftso" verify $file
      says out 'bytes    ok'
      says out 'stored   ok'
      says err 'is for aarch64-unknown-linux-gnu and was not run here'
      flip $file $(($(section $file .ftso.weights) + 3 + $(ar_offset $file))) 64
      code 5 "$ftso" verify $file
    done
  fi
  code 2 "$ftso" verify
  code 2 "$ftso" verify made_exe --images=0
  ok; [ -z "$(ls "$TMPDIR")" ] || fail "scratch folders are left behind"
}

# The code as LLVM's text: the same from anywhere, taken by LLVM's own tools, and their objects run as ours do.
text() {
  make_toy
  local system
  code 2 "$ftso" build toy.ftso --init=1 --kind=ll -o net.ll
  says err 'the same whatever the weights'
  absent net.ll
  code 0 "$ftso" build toy.ftso --kind=ll -o net.ll --batch=2
  mkdir other && cp toy.ftso other
  code 0 env -C other "$ftso" build toy.ftso --kind=ll -o named.ll --batch=2 --cpu=native
  same other/named.ll net.ll
  says net.ll '"graph_hash"'
  ok; grep -Eq '^; [0-9]+ @r[0-9a-f]{32}_prepare @r[0-9a-f]{32}_body, conv cells.0' net.ll || fail "no list of launches"
  ok; grep -qF "$scratch" net.ll && fail "the text names the place where it was made"
  code 0 opt-19 -passes=verify -disable-output net.ll
  code 0 llc-19 -filetype=obj net.ll -o net.o
  # An executable with these functions in place of its own.
  code 0 "$ftso" build toy.ftso --init=1 -o ours --batch=2
  mkdir tools
  cat >tools/cc <<END
#!/bin/bash
for a in "\$@"; do [[ \$a =~ /[0-9a-f]{32}\.o\$ ]] && continue; arguments+=("\$a"); [[ \$a = */artefact.o ]] && arguments+=($scratch/net.o); done
exec $(command -v cc) "\${arguments[@]}"
END
  chmod +x tools/cc
  code 0 env PATH="$scratch/tools:$PATH" "$ftso" build toy.ftso --init=1 -o theirs --batch=2
  code 0 ./theirs --self-test
  says out 'numbers: ok'
  tensors 5 144 5 >five
  ./ours --raw --logits <five >a
  ./theirs --raw --logits <five >b
  ok; [ -s a ] || fail "no results"
  same a b
  # Several processors in one text; other systems.
  code 0 "$ftso" build toy.ftso --kind=ll -o multi.ll --cpu=multi
  for system in x86-64-v2 x86-64-v3 x86-64-v4; do says multi.ll "\"target-cpu\"=\"$system\""; done
  code 0 llc-19 -filetype=obj multi.ll -o multi.o
  for system in aarch64-linux-gnu riscv64-linux-gnu; do
    code 0 "$ftso" build toy.ftso --kind=ll -o there.ll --target=$system
    code 0 llc-19 -filetype=obj there.ll -o there.o
  done
}

# The toy space with a recipe for a folder of pictures in two classes, both made here.
make_pictures() {
  local class file number=0 at=$root/tests/pictures
  make_toy
  for class in coloured plain; do mkdir -p pics/train/$class pics/test/$class; done
  for file in "$at"/*.png "$at"/*.jpg; do
    class=coloured; [ $((number % 3)) = 0 ] && class=plain
    cp "$file" pics/train/$class/; cp "$file" pics/test/$class/
    number=$((number + 1))
  done
  sed -i -e 's/kind = idx;/kind = imagefolder;/; s|path = ".*";|path = "pics";|; s/classes = 10;/classes = 2;/; /images = /d' \
    -e 's/train = crop(12, pad = 2) -> normalize;/train = resize(12) -> center_crop(12) -> normalize;/' \
    -e 's/    test = normalize;/    test = resize(12) -> center_crop(12) -> normalize;/; s/batch = 128;/batch = 4;/' toy.ftso
}

# A trained network: its executable says of every test image what ftso eval says.
trained() {
  make_pictures
  code 0 "$ftso" train toy.ftso --cell found -o run -q
  code 0 "$ftso" eval run/best.safetensors --predictions=said
  code 0 "$ftso" build run -o classify --batch=3
  says out 'best.safetensors'
  code 0 ./classify --self-test
  says out 'numbers: ok'
  code 0 "$ftso" verify classify --images=1
  ./classify --top=1 pics/test/*/* | sed 's/.*: \([^ ]*\) .*/\1/' | sed 's/coloured/0/; s/plain/1/' >answers
  ok; [ "$(wc -l <said)" -gt 10 ] || fail "few images were judged"
  same answers said
  # Classes and transform are the weights' own, whatever the recipe says meanwhile; what differs is said.
  code 0 ./classify pics/test/plain/grey.png
  says out 'plain 0.'
  says out 'coloured 0.'
  sed '/^dataset/,/^}/ s/classes = 2;/classes = ["plain", "coloured"];/; s/test = resize(12)/test = resize(13)/' toy.ftso >later.ftso
  code 0 "$ftso" build later.ftso found --weights=run/best.safetensors -o later --batch=3
  says err "ftso: images of 'run/best.safetensors' are made by 'resize(12) -> center_crop(12) -> normalize"
  says err "data set 'fashion_mnist' says 'resize(13) -> center_crop(12) -> normalize"
  says err "class 0 is 'coloured' in 'run/best.safetensors' and 'plain' in data set 'fashion_mnist', 2 classes differ; the weights' word holds"
  ./classify pics/test/plain/* >a
  ./later pics/test/plain/* >b
  same a b
  code 0 "$ftso" eval later.ftso --cell=found --weights=run/best.safetensors
  says err "the data set's word holds"
  says err "class 0 is 'coloured'"
  code 0 "$ftso" eval run
  ok; grep -q '^ftso:' err && fail "a run's own weights differ from it"
  # A weights file away from its run says what is missing.
  mkdir bare && cp run/best.safetensors bare
  code 2 "$ftso" eval bare/best.safetensors
  says err "'bare/best.safetensors' lies in no run directory"
  says err 'ftso eval FILE.ftso toy_train --weights=bare/best.safetensors'
  code 0 "$ftso" eval toy.ftso toy_train --cell=found --weights=bare/best.safetensors
  code 5 "$ftso" eval bare/nothing.safetensors
  says err "'bare/nothing.safetensors'"
  code 2 "$ftso" build toy.ftso found -o other
  says err 'which weights?'
  code 5 "$ftso" build toy.ftso found --weights=toy.ftso -o other
  other_weights
}

# Artefacts run other weights of their network, given as a file or in memory: as if they had been built with them.
other_weights() {
  local bad
  tensors 5 144 5 >five
  ./classify --raw --logits <five >expected
  code 0 "$ftso" build run --init=7 -o by_chance --batch=3
  ./by_chance --raw --logits <five >chance
  ok; cmp -s chance expected && fail "weights by chance are the trained ones"
  ok; ./by_chance --raw --logits --weights=run/best.safetensors <five >got || fail "--weights fails"
  same got expected
  code 0 ./by_chance --weights=run/best.safetensors --top=1 pics/test/plain/*
  ok; grep -Eq ': (plain|coloured) [01]' out || fail "the weights' classes are not named"
  code 0 ./by_chance --weights=run/best.safetensors --bench=1
  code 2 ./by_chance --weights=run/best.safetensors --self-test
  says err 'of the weights inside'
  # Of another network, of other classes, no weights at all.
  sed "s/('conv_3x3', 2)/('skip', 2)/; s/epochs = [0-9]*/epochs = 1/" toy.ftso >narrow.ftso
  code 0 "$ftso" train narrow.ftso --cell found -o narrow -q
  cp narrow/best.safetensors wrong_network
  head -c 2000 run/best.safetensors >wrong_short
  cp toy.ftso wrong_text
  : >wrong_empty
  cp run/best.safetensors wrong_bytes
  flip wrong_bytes $(($(stat -c %s wrong_bytes) - 9)) 1
  code 0 "$ftso" build run --init=7 --kind=lib --prefix=net -o sdk --batch=3
  cat >weights.c <<'END'
#include <net.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
static size_t taken, given;
static void *take(void *user, size_t size) { size_t *left = (size_t *)user; return *left == 0 ? NULL : (--*left, ++taken, malloc(size)); }
static void give(void *user, void *block) { (void)user; given += block != NULL; free(block); }
int main(int argc, char **argv)
{
    static float images[5 * net_CHANNELS * net_HEIGHT * net_WIDTH], logits[5 * net_CLASSES];
    static char error[600];
    net_options options;
    net_context *context = NULL;
    FILE *file = fopen(argv[1], "rb");
    size_t length, left = 1000000, before;
    char *bytes = malloc(1 << 24);
    int code;
    if (argc != 2 || !file || !bytes || fread(images, sizeof images, 1, stdin) != 1) return 1;
    length = fread(bytes, 1, 1 << 24, file);
    memset(&options, 0, sizeof options);
    options.size_bytes = sizeof options;
    options.threads = 1;
    options.allocate = take;
    options.release = give;
    options.user = &left;
    options.weights = bytes;
    options.weights_bytes = length;
    options.error = error;
    options.error_bytes = sizeof error;
    strcpy(error, "untouched");
    code = net_create(&context, &options);
    if (code == net_BAD_WEIGHTS) {
        if (context || taken != given || !*error || !strstr(net_strerror(code), "weights")) return 2;
        fprintf(stderr, "%s\n", error);
        options.error_bytes = 9; /* cut, never written past */
        error[9] = 'x';
        return net_create(&context, &options) == code && strlen(error) == 8 && error[9] == 'x' ? 5 : 3;
    }
    if (code != net_OK || *error) return 4;
    memset(bytes, 0, length); /* the context has its own */
    before = taken;
    if (net_run(context, images, 5, logits) != net_OK || net_self_test(context) != net_BAD_ARGUMENT) return 6;
    if (taken != before) return 7;
    if (strcmp(net_context_class_name(context, 1), "plain") || net_context_class_name(context, net_CLASSES)) return 8;
    if (fwrite(logits, sizeof logits, 1, stdout) != 1) return 9;
    net_destroy(context);
    if (taken != given) return 10;
    rewind(file);
    if (fread(bytes, 1, length, file) != length) return 11;
    for (before = 0;; before++) { /* memory that runs out at each place */
        left = before;
        code = net_create(&context, &options);
        if (code == net_OK) break;
        if (code != net_NO_MEMORY || context || taken != given || !*error) return 12;
    }
    net_destroy(context);
    /* a caller whose header ends before the weights has those inside */
    left = 1000000;
    options.size_bytes = offsetof(net_options, weights);
    options.weights = (void *)1;
    if (net_create(&context, &options) != net_OK || net_self_test(context) != net_OK) return 13;
    net_destroy(context);
    free(bytes);
    fclose(file);
    return before > 10 && taken == given ? 0 : 14;
}
END
  code 0 cc -std=c99 -Wall -Wextra -Wpedantic -Werror -Isdk/include weights.c sdk/lib/libnet.a -pthread -lm -o weights
  ok; ./weights run/best.safetensors <five >got 2>err || fail "the program with other weights ends with $?"
  same got expected
  for bad in network short text empty bytes; do
    code 5 ./by_chance --raw --weights=wrong_$bad
    cp err err.$bad
    ok; ./weights wrong_$bad <five >out 2>err
    [ $? = 5 ] || fail "the library takes wrong_$bad"
    ok; grep -q 'the weights given' err || fail "the library says nothing of wrong_$bad"
  done
  says err.network "belongs to another genotype"
  says err.network "is missing"
  says err.short 'cut short'
  says err.text 'wrong_text'
  says err.bytes 'checksum'
  code 5 ./by_chance --raw --weights=nothing
  says err 'nothing'
}

# A network trains where there is no compiler, to the bytes of ftso train.
trainer() {
  local file cpu found tried
  make_pictures
  code 2 "$ftso" build toy.ftso found --init=0 --kind=trainer -o tune
  says err 'a trainer needs a recipe'
  code 2 "$ftso" build toy.ftso toy_train --init=0 --kind=trainer -o tune --batch=8
  says err "a trainer's batch is its recipe's"
  absent tune
  code 0 "$ftso" build toy.ftso toy_train --init=0 --kind=trainer -o tune
  code 0 ./tune --self-test
  says out 'numbers: ok'
  says out 'step: ok'
  says out 'bytes: ok'
  code 0 ./tune --info
  says out '"kind":	"trainer"'
  code 0 ./tune --help
  says out 'knows 2 classes'
  says out 'Compiled in, and the same for any data: the batch of 4'
  ok; [ "$(readelf -d tune | sed -n 's/.*NEEDED.*\[\(.*\)\]/\1/p' | sort | tr '\n' ' ')" = "libc.so.6 libm.so.6 " ] ||
    fail "the trainer needs $(readelf -d tune | grep NEEDED)"
  code 0 "$ftso" build toy.ftso toy_train --init=0 --kind=trainer -o tune
  says out 'nothing to do'
  mkdir other
  code 0 "$ftso" build toy.ftso toy_train --init=0 --kind=trainer -o other/name --no-cache
  same other/name tune

  # With an empty environment: the files that ftso train writes, whatever the threads; static too.
  code 0 "$ftso" train toy.ftso --cell found -o run -q
  code 0 env -i ./tune pics -o fine
  says out 'best: '
  same fine/weights.safetensors run/weights.safetensors
  same fine/best.safetensors run/best.safetensors
  code 0 ./tune pics -o three -q --threads=3
  ok; [ "$(cat out)" = three ] || fail "quiet prints more than the folder"
  same three/weights.safetensors run/weights.safetensors
  code 0 "$ftso" build toy.ftso toy_train --init=5 --kind=trainer -o still --static
  ok; readelf -d still | grep -q NEEDED && fail "a static trainer needs a library"
  code 0 env -i ./still pics -o still_drawn --init
  same still_drawn/weights.safetensors run/weights.safetensors
  code 0 ./still pics -o still_inside
  ok; cmp -s still_inside/weights.safetensors run/weights.safetensors && fail "the weights inside do not matter"
  code 0 "$ftso" train toy.ftso --cell found -o longer -q --set train.toy_train.epochs=3 --set train.toy_train.seed=9
  code 0 ./tune pics -o longer_here --init --epochs=3 --seed=9
  same longer_here/weights.safetensors longer/weights.safetensors

  # With everything that a recipe may have: Adam, dropped paths, an auxiliary head, label smoothing.
  sed -e 's/^    head = global_avgpool.*/&\n    aux_head {\n        after = 1\/2;\n        weight = 0.4;\n        body = relu -> conv(8, 1) -> bn -> global_avgpool -> linear(classes);\n    }/' \
    -e '/^train toy_train/,$s/optimizer = .*/optimizer = adam(lr = linear(0.01, 0.001), betas = [0.5, 0.999], weight_decay = 1e-3);\n    drop_path = 0.3;\n    aux_weight = 0.4;\n    label_smoothing = 0.1;/' toy.ftso >rich.ftso
  code 0 "$ftso" train rich.ftso --cell found -o rich_run -q --set train.toy_train.epochs=4
  code 0 "$ftso" build rich.ftso toy_train --init=0 --kind=trainer -o rich
  code 0 ./rich --self-test
  says out 'step: ok'
  code 0 ./rich pics -o rich_here -q --epochs=4
  same rich_here/weights.safetensors rich_run/weights.safetensors
  code 0 "$ftso" build rich_run --kind=trainer -o rich
  code 0 ./rich --self-test

  # What it wrote is what others read.
  code 0 "$ftso" eval toy.ftso toy_train --cell found --weights=fine/best.safetensors
  code 0 "$ftso" build toy.ftso toy_train --weights=fine/best.safetensors -o classify
  code 0 ./classify --self-test
  # Fine-tuning begins with a training's weights, inside or from a file.
  code 0 "$ftso" build run --kind=trainer -o again
  says out 'best.safetensors'
  code 0 ./again pics -o a --epochs=1 --lr=0.001
  code 0 ./tune pics -o b --epochs=1 --lr=0.001 --weights=run/best.safetensors
  same a/weights.safetensors b/weights.safetensors
  ok; cmp -s a/weights.safetensors run/best.safetensors && fail "nothing was trained"
  code 5 ./tune pics -o c --weights=toy.ftso
  absent c

  # Stopped and gone on with, twice over: the bytes of a run that was not.
  code 0 ./tune pics -o whole --epochs=80
  ./tune pics -o parts --epochs=80 >out 2>err &
  for _ in $(seq 500); do grep -q '"epoch":3' parts/events.jsonl 2>/dev/null && break; sleep 0.01; done
  kill -INT $!
  ok; wait $!; [ $? = 6 ] || fail "a trainer that was stopped does not say so"
  says err 'go on with --resume=parts'
  ok; cmp -s parts/weights.safetensors whole/weights.safetensors && fail "it was not stopped"
  code 2 flock parts/events.jsonl ./tune --resume=parts
  says err 'another process works in'
  code 0 env -i ./tune --resume=parts
  says out 'going on from step'
  for file in weights best; do same parts/$file.safetensors whole/$file.safetensors; done
  ok; [ "$(sed 's/"seconds":[0-9.]*//' parts/events.jsonl)" = "$(sed 's/"seconds":[0-9.]*//' whole/events.jsonl)" ] || fail "the logs differ"
  rm -rf parts
  code 137 bash -c './tune pics -o parts --epochs=80 & for _ in $(seq 500); do grep -q "\"epoch\":5" parts/events.jsonl 2>/dev/null && break; sleep 0.01; done; kill -KILL $!; wait $!'
  mv parts moved
  code 0 ./tune --resume=moved
  for file in weights best; do same moved/$file.safetensors whole/$file.safetensors; done
  # Results hang on the vector width: a run goes on with the code that it began with.
  code 0 "$ftso" build toy.ftso toy_train --init=0 --kind=trainer -o multi --cpu=multi
  code 0 ./multi pics -o width --cpu=x86-64-v2
  code 0 ./multi pics -o stopped --cpu=x86-64-v2
  rm -rf stopped/checkpoints/step-10 stopped/weights.safetensors
  code 0 ./multi --resume=stopped
  ok; grep -q 'another one' err && fail "the run goes on with other code"
  same stopped/weights.safetensors width/weights.safetensors

  # What does not fit is said, and leaves no folder.
  code 2 ./tune
  says err 'which images?'
  code 2 ./tune pics more
  says err 'one too many'
  code 2 ./tune pics --epochs=0
  says err '--epochs takes a number'
  code 2 ./tune pics --lr=0
  code 2 ./tune pics --seed=-1
  code 2 ./tune pics -o fine
  says err 'holds a run already'
  code 5 ./tune --resume=nothing
  says err 'holds no training'
  code 5 ./tune nowhere -o c
  says err "there is no folder 'nowhere'"
  code 5 ./tune pics --kind=video -o c
  says err 'there are cifar10, cifar100, idx, imagefolder, npy'
  code 5 ./tune pics --kind=idx -o c
  ln -s pics $'torn\nname'
  code 2 ./tune $'torn\nname' -o c
  says err 'has a line break in it'
  code 4 ./tune pics --cpu=z80 -o c
  mkdir -p odd/train odd/test
  for file in train test; do cp -r pics/$file/plain odd/$file/a; cp -r pics/$file/coloured odd/$file/b; done
  code 0 ./tune odd -o named
  ok; grep -qa '"class_names":"a\\nb\\n"' named/weights.safetensors || fail "weights without the folders' names"
  for file in train test; do cp -r pics/$file/plain odd/$file/c; done
  code 1 ./tune odd -o c
  says err 'labels go up to 2, the recipe says 2 classes'
  rm -r odd/*/b odd/*/c
  code 1 ./tune odd -o c
  says err '1 class folders, the recipe says 2 classes'
  absent c
  # Classes that the recipe names: other names only on demand.
  sed '/^dataset/,$s/classes = 2;/classes = ["coloured", "plain"];/' toy.ftso >strict.ftso
  code 0 "$ftso" build strict.ftso toy_train --init=0 --kind=trainer -o strict
  for file in train test; do cp -r pics/$file/coloured odd/$file/b; done
  code 1 ./strict odd -o c
  says err "there is a folder 'a', and no class is named so"
  absent c
  code 0 ./strict odd -o own --own-classes --epochs=1
  ok; grep -qa '"class_names":"a\\nb\\n"' own/best.safetensors || fail "weights without the data's names"

  # Changed bytes of weights and code are noticed, by the trainer itself and by ftso verify.
  code 0 "$ftso" build toy.ftso toy_train --init=0 --kind=trainer -o plain --cpu=x86-64
  code 0 "$ftso" verify plain
  says out 'stored   ok'
  says out 'results  ok: a training step'
  cp plain damaged
  flip damaged $(($(section damaged .ftso.weights) + 3)) 64
  code 70 ./damaged --self-test
  says out 'numbers: WRONG'
  says out 'step: WRONG'
  says out 'bytes: WRONG'
  code 5 "$ftso" verify damaged
  says out 'stored   WRONG'
  says out 'results  WRONG'
  cp plain damaged
  flip damaged "$(section damaged .ftso.test.step)" 1
  code 70 ./damaged --self-test
  says out 'bytes: WRONG'
  change_instructions plain "$(places plain mulps | awk 'NR % 9 == 1' | head -n 30)" 'step: WRONG' ./damaged --self-test
  ok; [ "$tried" -gt 3 ] && [ "$found" -gt $((tried / 3)) ] || fail "of $tried changed instructions $found were noticed in the step"
  code 5 "$ftso" verify damaged
  says out 'bytes    WRONG'
  echo "build: of $tried changed instructions $found were noticed in the numbers of a step"
  ok; [ -z "$(ls "$TMPDIR")" ] || fail "scratch folders are left behind"
}

case $part in
  exe | cross | trained | trainer | pictures | multi | library | verify | text) $part ;;
  *) echo "build: no part '$part'"; exit 2 ;;
esac
echo "build: $part: $checked checks, $failed failed"
[ $failed = 0 ] && [ $checked -gt 10 ]
