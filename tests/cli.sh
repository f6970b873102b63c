#!/usr/bin/env bash
# The program as its user meets it: verbs, exit codes, run directories, stages, streams, signals.
#   cli.sh weights|verbs|codes|files|runs|stages|streams|train|kills|cache|limits|pictures   SOURCE_DIR FTSO
# In: the built program. Out: one line with the number of checks; every failed one before it. Works in a scratch folder
# with a cache of its own, on a small IDX set that it makes itself.
set -uo pipefail
part=$1 root=$(cd "$2" && pwd) ftso=$(realpath "$3")
export LC_ALL=C TERM=dumb
# Trainings sync every file they save: in memory, where there is such a place, that takes no time.
case $part in train | kills | weights) [ -d /dev/shm ] && [ -w /dev/shm ] && export TMPDIR=/dev/shm ;; esac
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
export HOME=$scratch XDG_CACHE_HOME=$scratch/cache
cd "$scratch" || exit 1
checked=0 failed=0

fail() { failed=$((failed + 1)); echo "cli: $*"; sed 's/^/    /' err 2>/dev/null | head -n 8; }
ok() { checked=$((checked + 1)); }
# code CODE COMMAND...: runs it with stdout in `out` and stderr in `err`; the exit code must be CODE.
code() {
  local want=$1 got
  shift
  ok
  "$@" >out 2>err
  got=$?
  [ "$got" = "$want" ] || fail "exit code $got instead of $want: $*"
}
says() { ok; grep -qF -- "$2" "$1" || fail "'$2' is not in $1 of the last command"; }
silent() { ok; [ ! -s "$1" ] || fail "$1 of the last command is not empty"; }
same() { ok; cmp -s "$1" "$2" || fail "$1 and $2 differ"; }
holds() { ok; [ -s "$1" ] || fail "$1 is missing or empty"; }
absent() { ok; [ ! -e "$1" ] || fail "$1 is there"; }

bytes() { printf '%b' "$(printf '\\x%02x' "$@")"; }
# An IDX set of 1024 small images: noise that depends on the label, the same on every machine.
make_images() {
  mkdir -p images
  { bytes 0 0 8 3 0 0 4 0 0 0 0 12 0 0 0 12
    LC_ALL=C awk 'BEGIN { s = 7; for (i = 0; i < 1024 * 144; i++) {
      s = (s * 16807) % 2147483647; printf "%c", 1 + (s % 90) + (i % 144 < 14 * (int(i / 144) % 9) ? 30 : 0) } }'
  } >images/train-images-idx3-ubyte
  { bytes 0 0 8 1 0 0 4 0; LC_ALL=C awk 'BEGIN { for (i = 0; i < 1024; i++) printf "%c", 1 + i % 9 }'
  } >images/train-labels-idx1-ubyte
  cp images/train-images-idx3-ubyte images/t10k-images-idx3-ubyte
  cp images/train-labels-idx1-ubyte images/t10k-labels-idx1-ubyte
}
# The toy search on these images: a file that includes one in a folder.
make_toy() {
  make_images
  mkdir -p spaces/parts
  "$ftso" new toy >whole.ftso
  sed -n '/^ftso 1/p; /^op /p; /^opset /p' whole.ftso >spaces/parts/ops.ftso
  { echo 'ftso 1;'; echo 'include "parts/ops.ftso";'; sed '/^ftso 1/d; /^op /d; /^opset /d' whole.ftso; } |
    sed -e 's/\[1, 28, 28\]/[1, 12, 12]/; s/\[60000, 10000\]/[1024, 1024]/; s/crop(28, pad = 2)/crop(12, pad = 2)/' \
        -e 's/batch = 128/batch = 32/; s|/usr/share/datasets/fashion-mnist|images|' >spaces/toy.ftso
}
toy=spaces/toy.ftso
examples() { "$ftso" new | awk '{print $1}'; }

verbs() {
  code 0 "$ftso" --help
  says out 'Usage: ftso VERB'
  says out 'ftso search examples/fashion.ftso'
  code 2 "$ftso"
  says err 'Usage: ftso VERB'
  code 0 "$ftso" --version
  local verb
  for verb in $("$ftso" --help | sed -n 's/^  \([a-z]*\)  *[a-z].*/\1/p'); do
    [ "$verb" = ftso ] && continue
    code 0 "$ftso" "$verb" --help
    says out "Usage: ftso $verb"
    ok; grep -q '^Example' out || fail "ftso $verb --help shows no example"
    silent err
    code 2 "$ftso" "$verb" --nonsense
    says err "there is no option '--nonsense'"
    # What the help shows must be there.
    local file
    for file in $("$ftso" "$verb" --help | grep -oE 'examples/[a-z0-9_/]+\.ftso'); do
      ok; [ -f "$root/$file" ] || fail "ftso $verb --help names $file, which is not there"
    done
  done
  [ "$checked" -gt 40 ] || fail "few verbs were found in --help"
  code 2 "$ftso" serch
  says err "did you mean 'search'"
  code 2 "$ftso" search --ouput=x some.ftso
  says err "did you mean 'output'"
  code 2 "$ftso" check some.ftso --dump=grap
  says err "did you mean 'graph'"
  code 2 "$ftso" new tou
  says err "did you mean 'toy'"
  code 2 "$ftso" search
  code 2 "$ftso" search a.ftso b c
  code 2 "$ftso" search --threads=0 a.ftso
  code 2 "$ftso" search --progress=loud a.ftso
  code 2 "$ftso" check --step=left a.ftso
  code 2 "$ftso" bench --clock=sun a.ftso
  code 2 "$ftso" check --disable=place2 a.ftso
  code 2 "$ftso" show x --format=png
  code 2 "$ftso" count --kernel=0 a.ftso
  code 2 "$ftso" doctor now
  # bench: both kinds of subject, each with its own steps
  nb201=$root/examples/nasbench201.ftso
  code 0 "$ftso" bench "$nb201" NB201_ALL_SKIP --network --batch=2 --repeat=1 --regions
  says out 'train step, region by region'
  says out 'infer step, region by region'
  says out 'images/s, batch 2'
  code 2 "$ftso" bench "$nb201" NB201_ALL_SKIP --network --step=arch
  code 2 "$ftso" bench "$toy" --step=infer
  code 2 "$ftso" bench "$nb201" NB201_ALL_SKIP --network --batch=0
  # the error of images as bf16, in a step and in inference; another precision is told its remedy
  code 0 "$ftso" bench "$nb201" NB201_ALL_SKIP --network --batch=2 --repeat=1 --precision=bf16
  says out 'error    train beside fp32: logits'
  says out 'error    infer beside fp32: logits'
  code 0 "$ftso" bench "$root/examples/toy.ftso" --step=arch --batch=4 --repeat=1 --set search.toy_search.precision=bf16
  says out 'arch.m'
  code 1 "$ftso" bench "$root/examples/toy.ftso" --set search.toy_search.precision=fp61
  says err 'it is `fp32` or `bf16`'
  code 2 "$ftso" bench "$root/examples/toy.ftso" --precision=fp61
  says err '--precision takes fp32 or bf16, not'
  code 2 "$ftso" bench "$nb201" NB201_ALL_SKI --network
  says err "did you mean 'NB201_ALL_SKIP'"
  code 0 "$ftso" doctor
  says out 'processor'
  code 0 "$ftso" explain
  local number
  for number in $(awk '{print $1}' out); do
    code 0 "$ftso" explain "$number"
    says out "$number: "
  done
  code 2 "$ftso" explain E9999
  code 0 bash -c "PATH=$(dirname "$ftso"):\$PATH; $("$ftso" explain --help | sed -n 's/^Example: //p')"
}

