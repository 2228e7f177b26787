#!/usr/bin/env python3
"""Writes the corpus that the default adapter is trained on, as rows of data/rows.h, and tells how many of each kind there are.

    tools/make_adapter_corpus.py --juan build/juan --corpus ../shared/corpus --out rows.jsonl [--seed 1] [--answers fitting|marked|clause|short] [--scale 1.0]

Sources: CMRC 2018 dev and DRCD dev (questions people asked); questions made by `juan questions` from laws, novels, essays and the passages
of the two; made-up facts hidden in public-domain texts (tools/adapter_facts.py), asked for in their own words and in others, near and far;
and unanswerable questions on the same passages, with their own names and numbers. Nothing of CMRC 2018 trial or of the needle evaluation
is used: what shares a passage, a question or a run of words with them is left out (and counted).

An answer is what people marked, of several the one most like the others (--answers marked), the clause of the quote that holds what was marked
(--answers clause), the one where a name, number, time or place is asked for and the other elsewhere (--answers fitting), or the shortest marked
words alone (--answers short). The quote is the sentence around it, word for word. The same seed gives the same file.
"""
import argparse
import collections
import json
import lzma
import os
import random
import re
import subprocess
import tempfile

import adapter_facts

REFUSAL = "文中未提及"
STOPS, BREAKS, CLOSERS = "。！？；!?;", "，：,:", "”’」』）》)\""
QUOTE_MAX, CLAUSE_MIN = 90, 2


def rows_of(path):
    with lzma.open(path, "rt", encoding="utf8") as f:
        return [json.loads(line) for line in f]


def plain(s):
    return re.sub(r"[\s\W_]+", "", s).lower()


# ---- quotes and answers ----

def around(text, begin, end, marks):
    """The part between marks that holds text[begin:end], the mark after it and what closes with it included."""
    while begin and text[begin - 1] not in marks + "\n":
        begin -= 1
    while end < len(text) and text[end - 1] not in marks and text[end] not in marks + "\n":
        end += 1
    while end < len(text) and text[end] in marks + CLOSERS:
        end += 1
    while begin < end and text[begin] in CLOSERS + " 　":
        begin += 1
    return begin, end


def bare(s):
    return s.strip(STOPS + BREAKS + " 　、\n.")


def quoted(text, begin, end):
    """Quote and clause for a marked span, or None where no quote of one line can hold it."""
    a, b = around(text, begin, end, STOPS)
    if b - a > QUOTE_MAX:
        a, b = around(text, begin, end, STOPS + BREAKS)
    c, d = around(text, begin, end, STOPS + BREAKS)
    quote, clause = text[a:b].strip(), bare(text[max(a, c):min(b, d)])
    if "\n" in quote or not quote or text[begin:end].strip() not in quote or b - a > 3 * QUOTE_MAX:
        return None
    return quote, clause if clause in quote and len(clause) >= CLAUSE_MIN else text[begin:end].strip()


def row(kind, document, passage, question, quote, answer, known=()):
    r = {"passage": passage, "question": question, "quote": quote, "answer": answer}
    if known:
        r["answers"] = list(dict.fromkeys(k for k in known if k and k != answer))
    return {**r, "document": document, "kind": kind}


def refused(kind, document, passage, question):
    return row(kind, document, passage, question, "", REFUSAL)


# ---- questions that people asked ----

def span_of(text, question):
    """The longest of the marked answers that stands in the text, where it was marked or nearest to it."""
    best = None
    for answer in question["answers"]:
        places = [m.start() for m in re.finditer(re.escape(answer), text)] if answer.strip() else []
        starts = [s for s in question["starts"] if s >= 0] or [0]
        if places and (best is None or len(answer) > best[1] - best[0]):
            begin = min(places, key=lambda p: min(abs(p - s) for s in starts))
            best = (begin, begin + len(answer))
    return best


