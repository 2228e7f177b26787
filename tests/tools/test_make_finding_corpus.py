#!/usr/bin/env python3
"""tools/make_finding_corpus.py: facts whose questions share no name with them, planted whole, the same file from the same seed."""
import json
import os
import random
import subprocess
import sys
import tempfile

ROOT = os.environ["CJ_SOURCE"]
sys.path[:0] = [os.path.join(ROOT, "tests", "support"), os.path.join(ROOT, "tools")]
sys.dont_write_bytecode = True
import finding_facts
import make_finding_corpus as maker
import tap

CORPUS = os.path.join(ROOT, "..", "shared", "corpus")
folder = tempfile.mkdtemp()


def facts():
    r, seen = random.Random(3), set()
    for _ in range(2000):
        f = finding_facts.make_fact(r)
        name = f["key"][0]
        assert f["answer"] in f["fact"] and name in f["fact"] and f["fact"].endswith("。") and f["other"], f
        assert all(name not in q and f["answer"] not in q and "{" not in q for q in f["other"]), f
        seen.add(f["key"][1])
    assert len(seen) == len(finding_facts.OF_PEOPLE) + len(finding_facts.OF_HOUSES)


def of_a_slice():
    r = random.Random(5)
    for _ in range(200):
        some = maker.facts_of_a_slice(r)
        assert len({f["fact"][:4] for f in some}) == len(some) == maker.FACTS


def rows():
    r = random.Random(7)
    made = maker.planted([("book", "山里很静。" * 60)] * 20, r)
    assert made and all(row["quote"] in row["passage"] and row["answer"] in row["quote"] for row in made)
    assert not maker.planted([("short", "短。")], r)


def make(name):
    path = os.path.join(folder, name)
    told = subprocess.run([sys.executable, os.path.join(ROOT, "tools", "make_finding_corpus.py"), "--corpus", CORPUS, "--out", path, "--slices", "30"],
                          check=True, capture_output=True).stdout
    with open(path, encoding="utf8") as f:
        return json.loads(told), f.read()


def whole():
    if not os.path.isdir(os.path.join(CORPUS, "qa")):
        raise tap.Skip(f"there is no {CORPUS}/qa")
    told, text = make("a.jsonl")
    assert told["rows"] == text.count("\n") > 6000 and {"cmrc", "drcd", "fact-find"} <= set(told["kinds"]), told
    assert (told, text) == make("b.jsonl")


tap.run([("facts in other words", facts), ("facts of a slice", of_a_slice), ("planted", rows), ("the corpus", whole)])