codes() {
  make_toy
  code 0 "$ftso" check "$toy"
  printf 'ftso 1;\nop skip(C, s) = identiti;\n' >broken.ftso
  code 1 "$ftso" check broken.ftso
  says err 'broken.ftso:2:17'
  code 1 "$ftso" search broken.ftso
  code 1 "$ftso" search "$toy" --set search.toy_search.bach=3
  says err 'did you mean `batch`'
  # What would be too large is told before an image is read.
  sed 's/^ *method = ftso;/&\n    require = params < 10;/' "$toy" >spaces/large.ftso
  code 1 "$ftso" check spaces/large.ftso
  says err 'E0511'
  code 1 "$ftso" search spaces/large.ftso -o large --data=nowhere
  says err 'would be larger than required'
  absent large
  code 1 "$ftso" search "$toy" --set serch.toy_search.batch=3
  says err 'did you mean `search`'
  code 1 "$ftso" search "$toy" --set search.toy_search.batch=0
  code 2 "$ftso" search "$toy" --frobnicate
  code 2 "$ftso" search "$toy" toy_serch
  says err "did you mean 'toy_search'"
  code 2 "$ftso" search "$toy" --cpu=z80
  code 5 "$ftso" check nowhere.ftso
  says err 'No such file'
  code 5 "$ftso" search "$toy" --data=nowhere
  says err '--data'
  says err 'dataset-fashion-mnist'
  absent runs
  cp -r images short
  truncate -s 9000 short/train-images-idx3-ubyte
  code 5 "$ftso" search "$toy" --data=short
  says err 'train-images-idx3-ubyte'
  cp -r images page
  echo '<!DOCTYPE html><html>404</html>' >page/train-labels-idx1-ubyte
  code 5 "$ftso" search "$toy" --data=page
  absent runs
  code 5 "$ftso" search "$toy" -o /proc/ftso/run
  code 0 "$ftso" doctor
  if grep -q '^absent *x86-64-v4' out; then
    code 4 "$ftso" search "$toy" --cpu=x86-64-v4
    says err 'avx512'
    code 4 "$ftso" bench "$toy" --cpu=x86-64-v4
    absent runs
  fi
  code 0 "$ftso" check "$toy" --cpu=x86-64-v4 --stop-after=asm # to look at, not to run

  # What does not fit: a file that may not grow. Nothing half-written stays under a name that is read.
  code 3 bash -c "ulimit -f 1; '$ftso' search $toy --no-cache -o small"
  says err 'File too large'
  absent small/run.json
  code 2 "$ftso" search "$toy" -o small
  # Two at once into one folder: one runs, one is refused.
  local first second
  "$ftso" search "$toy" -q -o both >/dev/null 2>&1 &
  first=$!
  "$ftso" search "$toy" -q -o both >/dev/null 2>&1 &
  second=$!
  wait $first; first=$?
  wait $second; second=$?
  ok; [ $((first + second)) = 2 ] && [ $first != $second ] || fail "two searches into one folder: $first and $second"

  # Stopped by a signal: what was found is kept, and said.
  local signal
  for signal in INT TERM HUP; do
    "$ftso" search "$toy" -o "stopped-$signal" --set 'search.toy_search.topology.budget=4000 epochs' >kept.out 2>kept.err &
    local process=$! got
    for _ in $(seq 100); do
      grep -qs '"event":"iteration"' "stopped-$signal/events.jsonl" && break
      sleep 0.1
    done
    kill "-$signal" $process
    wait $process
    got=$?
    ok; [ $got = 6 ] || fail "exit code $got instead of 6 after SIG$signal"
    says kept.err "what was found so far is in stopped-$signal"
    says "stopped-$signal/events.jsonl" '"event":"interrupted"'
    says "stopped-$signal/run.json" '"interrupted":	true'
    holds "stopped-$signal/genotype.json"
    code 0 "$ftso" show "stopped-$signal"
    code 2 "$ftso" search "$toy" -o "stopped-$signal"
    says err 'holds a run already'
  done
}