def likeness(a, b):
    """F1 over characters."""
    a, b = plain(a), plain(b)
    shared = sum((collections.Counter(a) & collections.Counter(b)).values())
    return 2 * shared / (len(a) + len(b)) if shared else 0


def most_like_the_others(answers):
    return max(answers, key=lambda a: sum(likeness(a, b) for b in answers))


# Questions that want a name, a number, a time or a place, in simplified and traditional characters. What others want is told in a clause.
WANTS_A_NAME = re.compile("[谁誰哪几幾]|多少|[何][时時地人处處年月日种種者名]|[叫][什甚][么麼]|名[称稱字]|多[大长長高久远遠]|是或否|[什甚][么麼](?:"
                          "[时時地名国國语語队隊职職奖獎日科属屬年字人]|学校|學校|大学|大學|公司|颜色|顏色|动物|動物|植物|城市|朝代|作品|节目|節目|电影|電影|歌|"
                          "专辑|專輯|杂志|雜誌|报|報|组织|組織|机构|機構|乐|樂|身[分份])")
PAIRS = ("（）", "()", "《》", "“”", "「」", "『』")


def fitting(question, marked, clause):
    whole = all(clause.count(a) == clause.count(b) for a, b in PAIRS)
    return marked if WANTS_A_NAME.search(question) or not whole else clause


def asked_by_people(name, records, style):
    out = []
    for r in records:
        for q in r["questions"]:
            found = [a for a in q["answers"] if a.strip() and a in r["text"]]
            usual = {**q, "answers": [most_like_the_others(found)]} if style in ("marked", "fitting") and found else q
            span = span_of(r["text"], usual)
            cut = quoted(r["text"], *span) if span else None
            if not cut:
                continue
            short = min(found, key=len)
            marked = usual["answers"][0].strip()
            answer = {"clause": cut[1], "short": short, "marked": marked, "fitting": fitting(q["question"], marked, cut[1])}[style]
            out.append(row(name, f"{name}:{r['title']}", r["text"], q["question"].strip(), cut[0], answer, [short, *q["answers"]]))
    return out


# ---- unanswerable questions on the same passages ----

ASPECTS = [("的海拔是多少", "海拔 高度 标高"), ("的票房收入是多少", "票房"), ("是由谁作曲的", "作曲 谱曲"), ("的总投资是多少", "投资 造价 耗资"), ("最近一次修订是在什么时候", "修订 修改"), ("的英文缩写是什么", "缩写 简称"),
           ("的主要竞争对手是谁", "对手 竞争"), ("的年产量是多少", "产量 年产"), ("的墓葬在哪里", "葬 墓"), ("获得过哪些奖项", "奖"), ("的售价是多少", "售价 价格 元"), ("有多少名员工", "员工 职员 职工"), ("的父亲是谁", "父"), ("的毕业院校是哪里", "毕业 就读 大学 学院"),
           ("的邮政编码是多少", "邮编 邮政"), ("的重量是多少", "重 公斤 吨"), ("的首播日期是哪一天", "首播 播出 播放"), ("为什么被取消", "取消 废止 撤销"), ("的现任负责人是谁", "现任 负责 主席 校长"), ("的死因是什么", "死 逝 去世 病"),
           ("一共卖出了多少份", "销量 卖出 售出"), ("的血型是什么", "血型"), ("用的是什么材料", "材料 材质"), ("的保质期有多长", "保质 保存")]
NUMBER = re.compile(r"\d+(?:\.\d+)?|[一二三四五六七八九十百千]{2,}")
TITLE = re.compile(r"《[^《》\n]{2,20}》")


def key_words(question):
    """What a question is about: runs of characters without the words that all questions have."""
    cut = re.split(r"什么|甚麼|什麼|为何|為何|哪[个個些里裡年一位种種]?|谁|誰|多少|几|幾|怎[么麼样樣]|如何|何[时時处處人]|[的是在了有於于与與和被由]|[？?，。、]", question)
    return [w for w in cut if len(w) >= 2]


