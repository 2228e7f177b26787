"""Runs llama-bench and juan bench in turn and prints medians, ratios and shares. Called by compare.sh."""
import argparse
import json
import os
import statistics
import subprocess
import tempfile

SHAPES = [("gemma3-270m", "Q8_0"), ("gemma3-270m", "Q4_0"), ("gemma3-270m", "BF16"),
          ("qwen2.5-0.5b", "Q8_0"), ("qwen2.5-0.5b", "Q4_0"), ("qwen2.5-0.5b", "BF16")]


def theirs(bench, model, threads, depth, prefill, decode):
    """{"prefill": tokens a second, "decode": ...} of one run of llama-bench."""
    out = subprocess.run([bench, "-m", model, "-t", str(threads), "-p", str(prefill), "-n", str(decode), "-d", str(depth), "-r", "1", "-o", "json"],
                         check=True, capture_output=True, text=True).stdout
    return {"prefill" if r["n_prompt"] else "decode": r["avg_ts"] for r in json.loads(out)}


def ours(juan, model, threads, depth, prefill, decode, level):
    command = [juan, "bench", model, "-p", str(prefill), "-n", str(decode), "-d", str(depth), "-r", "1", "--threads", str(threads), "--json", "--quiet"]
    r = json.loads(subprocess.run(command + (["--cpu", level] if level else []), check=True, capture_output=True, text=True).stdout)
    return {t["test"]: t["tokens_per_second"]["median"] for t in r["results"]}, {t["test"]: t["share_of_ceiling"] for t in r["results"]}, r


def main():
    p = argparse.ArgumentParser()
    p.add_argument("llama_bench")
    p.add_argument("models", nargs="*")
    p.add_argument("--depths", default="0")
    p.add_argument("--rounds", type=int, default=3)
    p.add_argument("--cpu", default="")
    p.add_argument("--threads", type=int, default=os.cpu_count())
    p.add_argument("--prefill", type=int, default=512)
    p.add_argument("--decode", type=int, default=64)
    p.add_argument("--juan", default="build/juan")
    a = p.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        for shape, kind in [] if a.models else SHAPES:
            a.models.append(f"{folder}/{shape}-{kind}.gguf")
            subprocess.run(["tools/make_gguf.py", a.models[-1], "--shape", shape, "--type", kind], check=True, stdout=subprocess.DEVNULL)
        print(f"| model | depth | test | juan | llama.cpp | ratio | share of ceiling |\n|---|---|---|---|---|---|---|")
        ceilings = []
        for model in a.models:
            for depth in map(int, a.depths.split(",")):
                rates, shares = {}, {}
                for _ in range(a.rounds):
                    t = theirs(a.llama_bench, model, a.threads, depth, a.prefill, a.decode)
                    o, share, run = ours(a.juan, model, a.threads, depth, a.prefill, a.decode, a.cpu)
                    ceilings.append(run["ceilings"])
                    for test in o:
                        rates.setdefault(test, []).append((o[test], t[test]))
                        shares.setdefault(test, []).append(share[test])
                for test, pairs in rates.items():
                    mine, other = (statistics.median(x) for x in zip(*pairs))
                    ratio = statistics.median(x / y for x, y in pairs)
                    print(f"| {os.path.basename(model)} | {depth} | {test} | {mine:.1f} | {other:.1f} | {ratio:.2f} | "
                          f"{100 * statistics.median(shares[test]):.0f}% |", flush=True)
        middle = {k: statistics.median(c[k] for c in ceilings) for k in ceilings[0]}
        print(f"\n{run['cpu']}, level {run['level']}, {run['threads']} threads, {a.rounds} rounds; ceilings in the same runs: "
              + ", ".join(f"{k} {v:.0f}" for k, v in middle.items()))


main()