files() {
  local name file
  ok; grep -q '…' "$root/examples/pictures.ftso" || fail "no example has letters that are not ASCII"
  for name in $(examples); do
    code 0 "$ftso" new "$name"
    cp out new.ftso
    code 0 "$ftso" check new.ftso
    says out 'nothing wrong'
    # Canonical layout: the shipped file is in it already, formatting is idempotent, comments stay, meaning stays.
    file=$root/examples/$name.ftso
    ok; [ -z "$(grep -v '^include' "$file" | grep -vxFf new.ftso)" ] || fail "ftso new $name prints other bytes than the file has"
    code 0 "$ftso" fmt --check "$file"
    code 0 "$ftso" fmt new.ftso
    cp out once.ftso
    code 0 "$ftso" fmt once.ftso
    same out once.ftso
    ok; [ "$(grep -c '#' new.ftso)" = "$(grep -c '#' once.ftso)" ] || fail "fmt lost comments of $name"
    code 0 "$ftso" check once.ftso --dump=space
    cp out after
    code 0 "$ftso" check new.ftso --dump=space
    same out after
  done
  [ "$checked" -gt 50 ] || fail "few examples were found"
  sed 's/^ *//' once.ftso >crooked.ftso
  code 1 "$ftso" fmt --check crooked.ftso
  silent out
  code 0 "$ftso" fmt -i crooked.ftso
  code 0 "$ftso" fmt --check crooked.ftso
  code 0 "$ftso" fmt - <once.ftso
  same out once.ftso
  code 2 "$ftso" fmt -i - <once.ftso
  printf 'ftso 1;\nop (;\n' >broken.ftso
  cp broken.ftso before
  code 1 "$ftso" fmt -i broken.ftso
  same broken.ftso before
  # Facts: DARTS V2 at 36 channels and 20 cells has 3.35 M parameters and 528 M multiply-adds.
  code 0 "$ftso" count "$root/examples/published.ftso"
  ok; grep -Eq 'DARTS_V2 +3349342 +528359050 ' out || fail "count does not know DARTS_V2"
  code 0 "$ftso" count "$root/examples/darts.ftso"
  says out '14 edges'
  says out '1.907e-08 of the parameters, 9.765e-06 of the operations'
  code 0 "$ftso" check "$root/examples/toy.ftso"
  silent err
  "$ftso" new toy >piped.ftso
  code 0 "$ftso" check - <piped.ftso
}

json() { # every line of the file, or with "whole" the file as one, is one JSON value
  local text
  if [ "${2:-}" = whole ]; then text=$(tr '\n\t' '  ' <"$1"); else text=$(cat "$1"); fi
  ok
  [ -n "$text" ] && ! sed -E 's/"([^"\\]|\\(["\\\/bfnrt]|u[0-9a-fA-F]{4}))*"/S/g
    s/-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][-+]?[0-9]+)?/V/g; s/true|false|null/V/g; s/ //g
    :a; s/\[([VS](,[VS])*)?\]/V/g; s/\{(S:[VS](,S:[VS])*)?\}/V/g; ta' <<<"$text" | grep -vqx V || fail "$1 is not JSON"
}
masked() { sed -E 's/"seconds":[[:space:]]*[0-9.e+-]+/"seconds":0/' "$1"; }

runs() {
  make_toy
  code 0 "$ftso" search "$toy" --threads=1
  local run=runs/toy_search file
  says out "ftso show $run"
  says out 'Genotype(normal='
  says out 'softmax over each node'
  says err 'search  1/6'
  ok; head -n 1 err | grep -Eq '^memory  [0-9.]+ MiB planned$' || fail "the memory plan is not the first line on stderr"
  for file in genotype.json genotype.txt cell-normal.svg run.json events.jsonl toy.ftso parts/ops.ftso next.txt; do
    holds "$run/$file"
  done
  ok; [ "$(find $run -type f | wc -l)" = 8 ] || fail "$run holds more or less than 8 files: $(find $run -type f)"
  json $run/events.jsonl
  json $run/genotype.json whole
  json $run/run.json whole
  local torn
  for torn in '{"a":[1,2' '{"a":1,}' '{a:1}' '[01]' '{"a":1} x'; do # what the JSON check must refuse
    echo "$torn" >torn.json
    ok; (failed=0; json torn.json >/dev/null; [ $failed = 1 ]) || fail "'$torn' passes as JSON"
  done
  ok; [ "$(grep -c '"event":"iteration"' $run/events.jsonl)" = 6 ] || fail "the log has not one line per iteration"
  same $run/toy.ftso "$toy"
  ok; grep -rqF "$scratch" $run && fail "$run names a place outside itself"
  says $run/cell-normal.svg '</svg>'

  # show gives back what the search wrote, also from elsewhere.
  mkdir away && cp -r $run away/moved
  for run in runs/toy_search away/moved; do
    code 0 "$ftso" show $run --format=json
    same out $run/genotype.json
    code 0 "$ftso" show $run -f darts
    same out $run/genotype.txt
    code 0 "$ftso" show $run -f svg
    same out $run/cell-normal.svg
    code 0 "$ftso" show $run
    says out 'cell normal'
  done
  ok; "$ftso" show $run -f nb201 >out 2>err && fail "a cell of two inputs has no NAS-Bench-201 string"
  says err 'one cell with one input'
  code 2 "$ftso" show runs/toy_search more
  ok; [ "$(cat away/moved/next.txt)" = 'ftso show runs/toy_search' ] || fail "next.txt names another command"
  code 0 bash -c "PATH=$(dirname "$ftso"):\$PATH; $(cat away/moved/next.txt)"

  # The same bytes again: another call, two threads.
  code 0 "$ftso" search "$toy" --threads=2 -q
  [ "$(cat out)" = runs/toy_search-2 ] || fail "the second run is not runs/toy_search-2"
  code 0 "$ftso" search "$toy" --threads=1 -q -o again/deep
  for run in runs/toy_search-2 again/deep; do
    same $run/genotype.json runs/toy_search/genotype.json
    for file in events.jsonl run.json; do
      masked $run/$file >a
      masked runs/toy_search/$file >b
      same a b
    done
  done
  code 0 "$ftso" search "$toy" -q --set 'search.toy_search.seeds=[5, 6]'
  ok; cmp -s runs/toy_search-3/events.jsonl runs/toy_search/events.jsonl && fail "other seeds give the same log"
  masked runs/toy_search/run.json >before
  code 2 "$ftso" search "$toy" -o runs/toy_search
  says err 'holds a run already'
  masked runs/toy_search/run.json >a
  same a before

  # What was set on the command line belongs to the run; standard input is kept as a file.
  code 0 "$ftso" search "$toy" -q --set space.toy.cell.normal.nodes=3
  code 0 "$ftso" show "$(cat out)"
  says out 'out = concat 2, 3, 4'
  sed '/include/d' "$toy" | cat spaces/parts/ops.ftso - | sed '2,$ { /^ftso 1/d }' >whole.ftso
  code 0 "$ftso" search -q - <whole.ftso
  run=$(cat out)
  holds "$run/space.ftso"
  code 0 "$ftso" show "$run"
  # A damaged run says so.
  echo '{}' >"$run/run.json"
  code 5 "$ftso" show "$run"
  code 5 "$ftso" show runs/nothing
}

