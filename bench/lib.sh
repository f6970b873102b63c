# What bench/run is made of: peers that stay and take turns with us, medians, rows of the table.
# In: the settings of bench/run (build, rounds, threads, peers, patience). Out: lines of Markdown.
# shellcheck shell=bash disable=SC2154
work=$(mktemp -d)
declare -A peer_pid=() peer_in=() peer_out=()
stop_all() {
  local pid
  for pid in "${peer_pid[@]}"; do kill "$pid" 2>/dev/null && kill -CONT "$pid" 2>/dev/null || true; done
  rm -rf "$work"
}
trap stop_all EXIT
trap '' PIPE # a peer that was killed is noted, and the others go on
python=${PYTHON:-python3}

note() { echo "$*" >>"$work/notes"; }
number() { sed -nE "s/.*\"$1\": ([0-9.e+-]+).*/\1/p"; } # a member of one line of JSON
spread_of() { sort -g "$1" | awk '{ v[NR] = $1 } END { m = int((NR + 1) / 2); print NR % 2 ? v[m] : (v[m] + v[m + 1]) / 2, v[1], v[NR] }'; }
median_of() { local m; read -r m _ < <(spread_of "$1"); echo "$m"; }

title_of() { case $1 in ftso) echo ftso ;; bf16) echo "ftso, bf16" ;; eager) echo PyTorch eager ;; compile) echo torch.compile ;; onnxruntime) echo ONNX Runtime ;; openvino) echo OpenVINO ;; esac; }

