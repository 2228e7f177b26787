#!/usr/bin/env python3
"""How well the attention of a question finds the sentence that answers it, by several ways of scoring.

    make finding [MODEL=gemma-3-270m]
    tests/reading/finding.py [--build build] [--keep FOLDER] MODEL
    tests/reading/finding.py [--build build] --whole FOLDER

questions.json has questions about four books in the public domain and the sentences that answer them; half of the questions use
the text's words ("words"), half avoid them ("other"). A passage counts as right when it overlaps such a sentence. Printed for each
way of scoring: how often the first passage is right, how often one of the first three, of the first ten. docs/finding.md has the
figures and what was chosen. --keep stores what `look` printed, so that other scores can be tried without reading again. --whole asks
only the text index, which needs no model, and of whole books: FOLDER has them as BOOK.txt, each by itself and, as three.txt, several.
"""
import argparse
import json
import math
import os
import subprocess
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
ABOUT = "这段文字讲了什么？"  # a question about nothing in particular
NEUTRAL = "这段文字讲了什么？谁？什么？哪里？多少？什么时候？怎么？为什么？"  # as in src/reader/prompt.c
TIMES, LITTLE = 3, 100  # as in src/reader/find.h
ALL, LAST, WORDS = range(3)  # what look.c prints of a head: sums for all tokens after the text, for the last one, for each word's


def read_books():
    with open(os.path.join(HERE, "questions.json"), encoding="utf-8") as f:
        books = json.load(f)
    for b in books:
        with open(os.path.join(HERE, b["file"]), encoding="utf-8") as f:
            b["text"] = f.read()[:b["characters"]]
        for q in b["questions"]:
            for s in q["support"]:
                assert b["text"][s["start"]:s["end"]] == s["text"], f"{b['book']}: {s} is not what stands there"
    return books


def look(program, model, book, keep):
    path = os.path.join(keep, book["book"] + ".json")
    if not os.path.exists(path):
        questions = os.path.join(keep, book["book"] + ".txt")
        with open(questions, "w", encoding="utf-8") as f:
            f.writelines(q["question"] + "\n" for q in book["questions"])
            f.write(ABOUT + "\n" + NEUTRAL + "\n")
        with open(path + ".part", "w", encoding="utf-8") as f:
            subprocess.run([program, model, os.path.join(HERE, book["file"]), questions, str(book["characters"])], stdout=f, check=True)
        os.rename(path + ".part", path)
    with open(path, encoding="utf-8") as f:
        seen = json.load(f)
    seen["looks"] = seen["looks"][:len(book["questions"]) + 2]
    return seen


# ---- scores ----

def share(sums):
    total = sum(sums)
    return [s / total if total > 0 else 0 for s in sums]


class Reading:
    """What the questions of one book looked at."""

    def __init__(self, book, seen):
        self.book, self.passages = book, seen["passages"]
        self.heads = [tuple(h) for h in seen["heads"]]
        self.looks = seen["looks"]
        self.right = [{i for i, (a, b) in enumerate(self.passages) if any(a < s["end"] and b > s["start"] for s in q["support"])}
                      for q in book["questions"]]

    def shares(self, question, head, tokens):
        rows = self.looks[question][self.heads.index(head)]
        return share([sum(column) for column in zip(*rows[WORDS:])] if tokens == WORDS else rows[tokens])

    def shares_of_words(self, question, head):
        return [share(row) for row in self.looks[question][self.heads.index(head)][WORDS:]]


def attention(heads, how="plain", tokens=ALL, usually=-2, times=1):
    """Mean over heads of the share of attention, or of what it is beyond that of the question about nothing (usually=-1: the words of questions)."""
    def score(r, q):
        total = [0.0] * len(r.passages)
        for head in heads or r.heads:
            usual = [times * u for u in r.shares(usually, head, tokens)]
            for i, (mine, u) in enumerate(zip(r.shares(q, head, tokens), usual)):
                length = r.passages[i][1] - r.passages[i][0]
                total[i] += {"plain": mine, "beyond": mine - u, "above": max(mine - u, 0), "root": math.sqrt(max(mine - u, 0)), "ratio": mine / (u + 1e-4),
                             "per length": (mine - u) / math.sqrt(length)}[how]
        return total
    return score


def by_word(heads, power, usually=-2, times=1):
    """Every word by itself: what it pays beyond so many times what is usual (a little of what is beyond once), to a power. heads: a list, or a weight for each."""
    def score(r, q):
        total = [0.0] * len(r.passages)
        for head in heads:
            weight = heads[head] if isinstance(heads, dict) else 1
            usual = r.shares(usually, head, ALL)
            for word in r.shares_of_words(q, head):
                for i, (mine, u) in enumerate(zip(word, usual)):
                    if mine > u:
                        total[i] += weight * max(mine - times * u, (mine - u) / LITTLE) ** power
        return total
    return score