def overlap(question, passage):
    words = [question[i:i + 2] for i in range(len(question) - 1)]
    return sum(w in passage for w in words) / max(1, len(words))


def another(pattern, asked, passage, rnd):
    """The question with one number or title in it changed to another of the passage; None: there is none to change."""
    found = [m.group() for m in pattern.finditer(asked)]
    others = [m.group() for m in pattern.finditer(passage) if m.group() not in asked]
    if not found or not others:
        return None
    old = rnd.choice(found)
    same = [o for o in others if len(o) == len(old)] or others
    return asked.replace(old, rnd.choice(same), 1)


def unanswerable(rows, records, name, share, rnd):
    """Three ways in turn: another passage's question of the same article, one with its number or title changed, a thing the passage leaves out."""
    by_title, by_passage, out = collections.defaultdict(list), collections.defaultdict(list), []
    for r in rows:
        by_title[r["document"]].append(r)
        by_passage[r["passage"]].append(r)
    records = [r for r in records if r["text"] in by_passage]
    want = int(len(rows) * share / (1 - share))
    traditional = name == "drcd"
    refuse = lambda r, q: out.append(refused(name + "-absent", f"{name}:{r['title']}", r["text"], q))
    order = records * 3
    rnd.shuffle(order)
    for i, r in enumerate(order):
        if len(out) >= want:
            break
        mine = by_passage[r["text"]]
        here = {q["question"] for q in mine} | {o["question"] for o in out if o["passage"] == r["text"]}
        made = None
        if i % 3 == 0:
            near = [q for q in by_title[f"{name}:{r['title']}"] if q["passage"] != r["text"] and plain(q["answer"]) not in plain(r["text"]) and q["answers"]
                    and all(a not in r["text"] for a in q["answers"]) and overlap(q["question"], r["text"]) < .55]
            made = rnd.choice(near)["question"] if near else None
        if not made and i % 3 < 2:
            changed = [c for q in mine for c in (another(NUMBER, q["question"], r["text"], rnd), another(TITLE, q["question"], r["text"], rnd)) if c]
            made = rnd.choice(changed) if changed else None
        if not made and not traditional:
            subject = r["title"] if r["title"] in r["text"] else next((w for q in mine for w in key_words(q["question"]) if w in r["text"]), None)
            left = [(a, k) for a, k in ASPECTS if not any(w in r["text"] for w in k.split())]
            made = f"{subject}{rnd.choice(left)[0]}？" if subject and left else None
        if not made:  # of any other article, about something that this passage knows nothing of
            q = rnd.choice(rows)
            made = q["question"] if q["passage"] != r["text"] and overlap(q["question"], r["text"]) < .35 else None
        if made and made not in here:
            refuse(r, made)
    return out


# ---- questions made from texts ----

def made_from_texts(juan, slices, seed, each, style, length=900, absent=20):
    """slices: [(document, text)]. `juan questions` over them, with a label before each kind."""
    with tempfile.TemporaryDirectory() as parent:
        d, names = os.path.join(parent, "texts"), {}  # the folder's name is in the documents', which the seed goes with
        os.mkdir(d)
        for i, (document, text) in enumerate(slices):
            names[f"texts/{i}.txt"] = document
            with open(os.path.join(d, f"{i}.txt"), "w", encoding="utf8") as f:
                f.write(text)
        made = subprocess.run([juan, "questions", d, "--each", str(each), "--absent", str(absent), "--length", str(length), "--seed", str(seed), "-q"],
                              check=True, capture_output=True).stdout.decode("utf8")
    out = []
    for line in made.splitlines():
        r = json.loads(line)
        short = r["answer"]
        if style == "clause" and r["kind"] == "asked":
            at = r["quote"].index(short)
            r["answer"] = bare(r["quote"][slice(*around(r["quote"], at, at + len(short), STOPS + BREAKS))]) or short
        out.append(row("made-" + r["kind"], names.get(r["document"], r["document"]), r["passage"], r["question"], r["quote"], r["answer"],
                       [short] if r["quote"] else ()))
    return out


