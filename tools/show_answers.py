#!/usr/bin/env python3
"""Shows what came of questions, from the file that `juan eval qa --each FILE` writes: where right answers are lost, and examples of it.

    tools/show_answers.py answers.jsonl [--adapter NAME] [--missed 20] [--seed 1]

First how many there are of each outcome, and how long answers are beside the known ones; then so many drawn ones that are not right.
"""
import argparse
import collections
import json
import random
import re
import statistics

STOPS = "。！？；!?;，：,:、"


def plain(s):
    return re.sub(r"[\s\W_]+", "", s).lower()


def outcome(a):
    """In which step a question was lost."""
    if not a["known"]:
        return "no answer: refused" if a["refused"] else "no answer: answered all the same"
    if a["exact"]:
        return "right"
    if a["refused"]:
        return "refused wrongly"
    if not a["answer"]:
        return "nothing said"
    if not a["holds"]:
        return "first quote: another sentence"
    given, known = plain(a["answer"]), [plain(k) for k in a["known"]]
    if any(given in k for k in known):
        return "right sentence, answer too short"
    if any(k in given for k in known):
        return "right sentence, answer too long"
    return "right sentence, part of it" if a["f1"] > 0 else "right sentence, other words of it"


def is_clause(words, text):
    """Whether the words begin and end at a mark of the text, as far as the text shows."""
    at = text.find(words)
    end = at + len(words)
    return at >= 0 and (at == 0 or text[at - 1] in STOPS + "\n") and (end == len(text) or text[end] in STOPS + "\n" or text[end - 1] in STOPS)


def lengths(values):
    q = statistics.quantiles(values, n=10) if len(values) > 1 else values * 9
    return f"median {q[4]:.0f}, nine tenths below {q[8]:.0f}" if values else "none"


def show(adapter, answers, missed, rnd):
    counts = collections.Counter(map(outcome, answers))
    answered = [a for a in answers if a["known"] and a["answer"] and not a["refused"]]
    print(f"\n{adapter}: {len(answers)} questions")
    for what, n in counts.most_common():
        print(f"  {n:5d}  {100 * n / len(answers):4.0f}%  {what}")
    print("  characters of answers:", lengths([len(a["answer"]) for a in answered]), "; of known ones:", lengths([len(a["known"][0]) for a in answered]))
    clauses = [(is_clause(a["answer"], (a["quotes"] or [""])[0]), is_clause(a["known"][0], a["known_quote"])) for a in answered]
    if clauses:
        print("  whole clauses: {:.0f}% of answers, {:.0f}% of known ones".format(*(100 * sum(c) / len(clauses) for c in zip(*clauses))))
    wrong = [a for a in answers if outcome(a) not in ("right", "no answer: refused")]
    for a in rnd.sample(wrong, min(missed, len(wrong))):
        print(f"\n  {outcome(a)}\n    asked  {a['question']}\n    known  {' / '.join(a['known']) or '-'}\n    marked {a['known_quote'] or '-'}\n    answer {a['answer']}\n    quote  {(a['quotes'] or ['-'])[0]}")


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("file")
    p.add_argument("--adapter", help="only of this one")
    p.add_argument("--missed", type=int, default=20)
    p.add_argument("--seed", type=int, default=1)
    o = p.parse_args()
    by_adapter = collections.defaultdict(list)
    with open(o.file, encoding="utf8") as f:
        for line in f:
            a = json.loads(line)
            by_adapter[a["adapter"]].append(a)
    for adapter, answers in by_adapter.items():
        if not o.adapter or o.adapter == adapter:
            show(adapter, answers, o.missed, random.Random(o.seed))


if __name__ == "__main__":
    main()