def z_score(heads):
    def score(r, q):
        total = [0.0] * len(r.passages)
        for head in heads or r.heads:
            s = r.shares(q, head, ALL)
            mean = sum(s) / len(s)
            deviation = math.sqrt(sum((x - mean) ** 2 for x in s) / len(s))
            for i, x in enumerate(s):
                total[i] += (x - mean) / deviation
        return total
    return score


def damped(heads):
    """As words that are everywhere are damped in text search: by what all other questions pay to the passage."""
    def score(r, q):
        total = [0.0] * len(r.passages)
        for head in heads or r.heads:
            others = [r.shares(k, head, ALL) for k in range(len(r.looks) - 2) if k != q]
            for i, mine in enumerate(r.shares(q, head, ALL)):
                total[i] += mine - sum(o[i] for o in others) / len(others)
        return total
    return score


def grams(text):
    letters = [c for c in text if c.isalnum()]
    return set(letters) | {a + b for a, b in zip(letters, letters[1:])}


def letters(r, q):
    """No attention at all: characters and pairs of them in common, rare ones count more."""
    if not hasattr(r, "grams"):
        r.grams = [grams(r.book["text"][a:b]) for a, b in r.passages]
        r.counts = {}
        for g in r.grams:
            for x in g:
                r.counts[x] = r.counts.get(x, 0) + 1
    asked = grams(r.book["questions"][q]["question"])
    return [sum(math.log(len(r.grams) / r.counts[x]) for x in asked & g) / (1 + 0.25 * math.log(len(g) + 1)) for g in r.grams]


def indexed(program, file, questions, characters=None):
    """What the text index finds in a file: its passages and, for each question, their numbers, best first."""
    with tempfile.TemporaryDirectory() as folder:
        asked = os.path.join(folder, "questions.txt")
        with open(asked, "w", encoding="utf-8") as f:
            f.writelines(q["question"] + "\n" for q in questions)
        command = [program, file, os.path.join(folder, "index"), asked] + ([str(characters)] if characters else [])
        return json.loads(subprocess.run(command, check=True, capture_output=True).stdout)


def text_index(program):
    def score(r, q):
        if not hasattr(r, "found"):
            got = indexed(program, os.path.join(HERE, r.book["file"]), r.book["questions"], r.book["characters"])
            assert got["passages"] == r.passages
            r.found = got["found"]
        order = {p: 1 / (1 + rank) for rank, p in enumerate(r.found[q])}
        return [order.get(i, 0) for i in range(len(r.passages))]
    return score


def whole_books(program, folder):
    """The index alone, on the whole of each book whose questions these are, and on three.txt."""
    for name in [b["book"] for b in read_books()] + ["three"]:
        path = os.path.join(folder, name + ".txt")
        if not os.path.exists(path):
            continue
        with open(path, encoding="utf-8") as f:
            text = f.read()
        asked = [(q, [(at, at + len(s["text"])) for s in q["support"] for at in [text.find(s["text"])] if at >= 0])
                 for b in read_books() if name in (b["book"], "three") for q in b["questions"]]
        asked = [(q, support) for q, support in asked if support]
        got = indexed(program, path, [q for q, _ in asked])
        row = {how: [0, 0, 0, 0] for how in ("words", "other")}
        for (q, support), found in zip(asked, got["found"]):
            right = [i for i, p in enumerate(found) if any(got["passages"][p][0] < e and got["passages"][p][1] > s for s, e in support)]
            row[q["how"]][3] += 1
            for i, k in enumerate((1, 3, 10)):
                row[q["how"]][i] += bool(right) and right[0] < k
        print(f"{name:12} {len(text):9} characters: " + ", ".join(f"{how}: {a} / {b} / {c} of {n}" for how, (a, b, c, n) in row.items()))


def both(one, two, weight):
    def score(r, q):
        a, b = one(r, q), two(r, q)
        top = max(max(a), 1e-9), max(max(b), 1e-9)
        return [x / top[0] + weight * y / top[1] for x, y in zip(a, b)]
    return score


