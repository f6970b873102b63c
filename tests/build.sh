#!/usr/bin/env bash
# Artefacts as their user meets them: built, run, damaged, built again.
#   build.sh exe|cross   SOURCE_DIR FTSO
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
# places FILE MNEMONIC: file offsets of such instructions in the code.
places() {
  local shift=$(($(section "$1" .text) - $(section "$1" .text 2))) address
  objdump -d --no-show-raw-insn -j .text "$1" | awk -v word="$2" '$2 == word { sub(":", "", $1); print $1 }' |
    while read -r address; do echo $((16#$address + shift)); done
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
  local at found=0 tried=0
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
  code 0 "$ftso" build toy.ftso --init=1 -o plain --cpu=x86-64
  code 0 ./plain --self-test
  for at in $(places plain mulps | head -n 40); do
    cp plain damaged
    # mulps is 0f 59, addps 0f 58, perhaps with a prefix before them
    [ "$(od -An -tx1 -j "$at" -N 2 damaged | tr -d ' ')" = 0f59 ] || at=$((at + 1))
    flip damaged $((at + 1)) 1
    ./damaged --self-test >out 2>err && fail "one instruction at $at was changed unnoticed"
    ok; tried=$((tried + 1))
    grep -q 'numbers: WRONG' out && found=$((found + 1))
  done
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

# For other systems, under an emulator; one that is not installed is said, not passed over.
cross() {
  local system machine package emulator
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
    code 0 "$ftso" build toy.ftso --init=1 -o still --target=$system --static
    code 0 $emulator ./still --self-test
    rm -f there again
  done
}

case $part in
  cross | exe) $part ;;
  *) echo "build: no part '$part'"; exit 2 ;;
esac
echo "build: $part: $checked checks, $failed failed"
[ $failed = 0 ] && [ $checked -gt 10 ]
