#!/usr/bin/env bash
# How far the fast path is from float32 on a text: mean KL divergence, perplexity of both and how often the likeliest token is the same, at
# every level that runs here and for each way to keep keys and values. One row of a table each; slow, since every row reads the text in exact mode too.
#
#     bench/accuracy.sh MODEL TEXT [WINDOWS]         WINDOWS of 512 tokens, the second halves are scored; 16 when not given
set -euo pipefail
[ $# -ge 2 ] || { sed -n '5p' "$0" | cut -c3-; exit 2; }
juan=${JUAN:-$(dirname "$0")/../build/juan}
levels=$("$juan" doctor --json | python3 -c 'import json, sys; print(*(n for n, runs in json.load(sys.stdin)["levels"].items() if runs and n != "ref"))')
echo "| level | pages | mean KL to float32 | largest | same likeliest token | perplexity | of float32 |"
echo "|---|---|---|---|---|---|---|"
for level in $levels; do
    for kv in f32 bf16 q8 q4; do
        "$juan" perplexity "$1" "$2" --windows "${3:-16}" --against-exact --cpu "$level" --kv "$kv" --json -q | python3 -c '
import json, math, sys
r = json.load(sys.stdin)
print("| {} | {} | {:.1e} | {:.1e} | {:.1f}% | {:.2f} | {:.2f} |".format(*sys.argv[1:], r["kl_mean"], r["kl_max"], 100 * r["top1_same"], r["ppl"],
      math.exp(r["exact_nll_mean"])))' "$level" "$kv"
    done
done