# The folder of space files, the peers that are here, and the lines that say what was measured where.
prepare() {
  local name wanted=$peers modules="torch torch onnxruntime openvino" keep
  cp examples/*.ftso "$work/"
  cp bench/spaces/steps.ftso "$work/steps.ftso"
  for keep in 1 2 3; do
    bench/spaces/found.sh SEP3_KEEP$keep "darts$([ $keep = 2 ] || echo _keep$keep)" 4 $keep >>"$work/steps.ftso"
  done
  peers=
  for name in $wanted; do
    case $name in eager | compile) modules=torch ;; onnxruntime) modules="torch, onnx, onnxscript, onnxruntime" ;; openvino) modules="torch, onnx, onnxscript, openvino" ;;
      *) echo "bench/run: there is no peer '$name'; there are eager, compile, onnxruntime, openvino" >&2; exit 2 ;;
    esac
    if "$python" -c "import $modules" 2>/dev/null; then
      peers+="${peers:+ }$name"
    else
      note "left out: $(title_of "$name") (pip install ${modules//,/})"
    fi
  done
  # An allocator that keeps its memory: without it the peers pay for the first touch of every page again and again. PyTorch's
  # threads are pinned each to its own processor; the inference engines bring threads of their own, which would inherit the one
  # processor that OpenMP pins the first thread to.
  engine=(env -u OPENBLAS_CORETYPE
    GLIBC_TUNABLES=glibc.malloc.mmap_max=0:glibc.malloc.trim_threshold=17179869184:glibc.malloc.top_pad=268435456:glibc.malloc.hugetlb=1)
  peer=("${engine[@]}" OMP_PROC_BIND=true OMP_PLACES=cores "OMP_NUM_THREADS=$threads")
  if command -v taskset >/dev/null; then
    engine+=(taskset -c "0-$((threads - 1))")
    peer+=(taskset -c "0-$((threads - 1))")
  fi
  engine+=("$python")
  peer+=("$python")

  echo "machine: $(lscpu | sed -nE 's/^Model name: +//p' | head -1), $(nproc) processors, $threads threads," \
    "$(grep -qw avx512f /proc/cpuinfo && echo AVX-512 || { grep -qw avx2 /proc/cpuinfo && echo AVX2 || echo SSE2; }), $(uname -sr)"
  echo "versions: $("$ftso" --version | head -1)$(for name in torch onnxruntime openvino; do
    "$python" -c "import $name; print(', $name', getattr($name, '__version__').split('-')[0])" 2>/dev/null | tr -d '\n' || true
  done)"
  "$ftso" bench examples/darts_cifar10.ftso ftso_cifar10 --repeat 1 --batch=32 --threads "$threads" --clock=$clock >"$work/report"
  ceiling=0
  see_ceiling
  echo "ceilings: $(sed -nE '1s/.*ceilings //p' "$work/report"); medians of $rounds rounds, in turns$([ $clock = wall ] || echo "; seconds of processor time")"
  echo "load before: $(cut -d' ' -f1-3 /proc/loadavg)"
  echo
}

# ---------------------------------------------------------------- peers that stay

# start NAME COMMAND...: false, with a note, where it does not get ready.
start() {
  local name=$1 line= fd
  shift
  rm -f "$work/$name".{in,out}
  mkfifo "$work/$name.in" "$work/$name.out"
  "$@" <"$work/$name.in" >"$work/$name.out" 2>"$work/$name.err" &
  peer_pid[$name]=$!
  exec {fd}>"$work/$name.in"
  peer_in[$name]=$fd
  exec {fd}<"$work/$name.out"
  peer_out[$name]=$fd
  while read -r -t "$patience" -u "${peer_out[$name]}" line; do
    [[ $line == '{'* ]] || continue # what an exporter or a compiler says on stdout is passed over
    rest "$name"
    return 0
  done
  note "$row: $(title_of "$name") gave nothing after $patience s, or failed: $(tail -n 1 "$work/$name.err" | cut -c1-160)"
  stop "$name"
  return 1
}
# A peer whose turn it is not stands still: some engines' threads look for work for seconds.
rest() { kill -STOP "${peer_pid[$1]}" 2>/dev/null || true; }
wake() { kill -CONT "${peer_pid[$1]}" 2>/dev/null || true; }
ask() { # NAME WORD: the answer in $answer
  local status=0
  answer=
  wake "$1"
  echo "$2" >&"${peer_in[$1]}" 2>/dev/null || return 1
  read -r -t "$patience" -u "${peer_out[$1]}" answer || status=1
  rest "$1"
  return $status
}
stop() {
  wake "$1"
  local fd=${peer_in[$1]}
  exec {fd}>&-
  fd=${peer_out[$1]}
  exec {fd}<&-
  kill "${peer_pid[$1]}" 2>/dev/null || true
  wait "${peer_pid[$1]}" 2>/dev/null || true
  unset "peer_pid[$1]" "peer_in[$1]" "peer_out[$1]"
}

# ---------------------------------------------------------------- measuring

# Now and then a report has the ceiling of a single core (a virtual machine's processors may share one): the highest one counts.
see_ceiling() {
  local seen
  seen=$(sed -nE 's/.*ceilings +([0-9]+) GFLOP.*/\1/p' "$work/report" | sort -n | tail -n 1)
  [ "${seen:-0}" -le "$ceiling" ] || ceiling=$seen
}
clear_row() { rm -f "$work"/seconds.* "$work"/peak.* "$work"/error.*; }
ours_seconds() { sed -nE "s/^$1 +([0-9.]+) ms.*/\1/p" "$work/report" | awk '{ print $1 / 1000 }'; }
gflop() { sed -nE 's/.* ([0-9.]+) GFLOP,.*/\1/p' "$work/report" | awk '{ g += $1 } END { print g }'; }
planned() { sed -nE 's/^memory +([0-9.]+) MiB planned.*/\1/p' "$work/report"; }
# The largest relative distance from fp32 that the report tells: of logits, loss or first moments.
largest_error() { sed -nE 's/^error .*fp32: //p' "$work/report" | tr , '\n' | awk '{ if ($2 > m) m = $2 } END { print m }'; }
wall() { # NAME COMMAND...: seconds of a process
  local TIMEFORMAT='%R %U %S' real user system
  { time "${@:2}" >"$work/wall.out" 2>&1 || note "failed: ${*:2:3}: $(tail -n 1 "$work/wall.out" | cut -c1-160)"; } 2>"$work/wall.time"
  read -r real user system <"$work/wall.time"
  [ $clock = wall ] || real=$(awk "BEGIN { print $user + $system }")
  echo "$real" >>"$work/seconds.$1"
}

