#!/usr/bin/env python3
"""Writes the rows that the adapter which finds is trained on (`juan tune --kind find`), and tells how many of each kind there are.

    tools/make_finding_corpus.py --corpus ../shared/corpus --out find.jsonl [--seed 1] [--slices 900]

CMRC 2018 dev and DRCD dev (questions people asked), and made-up facts (finding_facts.py, adapter_facts.py) planted in public-domain texts and laws, asked for in
words that they do not have. Nothing of CMRC 2018 trial, of the needle evaluation or of the text that it is made in is used. The same seed gives the same file.
"""
import argparse
import collections
import json
import os
import random

import adapter_facts
import finding_facts
import make_adapter_corpus as maker

LENGTHS, FACTS, OURS = (500, 800, 1200), 4, 0.8  # characters of a slice; planted in each; share of finding_facts
LEFT_OUT = "红楼梦"


def facts_of_a_slice(r):
    """Facts none of which begins like another."""
    out = {}
    while len(out) < FACTS:
        f = (finding_facts if r.random() < OURS else adapter_facts).make_fact(r)
        out.setdefault(f["fact"][:4], f)
    return list(out.values())


def planted(slices, r):
    rows = []
    for document, text in slices:
        facts = facts_of_a_slice(r)
        text = maker.plant(text, [f["fact"] for f in facts], r)
        for f in facts if text else ():
            for question in r.sample(f["other"], min(2, len(f["other"]))):
                rows.append(maker.row("fact-find", document, text, question, f["fact"], f["answer"]))
    return rows


def main():
    a = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    a.add_argument("--corpus", default="../shared/corpus")
    a.add_argument("--needles", default=os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "share", "needles-zh.tsv"))
    a.add_argument("--out", required=True)
    a.add_argument("--seed", type=int, default=1)
    a.add_argument("--slices", type=int, default=900, help="of texts that facts are planted in")
    o = a.parse_args()
    r = random.Random(o.seed)
    read = lambda name: maker.rows_of(os.path.join(o.corpus, name))
    rows = [row for name in ("cmrc", "drcd") for row in maker.asked_by_people(name, read(f"qa/{name}{'2018' if name == 'cmrc' else ''}_dev.jsonl.xz"), "short")]
    texts = [t for name in ("novels", "laws", "luxun") for t in read(name + ".jsonl.xz") if LEFT_OUT not in t["title"]]
    for length in LENGTHS:
        rows += planted(maker.slices_of(texts, "find", length, max(1, o.slices // len(LENGTHS)), r), r)
    with open(o.needles, encoding="utf8") as f:
        needles = [line for line in f if not line.startswith("#")]
    rows, left = maker.decontaminate([row for row in rows if maker.sound(row)], read("qa/cmrc2018_trial.jsonl.xz"), needles)
    rows = list({(row["passage"], row["question"]): row for row in rows}.values())
    with open(o.out, "w", encoding="utf8") as f:
        for row in rows:
            f.write(json.dumps(row, ensure_ascii=False) + "\n")
    print(json.dumps({"rows": len(rows), "kinds": dict(sorted(collections.Counter(row["kind"] for row in rows).items())), "left_out": dict(left)}, ensure_ascii=False))


if __name__ == "__main__":
    main()