def slices_of(records, label, chars, count, rnd):
    """count pieces of about so many characters, from the lines of random places of random texts."""
    out = []
    for i in range(count):
        r = rnd.choice([x for x in records if len(x["text"]) > 2 * chars])
        begin = r["text"].find("\n", rnd.randrange(len(r["text"]) - chars - 1)) + 1
        out.append((f"{label}:{r['title']}:{begin}", r["text"][begin:begin + chars]))
    return out


# ---- hidden facts ----

def plant(text, facts, rnd):
    """The text with the facts at the ends of sentences, spread over it; None: too few places."""
    ends = [m.end() for m in re.finditer(r"[。！？][”’」』]?(?=[^”’」』\n])", text)]
    if len(ends) < 2 * len(facts):
        return None
    step = len(ends) / len(facts)
    places = sorted(ends[min(len(ends) - 1, int(step * (i + rnd.random())))] for i in range(len(facts)))
    out, last = [], 0
    for place, fact in zip(places, facts):
        out += [text[last:place], fact]
        last = place
    return "".join(out) + text[last:]


def hidden_facts(slices, per_thousand, most, style, share, rnd):
    """In each slice some facts; every fact is asked in its words or in others, some that are not there are asked too."""
    out = []
    for document, text in slices:
        n = max(2, min(most, int(len(text) * per_thousand / 1000)))
        facts = {}
        while len(facts) < 2 * n:
            f = adapter_facts.make_fact(rnd)
            facts.setdefault(f["key"], f)
        facts = list(facts.values())
        there, away = facts[:n], facts[n:]
        passage = plant(text, [f["fact"] for f in there], rnd)
        if passage is None:
            continue
        far = "far" if len(passage) > 4000 else "near"
        for f in there:
            answer = bare(next(c for c in re.split("[，。]", f["fact"]) if f["answer"] in c)) if style == "clause" else f["answer"]
            for kind, question in (("words", rnd.choice(f["words"])), ("other", rnd.choice(f["other"]))):
                if kind == "other" or rnd.random() < .5:
                    out.append(row(f"fact-{kind}-{far}", document, passage, question, f["fact"], answer, [f["answer"]]))
        for f in away[:round(len(there) * 1.5 * share / (1 - share)) or int(rnd.random() < share)]:
            out.append(refused(f"fact-absent-{far}", document, passage, rnd.choice(f["words"] + f["other"])))
    return out


# ---- what must not be in it ----

RUN, FACT_RUN = 13, 7


def runs(s, n):
    s = plain(s)
    return {s[i:i + n] for i in range(len(s) - n + 1)}


def decontaminate(rows, trial, needles):
    """Leaves out rows whose question, quote or passage shares a run of letters with what is measured."""
    texts, questions, facts = set(), set(), set()
    for r in trial:
        texts |= runs(r["text"], RUN)
        questions |= {plain(q["question"]) for q in r["questions"]}
    for line in needles:
        for field in line.rstrip("\n").split("\t"):
            facts |= runs(field, FACT_RUN)
    kept, left, seen = [], collections.Counter(), {}
    for r in rows:
        p = r["passage"]
        if p not in seen:
            shared = runs(p, RUN) & texts
            seen[p] = len(shared) > 2 * RUN  # a passage, not a turn of phrase
        if seen[p]:
            left["passage of the trial set"] += 1
        elif plain(r["question"]) in questions or len(runs(r["quote"], RUN) & texts) > RUN:
            left["question or quote of the trial set"] += 1
        elif (runs(r["question"], FACT_RUN) | runs(r["quote"], FACT_RUN) if r["kind"].startswith("fact") else runs(r["question"], RUN)) & facts:
            left["words of the needle evaluation"] += 1
        else:
            kept.append(r)
    return kept, left


