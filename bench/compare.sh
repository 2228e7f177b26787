#!/usr/bin/env bash
# Speed beside llama.cpp's on the same files: llama-bench and juan in turn, both cores, medians and ratios, with the machine's ceilings.
#
#     bench/compare.sh LLAMA_BENCH MODEL.gguf... [--depths 0,8192] [--rounds 3] [--cpu LEVEL] [--threads 2]
#
# Without a model it makes random-weight files of the shapes in docs/performance.md. Close other programs first.
set -euo pipefail
cd "$(dirname "$0")/.."
exec python3 bench/compare.py "$@"