stages() {
  make_toy
  local all stage pass
  all=$("$ftso" check --help | tr '\n' ' ' | sed -n 's/.*Stages, in order: \([^.]*\)\..*/\1/p' | tr -d ',')
  ok; [ "$(wc -w <<<"$all")" -ge 9 ] || fail "--help lists no stages: '$all'"
  for stage in $all; do
    code 0 "$ftso" check "$toy" "--dump=$stage" "--stop-after=$stage"
    holds out
    code 0 "$ftso" check "$toy" "--stop-after=$stage"
    silent out
    code 0 "$ftso" search "$toy" "--dump=$stage" "--stop-after=$stage"
    holds out
    absent runs
  done
  code 0 "$ftso" check "$toy" --dump=graph --step=weights
  cp out weights
  code 0 "$ftso" check "$toy" --dump=graph --step=arch
  ok; cmp -s out weights && fail "both steps have the same graph"
  code 0 "$ftso" check "$toy" --time
  for stage in $(sed 's/ llvm asm//; s/plan/emit optimise link/' <<<"$all"); do
    ok; grep -Eq "^time .* $stage +[0-9.]+ ms" err || fail "--time does not show $stage"
  done
  says err 'different'

  # bench: the plan before anything runs, and what it came to; each region beside its ceiling and the bytes it must move.
  code 0 "$ftso" bench "$toy" --repeat=1 --clock=processor --threads=1
  says out 'images/s, batch 32'
  code 0 "$ftso" bench "$toy" --repeat=1 --regions
  ok; sed -n 2p out | grep -Eq '^memory +[0-9.]+ MiB planned, [0-9.]+ MiB taken$' || fail "bench does not say its memory"
  ok; grep -Eq '^ceilings +[0-9]+ GFLOP/s, [0-9.]+ to [0-9.]+ GB/s, measured beside the runs' out ||
    fail "bench does not say its ceilings"
  ok; [ "$(grep -Ec '^[0-9]+\.[0-9]% of the step is spent in regions below half of their nearer ceiling$' out)" = 2 ] ||
    fail "bench does not sum up the slow regions of both steps"
  ok; [ "$(awk '$4 ~ /%$/ && $5 >= 1 { n++ } $4 ~ /%$/ && $5 < 1 { n = -1000 } END { print (n > 10) }' out)" = 1 ] ||
    fail "bench has regions that move less than they must, or few"

  # Nothing that can be left out changes what is found.
  code 0 "$ftso" search "$toy" -q -o with
  local left_out=0
  for pass in $all prologue epilogue horizontal chained; do
    "$ftso" check "$toy" "--disable=$pass" --stop-after=ast >/dev/null 2>&1 || continue # a stage that must run
    left_out=$((left_out + 1))
    code 0 "$ftso" search "$toy" -q -o "without-$pass" "--disable=$pass"
    code 0 "$ftso" show "without-$pass" -f darts
    same out with/genotype.txt
  done
  ok; [ $left_out -ge 6 ] || fail "only $left_out passes can be left out"
  code 0 "$ftso" search "$toy" -q -o reference --device=reference
  code 0 "$ftso" show reference -f darts
  same out with/genotype.txt
}

streams() {
  make_toy
  local line tty='script -qec'
  code 3 bash -c "'$ftso' search $toy >/dev/full"
  says err 'cannot write to standard output'
  code 3 bash -c "'$ftso' check $toy --dump=asm >/dev/full"
  code 3 bash -c "'$ftso' --help >/dev/full"
  code 3 bash -c "'$ftso' search $toy >&-"
  json runs/toy_search/events.jsonl # nothing of stdout got into a file
  code 0 bash -c "'$ftso' search $toy 2>&- <&-"
  json runs/toy_search-3/events.jsonl
  json runs/toy_search-3/run.json whole
  code 0 bash -c "set +o pipefail; '$ftso' check $toy --dump=llvm | head -n 1"
  silent err

  # Progress: lines where nobody watches, a bar on a terminal.
  code 0 "$ftso" search "$toy"
  ok; grep -q $'\r\|\033' err && fail "control characters in a file"
  code 0 "$ftso" search "$toy" --progress=none
  silent err
  code 0 "$ftso" search "$toy" -q
  silent err
  if command -v script >/dev/null; then
    code 0 env -u CI TERM=xterm $tty "'$ftso' search $toy" /dev/null
    ok; grep -q $'\r\033\\[K' out || fail "no bar on a terminal"
    for line in TERM=dumb CI=true; do
      code 0 env -u CI TERM=xterm $line $tty "'$ftso' search $toy" /dev/null
      ok; grep -q $'\033' out && fail "control characters with $line"
      says out 'search  1/6'
    done
    printf 'ftso 1;\nop skip(C, s) = identiti;\n' >broken.ftso
    code 1 env TERM=xterm $tty "'$ftso' check broken.ftso" /dev/null
    ok; grep -q $'\033' out || fail "no colours on a terminal"
    for line in TERM=dumb NO_COLOR=1; do
      code 1 env TERM=xterm $line $tty "'$ftso' check broken.ftso" /dev/null
      ok; grep -q $'\033' out && fail "colours with $line"
    done
  fi
}