def sound(r):
    """Whether a row is what training expects: quote in passage, answer in quote, or a refusal with neither."""
    if not r["quote"]:
        return r["answer"] == REFUSAL
    return r["quote"] in r["passage"] and "\n" not in r["quote"] and r["answer"] in r["quote"] and r["question"].strip() != ""


def gather(o, rnd):
    read = lambda name: rows_of(os.path.join(o.corpus, name))
    cmrc, drcd = read("qa/cmrc2018_dev.jsonl.xz"), read("qa/drcd_dev.jsonl.xz")
    novels, laws, essays = read("novels.jsonl.xz"), read("laws.jsonl.xz"), read("luxun.jsonl.xz")
    times = lambda n: max(1, round(n * o.scale))
    rows = []
    for name, records in (("cmrc", cmrc), ("drcd", drcd)):
        asked = asked_by_people(name, records, o.answers)
        rows += asked + unanswerable(asked, records, name, .2, rnd)
        rnd.shuffle(records)
        wiki = [(f"{name}:{r['title']}", r["text"].replace("\n", " ")) for r in records[:times(500)]]
        rows += made_from_texts(o.juan, wiki, o.seed, 2, o.answers, 2000)
    for records, label, chars, count in ((laws, "law", 4000, 45), (novels, "novel", 12000, 30), (essays, "essay", 8000, 10)):
        rows += made_from_texts(o.juan, slices_of(records, label, chars, times(count), rnd), o.seed, 3, o.answers)
    mixed = novels + essays + laws
    rows += hidden_facts(slices_of(mixed, "near", 900, times(160), rnd), 4, 4, o.answers, .2, rnd)
    rows += hidden_facts(slices_of(mixed, "middle", 3000, times(90), rnd), 3, 9, o.answers, .2, rnd)
    for chars, count in ((8000, 30), (16000, 20), (30000, 12)):
        rows += hidden_facts(slices_of(mixed, "far", chars, times(count), rnd), 1.2, 24, o.answers, .2, rnd)
    return rows


def main():
    a = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    a.add_argument("--juan", default="build/juan")
    a.add_argument("--corpus", default="../shared/corpus")
    a.add_argument("--needles", default=os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "share", "needles-zh.tsv"))
    a.add_argument("--out", required=True)
    a.add_argument("--seed", type=int, default=1)
    a.add_argument("--answers", choices=("fitting", "marked", "clause", "short"), default="fitting")
    a.add_argument("--scale", type=float, default=1.0, help="how much is made besides what people asked")
    o = a.parse_args()
    rnd = random.Random(o.seed)
    with open(o.needles, encoding="utf8") as f:
        needles = [line for line in f if not line.startswith("#")]
    rows = gather(o, rnd)
    unsound = sum(not sound(r) for r in rows)
    rows, left = decontaminate([r for r in rows if sound(r)], rows_of(os.path.join(o.corpus, "qa", "cmrc2018_trial.jsonl.xz")), needles)
    rows = list({(r["passage"], r["question"]): r for r in rows}.values())
    with open(o.out, "w", encoding="utf8") as f:
        for r in rows:
            f.write(json.dumps(r, ensure_ascii=False) + "\n")
    kinds = collections.Counter(r["kind"] for r in rows)
    refusals = sum(not r["quote"] for r in rows)
    print(json.dumps({"rows": len(rows), "passages": len({r["passage"] for r in rows}), "passage_characters": sum(map(len, {r["passage"] for r in rows})),
                      "unanswerable_percent": round(100 * refusals / len(rows), 1), "kinds": dict(sorted(kinds.items())), "unsound": unsound, "left_out": dict(left)},
                     ensure_ascii=False, indent=1))


if __name__ == "__main__":
    main()
