#!/usr/bin/env python3
"""How often `juan ask` answers rightly, and quotes the right sentence, on a page around it.

    tests/reading/answers.py [--build build] [--cpu LEVEL] [--adapter NAME] MODEL

Every question of questions.json is asked about the 800 characters in whose middle the sentence stands that answers it. An answer is right
when it contains the words expected; evidence is right when one of the three quotes overlaps the sentence. --adapter none: without the one that
comes with the program.
"""
import argparse
import json
import os
import subprocess
import tempfile

from finding import read_books

PAGE = 800


def page_of(text, support):
    """The page around the first supporting sentence, and where its characters begin in the text."""
    middle = (support[0]["start"] + support[0]["end"]) // 2
    start = max(0, min(middle - PAGE // 2, len(text) - PAGE))
    return text[start:start + PAGE], start


def ask(juan, model, options, question, path):
    run = subprocess.run([juan, "ask", path, question, "--model", model, "--json", "--quiet", *options], capture_output=True, text=True, check=True)
    return json.loads(run.stdout)


def overlaps(evidence, support, start):
    return any(e["start"] + start < s["end"] and s["start"] < e["end"] + start for e in evidence for s in support)


def main():
    p = argparse.ArgumentParser()
    p.add_argument("model")
    p.add_argument("--build", default="build")
    p.add_argument("--adapter")
    p.add_argument("--cpu", default="auto")
    a = p.parse_args()
    seen = {"words": [], "other": []}
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "page.txt")
        for book in read_books():
            for q in book["questions"]:
                page, start = page_of(book["text"], q["support"])
                with open(path, "w", encoding="utf-8") as f:
                    f.write(page)
                got = ask(os.path.join(a.build, "juan"), a.model, ("--cpu", a.cpu, *(("--adapter", a.adapter) if a.adapter else ())), q["question"], path)
                seen[q["how"]].append((any(w in got["answer"] for w in q["answer"]), overlaps(got["evidence"], q["support"], start)))
    for how, results in seen.items():
        print(f"{how}: answer right {sum(r[0] for r in results)} of {len(results)}, evidence right {sum(r[1] for r in results)} of {len(results)}")


main()