# The toy space with a published cell and a recipe of a second or so: 11 steps an epoch.
make_recipe() {
  make_toy
  sed -i '/^train toy_train/,/^}/d' "$toy"
  cat >>"$toy" <<END
genotype tiny : toy = Genotype(normal=[('conv_3x3', 0), ('conv_3x3', 2)], normal_concat=range(2, 4));
train tiny_train {
    space = toy;
    cell = tiny;
    dataset = fashion_mnist;
    epochs = 3;
    batch = 96;
    drop_path = 0.2;
    optimizer = sgd(lr = cosine(0.1, 0), momentum = 0.9, weight_decay = 3e-4, clip = 5);
    seed = 0;
    checkpoint {
        every = ${1:-1000} iterations;
    }
}
END
}
# Until the run in that folder has finished an epoch, or four seconds have passed.
await_epoch() {
  for _ in $(seq 200); do
    grep -qs '"event":"epoch"' "$1/events.jsonl" && break
    sleep 0.02
  done
}

# Two runs that must have come to the same: every byte but the seconds.
same_runs() {
  local file
  for file in weights.safetensors best.safetensors curves.svg genotype.json; do same "$1/$file" "$2/$file"; done
  for file in events.jsonl run.json; do
    masked "$1/$file" >a
    masked "$2/$file" >b
    same a b
  done
}

train() {
  make_recipe
  # images kept as bf16, in training and whatever judges it
  code 0 "$ftso" train "$toy" -q -o narrow --set train.tiny_train.precision=bf16 --set train.tiny_train.epochs=1
  code 0 "$ftso" eval narrow
  says out 'top-1'
  code 0 "$ftso" train "$toy" --threads=1
  local run=runs/tiny_train file form
  says out 'ftso eval runs/tiny_train'
  says out 'GB of plan'
  says err 'train  '
  ok; grep -q 'ETA' err || fail "no ETA"
  for file in genotype.json genotype.txt cell-normal.svg run.json events.jsonl toy.ftso parts/ops.ftso next.txt curves.svg \
    weights.safetensors best.safetensors checkpoints/step-000000000033/manifest; do
    holds "$run/$file"
  done
  json $run/events.jsonl
  json $run/run.json whole
  says $run/curves.svg '</svg>'
  ok; [ "$(grep -c '"event":"epoch"' $run/events.jsonl)" = 3 ] || fail "the log has not one line per epoch"
  ok; grep -rqF "$scratch" $run && fail "$run names a place outside itself"
  ok; [ "$(cat $run/next.txt)" = 'ftso eval runs/tiny_train' ] || fail "next.txt names another command"
  code 0 "$ftso" show $run -f darts
  same out $run/genotype.txt
  code 0 "$ftso" train "$toy" --threads=2 -q
  same_runs $run "$(cat out)"

  # What eval says is what training said, and what its own answers say.
  local top1
  top1=$(sed -nE 's/.*"epoch":3,.*"test_top1":([0-9.]+),.*/\1/p' $run/events.jsonl)
  code 0 "$ftso" eval $run --json --predictions=said
  cp out result
  says out "\"top1\":$top1,"
  json out
  ok; [ "$(awk -v top1="$top1" '{ n += $1 == 1 + (NR - 1) % 9 } END { print NR == 1024 && n == top1 * NR }' said)" = 1 ] ||
    fail "the predictions are not those that were counted"
  code 0 "$ftso" eval $run/weights.safetensors --json
  same out result
  code 0 "$ftso" eval "$toy" --weights=$run/weights.safetensors --json
  same out result
  code 0 "$ftso" eval $run/best.safetensors
  says out 'top-5'
  says out 'answers (across)'
  code 0 "$ftso" eval $run --device=reference
  says out "$(awk -v t="$top1" 'BEGIN { printf "top-1   %.2f %%", 100 * t }')"

  # Every way to say which cell.
  code 0 "$ftso" search "$toy" -q -o found
  for form in found tiny found/genotype.json "$(cat found/genotype.txt)"; do
    code 0 "$ftso" train "$toy" -q --cell="$form" -o again --set train.tiny_train.epochs=1
    code 0 "$ftso" show again -f darts
    [ "$form" = tiny ] || same out found/genotype.txt
    rm -rf again
  done
  code 2 "$ftso" train "$toy" --cell=tinny
  says err "did you mean 'tiny'"
  code 1 "$ftso" train "$toy" --cell='Genotype(normal=1)'
  code 2 "$ftso" train "$toy" tiny_tran
  says err "did you mean 'tiny_train'"
  sed '/cell = tiny/d; /^genotype/d' "$toy" >spaces/bare.ftso
  code 2 "$ftso" train spaces/bare.ftso
  says err '--cell'
  code 5 "$ftso" train "$toy" --data=nowhere -o none
  code 1 "$ftso" train "$toy" -o none --set 'train.tiny_train.require=params < 1 M and macs < 2'
  says err 'require'
  absent none

  # Weights of another network are told apart; so is what is no weights file at all.
  sed 's/        channels = 8;/        channels = 12;/' "$toy" >spaces/wide.ftso
  code 5 "$ftso" eval spaces/wide.ftso --weights=$run/weights.safetensors
  says err 'another network'
  says err 'wanted is'
  code 5 "$ftso" eval "$toy" --weights="$toy"
  code 2 "$ftso" eval "$toy"
  code 2 "$ftso" eval found
  says err 'has no weights'
  code 5 "$ftso" eval nowhere

  # A loss that is no number any more: the step and the epoch are named.
  code 1 "$ftso" train "$toy" -o wild --set 'train.tiny_train.optimizer=sgd(lr = 1000, momentum = 0.99)'
  says err 'of epoch 1'
  absent wild/weights.safetensors

  # Stopped by a signal: saved, said, and gone on with elsewhere to the same end.
  local signal process got
  code 0 "$ftso" train "$toy" -q -o straight --set train.tiny_train.epochs=60
  for signal in INT TERM HUP; do
    "$ftso" train "$toy" -o "stopped-$signal" --set train.tiny_train.epochs=60 >kept.out 2>kept.err &
    process=$!
    await_epoch "stopped-$signal"
    kill -STOP $process # so that it is still there
    code 2 "$ftso" resume "stopped-$signal"
    says err 'another process works'
    kill "-$signal" $process
    kill -CONT $process
    wait $process
    got=$?
    ok; [ $got = 6 ] || fail "exit code $got instead of 6 after SIG$signal"
    says kept.err "ftso resume stopped-$signal"
    says "stopped-$signal/events.jsonl" '"event":"interrupted"'
    says "stopped-$signal/run.json" '"interrupted":	true'
    holds "stopped-$signal/weights.safetensors"
    code 2 "$ftso" train "$toy" -o "stopped-$signal"
    says err 'holds a run already'
    mkdir -p moved && mv "stopped-$signal" moved/
    code 0 "$ftso" resume "moved/stopped-$signal" --threads=2
    says out 'going on from step'
    same_runs straight "moved/stopped-$signal"
  done
  # Where another level serves by default, a run goes on with code of the one that it began with. Twenty channels take up more room
  # in whole vectors of sixteen than in halves.
  local cpu
  sed 's/        channels = 8;/        channels = 20;/' "$toy" >spaces/twenty.ftso
  for cpu in x86-64 x86-64-v3 x86-64-v4 znver4; do
    "$ftso" bench "$toy" --cpu=$cpu --step=arch --batch=4 --repeat=1 >out 2>err
    [ $? != 4 ] || continue # not this machine
    code 0 "$ftso" train spaces/twenty.ftso -q -o "straight-$cpu" --cpu=$cpu --set train.tiny_train.epochs=40
    "$ftso" train spaces/twenty.ftso -o "stopped-$cpu" --cpu=$cpu --set train.tiny_train.epochs=40 >kept.out 2>kept.err &
    process=$!
    await_epoch "stopped-$cpu"
    kill -INT $process
    wait $process
    got=$?
    ok; [ $got = 6 ] || fail "exit code $got instead of 6 after SIGINT with $cpu"
    code 0 "$ftso" resume "stopped-$cpu"
    same_runs "straight-$cpu" "stopped-$cpu"
  done

  # Under nohup SIGHUP stays ignored.
  (trap '' HUP; exec "$ftso" train "$toy" -q -o hung --set train.tiny_train.epochs=60) >kept.out 2>kept.err &
  process=$!
  await_epoch hung
  kill -HUP $process
  wait $process
  got=$?
  ok; [ $got = 0 ] || fail "exit code $got: an ignored SIGHUP ended the training"
  same_runs straight hung

  code 0 "$ftso" resume straight
  says out 'is done already'
  code 2 "$ftso" resume found
  says err 'only trainings can be resumed'
  code 5 "$ftso" resume nowhere
  # A full disk ends no training that can still be saved later, and what cannot be saved at the end is said.
  code 3 bash -c "ulimit -f 12; '$ftso' train $toy -o full --no-cache"
  says err 'could not be saved, the run goes on'
  says err 'best.safetensors'
  says err 'File too large'
  absent full/weights.safetensors
  code 0 "$ftso" resume full
  same_runs $run full
}

