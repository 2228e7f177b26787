#!/usr/bin/env python3
"""The gate: how well does the attention of a model find planted facts in a long text, without a text index and without training?

    tests/reading/gate.py MODEL TEXT... --tokens 32768 131072 [--adapter FILE] [--build build] [--keep FOLDER]

Plants the facts of share/needles-zh.tsv at ends of sentences, spread evenly, in the texts joined, reads as many tokens once, and asks every fact in
its own words and in others. Printed: how often a block of 32 tokens that holds the fact comes first, among three, among ten, by head
and by score. docs/long-context.md has the figures. Needs numpy.
"""
import argparse
import json
import os
import random
import subprocess
import tempfile

import numpy

HERE = os.path.dirname(os.path.abspath(__file__))
NEUTRAL = "这段文字讲了什么？"
CHARACTERS_A_TOKEN = 1.12  # of this model; where it is less, gate cuts


def facts():
    with open(os.path.join(HERE, "..", "..", "share", "needles-zh.tsv"), encoding="utf-8") as f:
        return [line.rstrip("\n").split("\t") for line in f if not line.startswith("#")]


def plant(text, sentences, seed):
    """The text with the sentences in it, and where each is, in characters."""
    order = list(range(len(sentences)))
    random.Random(seed).shuffle(order)
    out, where, at, length = [], [None] * len(sentences), 0, 0
    for i, k in enumerate(order):
        cut = text.find("。", int(len(text) * (i + 0.5) / len(order))) + 1
        assert cut > at
        out.append(text[at:cut])
        length += cut - at
        where[k] = (length, length + len(sentences[k]))
        out.append(sentences[k])
        length += len(sentences[k])
        at = cut
    return "".join(out) + text[at:], where


def read(a, path, questions, tokens, folder):
    lines, out = os.path.join(folder, "questions.txt"), os.path.join(folder, f"{tokens}.f32")
    with open(lines, "w", encoding="utf-8") as f:
        f.writelines(q + "\n" for q in [NEUTRAL] + questions)
    run = subprocess.run([os.path.join(a.build, "tests", "gate"), a.path, path, lines, out, str(tokens), *([a.adapter] if a.adapter else [])], stdout=subprocess.PIPE, check=True)
    told = json.loads(run.stdout)
    scores = numpy.fromfile(out, dtype=numpy.float32).reshape(len(questions), len(told["heads"]), 2, told["blocks"])
    return told, scores


def report(name, ranks, n):
    row = ["".join(f"{sum(r < k for r in ranks[i::2]):6}" for k in (1, 3, 10)) for i in range(2)]
    print(f"{name:36}{row[0]:>20}{row[1]:>22}   of {n}", flush=True)


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("model", help="its name in the catalogue, or its file")
    p.add_argument("texts", nargs="+")
    p.add_argument("--tokens", type=int, nargs="+", default=[32768])
    p.add_argument("--adapter", help="that finds: questions are read with it")
    p.add_argument("--build", default="build")
    p.add_argument("--seed", type=int, default=1)
    p.add_argument("--keep", help="folder for the scores")
    a = p.parse_args()
    told = subprocess.run([os.path.join(a.build, "juan"), "inspect", a.model, "--json"], check=True, capture_output=True)
    a.path = json.loads(told.stdout)["path"]
    whole = "".join(open(t, encoding="utf-8").read() for t in a.texts)
    cases = facts()
    questions = [q for c in cases for q in c[1:3]]
    with tempfile.TemporaryDirectory() as folder:
        folder = a.keep or folder
        os.makedirs(folder, exist_ok=True)
        for tokens in a.tokens:
            text, where = plant(whole[:int(tokens * CHARACTERS_A_TOKEN) - sum(len(c[0]) for c in cases)], [c[0] for c in cases], a.seed)
            path = os.path.join(folder, f"{tokens}.txt")
            with open(path, "w", encoding="utf-8") as f:
                f.write(text)
            told, scores = read(a, path, questions, tokens, folder)
            starts = numpy.array(told["begin"])
            right = []
            for begin, end in where:
                begin, end = len(text[:begin].encode()), len(text[:end].encode())
                first, last = numpy.searchsorted(starts, begin, "right") - 1, numpy.searchsorted(starts, end, "left") - 1
                right.append(list(range(first, min(last, told["blocks"] - 1) + 1)) if begin < starts[-1] else [])
            kept = [i for i in range(len(questions)) if right[i // 2]]
            n = len(kept) // 2
            print(f"\n{told['tokens']} tokens, {told['blocks']} blocks, {n} facts: first, among three, among ten")
            print(f"{'':36}{'in its words':>20}{'in other words':>22}")

            def ranks(score):
                out = []
                for i in kept:
                    s = score(scores[i])
                    best = max(s[b] for b in right[i // 2])
                    out.append(int((s > best).sum()))
                return out
            for h, (layer, head) in enumerate(told["heads"]):
                report(f"({layer}, {head})", ranks(lambda s: s[h, 0]), n)
                report(f"({layer}, {head}), words beyond neutral", ranks(lambda s: s[h, 1]), n)
            report("sum of all", ranks(lambda s: s[:, 0].sum(0)), n)
            report("sum of all, beyond neutral", ranks(lambda s: s[:, 1].sum(0)), n)
            two = [told["heads"].index(h) for h in ([11, 2], [5, 1]) if h in told["heads"]]
            if two:
                report("(11, 2) + (5, 1), beyond neutral", ranks(lambda s: s[two, 1].sum(0)), n)


if __name__ == "__main__":
    main()