# Whether one more peer fits into memory beside those that wait: as much is free as the largest of them has taken.
has_room() { # NAMES
  local name most=0 taken
  for name in $1; do
    taken=$(awk '/^VmHWM/ { print $2 }' "/proc/${peer_pid[$name]}/status")
    [ "$taken" -le $most ] || most=$taken
  done
  awk -v most=$most '/^MemAvailable/ { exit !($2 > 1.25 * most) }' /proc/meminfo
}
start_of() { # NAME KIND PEER-ARGUMENTS...
  local name=$1 kind=$2 how=("${peer[@]}") script=()
  case $name in
    eager) script=(torch_peer.py) ;;
    compile) script=(torch_peer.py --compile) ;;
    *) script=(graph_peer.py --engine "$name" --folder "$work") how=("${engine[@]}") ;;
  esac
  [ "${script[0]}" != torch_peer.py ] || [ "$kind" = torch ] || script+=(--work infer)
  start "$name" "${how[@]}" "bench/peers/${script[0]}" "${script[@]:1}" --threads "$threads" --clock $clock "${@:3}"
}

# beside ROW TITLE MARKS IMAGES OURS KIND PEER-ARGUMENTS...
# Rounds of ours, by the function OURS, and of each peer, in turns; then their lines of the table. KIND is torch, or both for
# PyTorch and the inference engines. Peers that do not fit into memory side by side have rounds of their own, and so has ours then.
# If they are set, $scale is what a peer's seconds are multiplied by, $report_gflop the arithmetic of ours, $group the rows that
# this one's ratio is held against.
beside() {
  local title=$2 marks=$3 images=$4 ours=$5 kind=$6 name round alive later marked='' waiting=$peers begun=
  row=$1
  shift 6
  [ "$kind" != torch ] || waiting=$(for name in $peers; do case $name in eager | compile) echo -n " $name" ;; esac; done)
  while :; do
    clear_row
    alive= later=
    for name in $waiting; do
      if [ -n "$alive" ] && ! has_room "$alive"; then
        later+=" $name"
      elif start_of "$name" "$kind" "$@"; then
        alive+=" $name"
      fi
    done
    [ -n "$alive" ] || [ -z "$begun" ] || break # none of those that waited got ready
    begun=1
    for ((round = 0; round < rounds; round++)); do
      $ours
      for name in $alive; do
        if ask "$name" run; then
          number seconds <<<"$answer" | awk "{ print \$1 * ${scale:-1} }" >>"$work/seconds.$name"
        else
          note "$row: $(title_of "$name") stopped answering: $(tail -n 1 "$work/$name.err" | cut -c1-160)"
          stop "$name"
          alive=$(for word in $alive; do [ "$word" = "$name" ] || echo -n " $word"; done)
        fi
      done
    done
    for name in $alive; do
      ask "$name" stop && echo "$(($(number peak_kib <<<"$answer") / 1024))" >"$work/peak.$name"
      stop "$name"
    done
    print_row "$title" "$images" "${report_gflop:-}"
    mark "$title" "$marks"
    name=${peers%% *}
    [ -z "$name" ] || [ ! -s "$work/seconds.$name" ] ||
      awk "BEGIN { print \"${group:-$row}|$title|\" $(median_of "$work/seconds.$name") / $(median_of "$work/seconds.ftso") }" >>"$work/ratios"
    [ -n "$later" ] || break
    waiting=$later
  done
  unmarked "$title" "$marks"
}

# measure ROW TITLE MARKS LABEL IMAGES FILE NAME OURS... -- KIND PEER-ARGUMENTS...
# LABEL is the line of `ftso bench` that counts.
measure() {
  local row=$1 title=$2 marks=$3 label=$4 group=$4 images=$5 command=("$work/$6") report_gflop
  shift 6
  while [ "$1" != -- ]; do command+=("$1"); shift; done
  shift
  bench_once() {
    "$ftso" bench "${command[@]}" --precision=bf16 --repeat 3 --threads "$threads" --clock=$clock >"$work/report"
    ours_seconds "$label" >>"$work/seconds.bf16"
    planned >"$work/peak.bf16"
    largest_error >"$work/error.bf16"
    "$ftso" bench "${command[@]}" --repeat 3 --threads "$threads" --clock=$clock >"$work/report"
    ours_seconds "$label" >>"$work/seconds.ftso"
    planned >"$work/peak.ftso"
    report_gflop=$(gflop)
    see_ceiling
  }
  beside "$row" "$title" "$marks" "$images" bench_once "$@"
}