# Killed at fifty moments, most of them during saves; a damaged checkpoint on the way.
kills() {
  make_recipe 1 # saves after every step
  local begun ended span moment process kill=0 lives=0 run=killed-1
  begun=$(date +%s%N)
  code 0 "$ftso" train "$toy" -q -o straight --set train.tiny_train.epochs=8
  ended=$(date +%s%N)
  span=$(((ended - begun) / 6000000)) # a sixth of a whole run, in milliseconds
  RANDOM=11
  while [ $kill -lt 50 ]; do
    if [ -f $run/run.json ]; then
      "$ftso" resume $run -q >out 2>err &
    else
      rm -rf $run
      "$ftso" train "$toy" -q -o $run --set train.tiny_train.epochs=8 >out 2>err &
    fi
    process=$!
    moment=$((RANDOM % (span + 1)))
    sleep "$(printf '%d.%03d' $((moment / 1000)) $((moment % 1000)))"
    if kill -KILL $process 2>/dev/null; then kill=$((kill + 1)); fi
    wait $process 2>/dev/null
    case $? in
      137) ;;
      0) lives=$((lives + 1)) && same_runs straight $run && run=killed-$((lives + 1)) ;;
      *) fail "a resumed run failed"; break ;;
    esac
  done
  [ -f $run/run.json ] || { rm -rf $run; "$ftso" train "$toy" -q -o $run --set train.tiny_train.epochs=8; }
  sed -i 's/"done":	true/"done":	false/' $run/run.json
  echo half >$run/curves.svg.4711.tmp
  code 0 "$ftso" resume $run
  same_runs straight $run
  ok; [ -z "$(find $run -name '*tmp*')" ] || fail "temporary files stay: $(find $run -name '*tmp*')"

  # The newest checkpoint damaged: a note, and the same end from the one before.
  cp -r $run hurt
  sed -i 's/"done":	true/"done":	false/' hurt/run.json
  local newest
  newest=$(ls hurt/checkpoints | tail -n 1)
  truncate -s 700 "hurt/checkpoints/$newest/tensors.safetensors"
  code 0 "$ftso" resume hurt
  says err 'is passed over'
  says err "$newest/tensors.safetensors"
  same_runs straight hurt
  for newest in hurt/checkpoints/*; do : >"$newest/manifest"; done
  sed -i 's/"done":	true/"done":	false/' hurt/run.json
  code 5 "$ftso" resume hurt
  says err 'is whole'
}

cache() {
  make_toy
  local i processes=() got bad=0
  for i in $(seq "${CLI_PARALLEL:-50}"); do
    "$ftso" check "$toy" --time --threads=1 >/dev/null 2>"err.$i" &
    processes+=($!)
  done
  for i in "${processes[@]}"; do
    wait "$i" || bad=$((bad + 1))
  done
  ok; [ $bad = 0 ] || fail "$bad parallel calls failed"
  ok; [ -z "$(find cache -name '*.tmp*')" ] || fail "temporary files stay in the cache"
  code 0 "$ftso" check "$toy" --time
  ok; grep -Eq '([0-9]+) of them different, \1 from the cache' err || fail "the cache does not hold all regions"
  local regions
  regions=$(sed -nE 's/.* ([0-9]+) of them different.*/\1/p' err)
  ok; [ "$(find cache -type f | wc -l)" -ge "$regions" ] || fail "fewer files than regions"

  # Damage heals: the same cell, and whole entries afterwards.
  code 0 "$ftso" search "$toy" -q -o whole
  i=0
  while read -r got; do
    i=$((i + 1))
    case $((i % 3)) in
      0) truncate -s 40 "$got" ;;
      1) printf 'x' | dd of="$got" bs=1 seek=200 conv=notrunc status=none ;;
      2) : >"$got" ;;
    esac
  done < <(find cache -type f)
  code 0 "$ftso" search "$toy" -q -o healed
  masked whole/events.jsonl >a
  masked healed/events.jsonl >b
  same a b
  code 0 "$ftso" check "$toy" --time
  ok; grep -Eq '([0-9]+) of them different, \1 from the cache' err || fail "the damaged entries were not replaced"
  # No cache at all, and one that cannot be.
  code 0 "$ftso" search "$toy" -q -o bare --no-cache
  same bare/genotype.json whole/genotype.json
  code 0 env XDG_CACHE_HOME=/proc "$ftso" search "$toy" -q -o homeless
  code 0 env -u HOME -u XDG_CACHE_HOME "$ftso" check "$toy"
  ok; [ "$(find . -maxdepth 1 -name '.cache')" = "" ] || fail "a cache beside the given one"
}