FOUR, TWO, WEIGHED = [(5, 2), (11, 2), (17, 2), (5, 1)], [(11, 2), (5, 1)], {(11, 2): 1, (5, 1): 0.5}
CHOSEN = by_word(WEIGHED, 0.5, -1, TIMES)
WAYS = [
    ("all heads", attention(None)),
    ("all heads, beyond a question about nothing", attention(None, "beyond")),
    ("all heads, above 3 times a question of all words", attention(None, "above", usually=-1, times=TIMES)),
    ("four heads", attention(FOUR)),
    ("four heads, words of the question only", attention(FOUR, tokens=WORDS)),
    ("four heads, last token only", attention(FOUR, tokens=LAST)),
    ("four heads, z-score", z_score(FOUR)),
    ("four heads, ratio to nothing", attention(FOUR, "ratio")),
    ("four heads, beyond nothing", attention(FOUR, "beyond")),
    ("four heads, beyond the other questions", damped(FOUR)),
    ("(5, 1), beyond nothing", attention([(5, 1)], "beyond")),
    ("(11, 2), beyond nothing", attention([(11, 2)], "beyond")),
    ("two heads", attention(TWO)),
    ("two heads, beyond nothing", attention(TWO, "beyond")),
    ("two heads, beyond nothing, words only", attention(TWO, "beyond", WORDS)),
    ("two heads, beyond nothing, per root of length", attention(TWO, "per length")),
    ("two heads, root of what is beyond nothing", attention(TWO, "root")),
    ("two heads, beyond nothing, word by word", by_word(TWO, 1)),
    ("four heads, beyond nothing, word by word, root", by_word(FOUR, 0.5)),
    ("two heads, the same", by_word(TWO, 0.5)),
    ("two heads, the same, cube root", by_word(TWO, 1 / 3)),
    ("(11, 2), word by word, root", by_word([(11, 2)], 0.5)),
    ("two weighed, the same", by_word(WEIGHED, 0.5)),
    ("two weighed, 3 times nothing", by_word(WEIGHED, 0.5, times=TIMES)),
    ("two weighed, a question of all words", by_word(WEIGHED, 0.5, -1)),
    ("two heads, 3 times a question of all words", by_word(TWO, 0.5, -1, TIMES)),
    ("(11, 2), 3 times a question of all words", by_word([(11, 2)], 0.5, -1, TIMES)),
    ("two weighed, 2 times a question of all words", by_word(WEIGHED, 0.5, -1, 2)),
    ("two weighed, 4 times a question of all words", by_word(WEIGHED, 0.5, -1, 4)),
    ("two weighed, 3 times         <- chosen", CHOSEN),
    ("letters in common, no attention", letters),
    ("the chosen one and letters", both(CHOSEN, letters, 0.5)),
]


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("model", nargs="?", help="its name in the catalogue, or its file")
    p.add_argument("--build", default="build", help="where juan and tests/look are")
    p.add_argument("--keep", help="folder for what look printed")
    p.add_argument("--whole", help="folder with whole books, for the text index alone")
    a = p.parse_args()
    index = os.path.join(a.build, "tests", "indexed")
    if a.whole:
        return whole_books(index, a.whole)
    told = subprocess.run([os.path.join(a.build, "juan"), "inspect", a.model, "--json"], check=True, capture_output=True)
    program, model = os.path.join(a.build, "tests", "look"), json.loads(told.stdout)["path"]
    with tempfile.TemporaryDirectory() as folder:
        keep = a.keep or folder
        os.makedirs(keep, exist_ok=True)
        readings = [Reading(b, look(program, model, b, keep)) for b in read_books()]
    known = set(readings[0].heads)
    asked = [(r, i, q["how"]) for r in readings for i, q in enumerate(r.book["questions"])]
    n = {how: sum(h == how for _, _, h in asked) for how in ("words", "other")}
    print(f"{len(asked)} questions on {len(readings)} books: right passage first, among three, among ten")
    print(f"{'':48}{'in the words (%d)' % n['words']:>20}{'in other words (%d)' % n['other']:>22}")
    for name, score in WAYS + [("text index, no attention", text_index(index)), ("the chosen one and the text index", both(CHOSEN, text_index(index), 0.5))]:
        if name.startswith(("four", "two", "(", "the chosen")) and not known >= set(FOUR):
            continue
        right = {(how, k): 0 for how in n for k in (1, 3, 10)}
        for r, i, how in asked:
            s = score(r, i)
            order = sorted(range(len(s)), key=lambda j: -s[j])
            rank = min(order.index(j) for j in r.right[i])
            for k in (1, 3, 10):
                right[how, k] += rank < k
        row = ["".join(f"{right[how, k]:5}" for k in (1, 3, 10)) for how in n]
        print(f"{name:48}{row[0]:>20}{row[1]:>22}")


if __name__ == "__main__":
    main()
