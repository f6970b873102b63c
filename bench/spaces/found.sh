#!/usr/bin/env bash
# Prints a genotype of separable convolutions for a space whose nodes keep that many edges: found.sh NAME SPACE NODES KEEP
# A node keeps the first KEEP states before it, or as many as there are; one alone is taken from the two inputs in turn.
# bench/peers/serving.py builds the same cells.
set -euo pipefail
name=$1 space=$2 nodes=$3 keep=$4 pairs= concat=
for ((node = 0; node < nodes; node++)); do
  for ((source = 0; source < keep && source < node + 2; source++)); do
    pairs+="('sep_conv_3x3', $((keep == 1 ? node % 2 : source))), "
  done
  concat+="$((node + 2)), "
done
echo "genotype $name : $space = Genotype("
echo "    normal = [${pairs%, }], normal_concat = [${concat%, }],"
echo "    reduce = [${pairs%, }], reduce_concat = [${concat%, }]"
echo ");"