# Runs a command line in a file system of its own at ./disk, made with these mount options.
on_disk() { unshare "$mounting" bash -c "mount -t tmpfs -o $1 tmpfs disk && $2"; }

limits() {
  make_toy
  local kib got ended=0 mounting
  # However little memory there is: done, or said with exit code 3. Sanitizers need terabytes of addresses.
  if (ulimit -v 8000000 && "$ftso" --version) >/dev/null 2>&1; then
    for kib in $(seq 140000 8000 360000); do
      ok
      (ulimit -v "$kib"; exec "$ftso" search "$toy" -q --no-cache --threads=2 -o "memory-$kib") >out 2>err
      got=$?
      [ $got = 127 ] && continue # not even loaded
      [ $got = 3 ] && { ended=$((ended + 1)); says err 'ftso: '; }
      [ $got = 0 ] || [ $got = 3 ] || fail "exit code $got with $kib KiB of addresses"
    done
    ok; [ $got = 0 ] || fail "360 MB of addresses are not enough"
    ok; [ $ended -ge 3 ] || fail "only $ended searches ran out of memory"
  else
    echo "cli: limits: memory is not limited in this build (skipped 1)"
  fi
  # Few files at once.
  code 0 bash -c "ulimit -n 16; '$ftso' search $toy -q -o files16"
  code 0 "$ftso" search "$toy" -q -o plain
  same files16/genotype.json plain/genotype.json
  # Nowhere to keep compiled code: slower, never wrong.
  mkdir -p file-as-home && : >file-as-home/.cache
  code 0 env -i HOME="$scratch/file-as-home" "$ftso" search "$toy" -q -o nocache
  code 0 env -i HOME=/nonexistent/home "$ftso" search "$toy" -q -o nohome
  code 0 env -i "$ftso" search "$toy" -q -o unset
  same unset/genotype.json plain/genotype.json
  # A full disk, and one that is only to be read, under the cache and under the run directory.
  mkdir -p disk
  for mounting in -m -rm ''; do
    [ -z "$mounting" ] || ! on_disk size=16k true 2>/dev/null || break
  done
  if [ -z "$mounting" ]; then
    echo "cli: limits: this user may not mount (skipped 4)"
    return
  fi
  code 0 on_disk size=16k "XDG_CACHE_HOME=disk '$ftso' search $toy -q -o fullcache"
  same fullcache/genotype.json plain/genotype.json
  code 3 on_disk size=16k "'$ftso' search $toy -q -o disk/run; got=\$?; [ ! -e disk/run/run.json ] || got=99; exit \$got"
  says err 'No space left on device'
  code 0 on_disk size=16k,ro "XDG_CACHE_HOME=disk '$ftso' search $toy -q -o rocache"
  code 5 on_disk size=16k,ro "'$ftso' search $toy -q -o disk/run"
  says err 'Read-only file system'
}