# ---------------------------------------------------------------- tables

table_head() {
  echo "| work | who | median s | spread s | images/s | times ours | of the peak | MiB | error |"
  echo "|---|---|---|---|---|---|---|---|---|"
}
print_row() { # TITLE IMAGES GFLOP: from the files of this row
  local name median least most ours share peak error
  ours=$(median_of "$work/seconds.ftso")
  for name in ftso bf16 eager compile onnxruntime openvino; do
    [ -s "$work/seconds.$name" ] || continue
    read -r median least most < <(spread_of "$work/seconds.$name")
    share=-
    [ -z "$3" ] || share=$(awk "BEGIN { printf \"%.0f%%\", 100 * $3 / $median / $ceiling }")
    peak=-
    [ ! -s "$work/peak.$name" ] || peak=$(awk '{ printf "%.0f", $1 }' "$work/peak.$name")
    error=-
    [ ! -s "$work/error.$name" ] || error=$(<"$work/error.$name")
    awk -v t="$1" -v w="$(title_of "$name")" -v m="$median" -v a="$least" -v b="$most" -v o="$ours" -v n="$2" -v s="$share" -v p="$peak" -v e="$error" \
      'BEGIN { printf "| %s | %s | %.4g | %.4g to %.4g | %.4g | %.2f | %s | %s | %s |\n", t, w, m, a, b, n / m, m / o, s, p, e }'
  done
}
# Lines of the table of marks, "PEER TIMES PEER TIMES…", of the peers that there are seconds of; $marked has their names then.
mark() { # TITLE MARKS
  local who times words
  read -r -a words <<<"$2"
  for ((i = 0; i < ${#words[@]}; i += 2)); do
    who=${words[i]} times=${words[i + 1]}
    [ -s "$work/seconds.$who" ] || continue
    awk -v t="$1" -v w="$(title_of "$who")" -v x="$times" -v p="$(median_of "$work/seconds.$who")" -v o="$(median_of "$work/seconds.ftso")" \
      'BEGIN { printf "| %s | %s | %.2f | %.2f | %s |\n", t, w, x, p / o, (p / o >= x) ? "reached" : "not reached" }' >>"$work/marks"
    marked+=" $who "
  done
}
unmarked() { # TITLE MARKS: lines of the peers that are not among $marked
  local words
  read -r -a words <<<"$2"
  for ((i = 0; i < ${#words[@]}; i += 2)); do
    [[ $marked == *" ${words[i]} "* ]] || echo "| $1 | $(title_of "${words[i]}") | ${words[i + 1]} | - | not measured |" >>"$work/marks"
  done
}
mark_all() { # TITLE MARKS: of a row whose peers were all measured at once
  local marked=
  mark "$@"
  unmarked "$@"
}
print_marks() {
  echo
  echo "| work | over | mark | measured | |"
  echo "|---|---|---|---|---|"
  cat "$work/marks"
}
print_ratios() { # of variants: how each ratio stands to the first of its kind, the network that was looked at most
  [ -s "$work/ratios" ] || return 0
  echo
  echo "| variant | $(title_of "${peers%% *}") over ours | beside the first of its kind | |"
  echo "|---|---|---|---|"
  awk -F'|' '{ if (!($1 in base)) base[$1] = $3; r = $3 / base[$1]
    printf "| %s | %.2f | %.2f | %s |\n", $2, $3, r, (r >= 0.8) ? "holds" : "falls behind" }' "$work/ratios"
}
print_notes() {
  [ ! -s "$work/notes" ] || { echo; sed 's/^/* /' "$work/notes"; }
}

# ---------------------------------------------------------------- data

make_cifar() { # FOLDER: 60 000 made-up images in CIFAR-10's binary form
  local part
  mkdir -p "$1"
  for part in data_batch_1 data_batch_2 data_batch_3 data_batch_4 data_batch_5 test_batch; do
    perl -e 'srand 1; my $n = join "", map { chr int rand 256 } 1 .. 6144;
      print chr($_ % 10), substr($n, ($_ * 7) % 3072, 3072) for 0 .. 9999' >"$1/$part.bin"
  done
}