# Searches on a folder of pictures and on NumPy arrays; what is wrong with them is told with its name.
pictures() {
  make_recipe
  local class number
  for class in ant bee cow; do
    mkdir -p set/train/$class set/val/$class
    for number in 1 2 3 4; do
      cp "$root/tests/pictures/rgb.jpg" set/train/$class/a$number.jpg
      cp "$root/tests/pictures/palette.png" set/train/$class/b$number.png
      cp "$root/tests/pictures/cmyk.jpg" set/train/$class/c$number.JPG
      cp "$root/tests/pictures/grey_alpha.png" set/val/$class/d$number.png
    done
  done
  sed -e 's/kind = idx/kind = imagefolder/; s|  path = .*|  path = "set";|; /^dataset/,$s/classes = 10/classes = ["bee", "ant", "cow"]/' \
      -e 's/\[1, 12, 12\]/[3, 12, 12]/; /images = \[/d; s/mean = .*/mean = [0.4, 0.5, 0.6];/; s/std = .*/std = [0.2, 0.2, 0.3];/' \
      -e 's/train = crop.*/train = resized_crop(12) -> flip -> color_jitter(0.4, 0.4, 0.4, 0.2) -> normalize;/' \
      -e 's/test = .*/test = resize(14) -> center_crop(12) -> normalize;/; s/batch = 32/batch = 16/; s/batch = 96/batch = 8/' $toy >spaces/set.ftso
  code 0 "$ftso" check spaces/set.ftso
  code 0 "$ftso" search spaces/set.ftso -q -o one --threads=1
  code 0 "$ftso" search spaces/set.ftso -q -o two --threads=2
  same one/genotype.json two/genotype.json
  code 0 "$ftso" train spaces/set.ftso -q -o first --threads=1
  code 0 "$ftso" train spaces/set.ftso -q -o second --threads=2
  same_runs first second
  ok; grep -qa '"class_names":"bee\\nant\\ncow\\n"' first/weights.safetensors || fail "weights without the recipe's names"
  ok; grep -qa '"transform":"resize(14) -> center_crop(12) -> normalize(0.4, ' first/weights.safetensors || fail "no transform"
  code 0 "$ftso" train spaces/set.ftso -q -o named --set dataset.fashion_mnist.classes=3 --set train.tiny_train.epochs=1
  ok; grep -qa '"class_names":"ant\\nbee\\ncow\\n"' named/weights.safetensors || fail "weights without the folders' names"
  code 0 "$ftso" eval first --json --predictions=said
  says out '"top1":'
  ok; [ "$(wc -l <said)" = 12 ] || fail "the test part has 12 pictures"
  code 1 "$ftso" search spaces/set.ftso -q --set 'dataset.fashion_mnist.classes=["bee", "ant"]'
  says err "data set 'fashion_mnist': labels go up to 2, the recipe says 2 classes"
  code 1 "$ftso" search spaces/set.ftso -q --set 'dataset.fashion_mnist.test=resize(12)'
  says err 'pictures of any size need a crop that makes them 12 x 12: resize(12) -> center_crop(12)'
  printf 'version https://git-lfs.github.com/spec/v1\n' >set/train/bee/b2.png
  code 5 "$ftso" search spaces/set.ftso -q -o three
  says err "'set/train/bee/b2.png': this is a Git LFS pointer, neither JPEG nor PNG"
  code 5 "$ftso" train spaces/set.ftso -q -o third
  says err "'set/train/bee/b2.png': this is a Git LFS pointer, neither JPEG nor PNG"
  rm set/train/cow/*
  code 5 "$ftso" search spaces/set.ftso -q
  says err "the class folder 'set/train/cow' holds no picture"

  mkdir arrays
  npy arrays/train_images.npy '(1024, 12, 12)' images/train-images-idx3-ubyte 16
  npy arrays/train_labels.npy '(1024,)' images/train-labels-idx1-ubyte 8
  sed 's/kind = idx/kind = npy/; s|  path = .*|  path = "arrays";|' $toy >spaces/arrays.ftso
  code 0 "$ftso" search spaces/arrays.ftso -q -o four
  code 0 "$ftso" search $toy -q -o five
  same four/genotype.json five/genotype.json
  truncate -s -1 arrays/train_labels.npy
  code 5 "$ftso" search spaces/arrays.ftso -q
  says err "'arrays/train_labels.npy' is cut short: 1 of 1 bytes of labels are missing"
}
# npy FILE SHAPE BYTES SKIP: the bytes after the first SKIP as an array of uint8.
npy() {
  local head="{'descr': '|u1', 'fortran_order': False, 'shape': $2, }"
  { printf '\223NUMPY\1\0'
    bytes $((118 % 256)) 0
    printf '%-117s\n' "$head"
    tail -c +$(($4 + 1)) "$3"
  } >"$1"
}

# Weights under both sets of names, and of the wrong genotype.
weights() {
  make_recipe
  code 0 "$ftso" train "$toy" -q -o run --set train.tiny_train.epochs=1
  code 0 "$ftso" eval run --json
  sed 's/"weights":[^,]*,//' out >result
  code 0 "$ftso" weights run
  says out 'cells.1.edge.3-2.1.weight '
  says out 'cells.1._ops.1.1.weight '
  says out 'head.1.bias '
  code 0 "$ftso" weights run --names=darts -o darts.safetensors
  says out 'darts.safetensors: '
  code 0 "$ftso" eval run --weights=darts.safetensors --json
  sed 's/"weights":[^,]*,//' out >again
  same again result
  code 0 "$ftso" weights "$toy" tiny --weights=darts.safetensors -o back.safetensors
  same back.safetensors run/weights.safetensors
  code 0 "$ftso" weights "$toy" tiny --recipe=tiny_train -w run/weights.safetensors --names=darts -o two.safetensors
  same two.safetensors darts.safetensors
  sed "s/('conv_3x3', 0), ('conv_3x3', 2)/('conv_3x3', 1), ('skip', 2)/" "$toy" >spaces/other.ftso
  code 5 "$ftso" eval spaces/other.ftso --weights=run/weights.safetensors
  says err 'belongs to another genotype'
  says err "; 'cells.0.edge.2-1.1.weight' is missing"
  code 5 "$ftso" weights spaces/other.ftso tiny -w darts.safetensors -o none
  says err "; 'cells.0._ops.1.1.weight' is one too many"
  absent none
  code 5 "$ftso" weights run -w "$toy" -o none
  says err 'is no safetensors file'
  code 2 "$ftso" weights "$toy" -o none
  says err '--weights=FILE'
  code 2 "$ftso" weights run --names=torch
  says err 'ftso and darts'
  absent none
}

case $part in
  weights | verbs | codes | files | runs | stages | streams | train | kills | cache | limits | pictures) $part ;;
  *) echo "cli: no part '$part'"; exit 2 ;;
esac
echo "cli: $part: $checked checks, $failed failed"
[ $failed = 0 ] && [ $checked -gt 0 ]
