#!/usr/bin/env python3
"""Writes the questions that `juan eval qa` measures an adapter on, as rows of data/rows.h: those of CMRC 2018 trial, and, made from the same
passages, questions that these do not answer.

    tools/make_qa_set.py --corpus ../shared/corpus --out questions.jsonl [--seed 1] [--absent 250]

The set itself is not part of the project; this makes it from its file, the same one from the same seed. A question without an answer is of one of three
kinds, in equal parts, each about the passage's own names and numbers:
    elsewhere   a question of another passage that shares its words with this one, while none of its answers stands in this one
    changed     a question of this passage whose year or number was changed to one that does not stand there
    missing     what this passage does not tell about what it is about (the words are not those that the training rows have)
"""
import argparse
import collections
import json
import os
import random
import re

import make_adapter_corpus as corpus

# What may be asked of a thing of some sort, and the words of passages that perhaps tell it; how the sort shows in the first words of a passage.
SORTS = [
    (re.compile("出生|生于|[男女]，|演员|运动员|球员|歌手|政治人物|官员|作家|将领"),
     [("的身高是多少", "身高 高 米 cm 公分"), ("的母亲叫什么名字", "母"), ("一共有几个孩子", "子 女 孩 儿"), ("最喜欢吃什么", "吃 食"), ("小时候住在哪条街上", "街 路 住"), ("在哪家医院接受了手术", "医院 手术")]),
    (re.compile("植物|物种|[科属]的?一[个種种]|分布于|生长"),
     [("的种子可以保存多久", "保存 种子"), ("的学名是由谁命名的", "命名 学名"), ("一公斤能卖多少钱", "元 价"), ("最早是什么时候被引进日本的", "引进 引入 日本"), ("一年要浇几次水", "浇 水")]),
    (re.compile("电影|电视剧|电视|游戏|小说|动画|漫画|专辑|歌曲|节目|音乐"),
     [("的官方网站是什么", "网站 网址 www http"), ("一共花了多少制作费", "费 投资 成本 预算"), ("在哪个国家被禁止发行", "禁"), ("的主题曲是谁写的", "主题曲 作曲 作词 曲"), ("的第一批观众有多少人", "观众 玩家 读者"), ("获得了哪些国际奖项", "奖")]),
    (re.compile("位于|成立|建于|创建|公司|学校|大学|中学|机构|医院|车站|路线|街道|县|市"),
     [("的门票多少钱", "门票 票价 收费 票"), ("的联系电话是多少", "电话"), ("的总设计师是谁", "设计"), ("的口号是什么", "口号"), ("由哪家银行贷款", "银行 贷款"), ("有多少个停车位", "停车 车位"), ("的火灾造成了多少损失", "火灾 损失")]),
    (re.compile(""),
     [("是由谁最先提出的", "提出 发明 首 最早 创"), ("的英文缩写是什么", "缩写 简称 英文 英语"), ("一共花了多少钱", "元 费 资金 价"), ("在日本叫什么", "日本 日语"), ("的世界纪录是多少", "纪录 记录")]),
]
LEAD = 120
YEAR = re.compile(r"(?<!\d)(1[5-9]|20)\d\d(?=年)")
COUNT = re.compile(r"(?<![\dA-Za-z.-])[1-9]\d{0,3}(?=[届集期屆次场号部条路线名人岁个])")


def answered(records):
    """Rows of the questions that people asked, and the records they are of."""
    for r in records:
        for q in r["questions"]:
            span = corpus.span_of(r["text"], q) if q["question"].strip() else None
            if span:
                cut = corpus.quoted(r["text"], *span)
                yield r, corpus.row("asked", r["title"], r["text"], q["question"].strip(), cut[0] if cut else "", q["answers"][0], q["answers"])


def elsewhere(r, rows, rnd):
    """Of other passages' questions one of the eight that share most words with this one, and are not about a thing of their own by name."""
    shared = lambda q: corpus.overlap(q["question"], r["text"])
    here = [q for q in rows if q["passage"] != r["text"] and corpus.plain(q["answer"]) not in corpus.plain(r["text"]) and q["document"] not in q["question"] and .1 < shared(q) < .6]
    here.sort(key=lambda q: (-shared(q), q["question"]))
    return rnd.choice(here[:8])["question"] if here else None


def changed(r, mine, rnd):
    """A year or a count of a question gives way to one near it that does not stand in the passage."""
    out = []
    for q in mine:
        if re.search("任|职务", q["question"]):  # who came into an office before that year may have been in it
            continue
        for pattern, reach in ((YEAR, 9), (COUNT, 6)):
            for m in pattern.finditer(q["question"]):
                near = [str(n) for n in range(max(1, int(m.group()) - reach), int(m.group()) + reach + 1) if str(n) not in r["text"]]
                if near and m.group() in r["text"]:
                    out.append(q["question"][:m.start()] + rnd.choice(near) + q["question"][m.end():])
    return rnd.choice(out) if out else None


def missing(r, rnd):
    asked = next(asked for shows, asked in SORTS if shows.search(r["text"][:LEAD]))
    left = [what for what, words in asked if not any(w in r["text"] for w in words.split())]
    name = re.sub(r" \(.*\)$", "", r["title"])
    return f"{name}{rnd.choice(left)}？" if left and name in r["text"] else None


def absent(pairs, count, rnd):
    rows = [row for _, row in pairs]
    by_passage = collections.defaultdict(list)
    for row in rows:
        by_passage[row["passage"]].append(row)
    records = list({r["text"]: r for r, _ in pairs}.values())
    made, seen = [], {(row["passage"], row["question"]) for row in rows}
    for turn, kind in ((0, "changed"), (1, "elsewhere"), (2, "missing")):
        rnd.shuffle(records)
        n = 0
        for r in records * 2:
            if n >= (count + turn) // 3:
                break
            q = changed(r, by_passage[r["text"]], rnd) if kind == "changed" else elsewhere(r, rows, rnd) if kind == "elsewhere" else missing(r, rnd)
            if q and (r["text"], q) not in seen:
                seen.add((r["text"], q))
                n += 1
                made.append(corpus.refused("absent-" + kind, r["title"], r["text"], q))
    return made


def main():
    a = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    a.add_argument("--corpus", default="../shared/corpus")
    a.add_argument("--out", required=True)
    a.add_argument("--seed", type=int, default=1)
    a.add_argument("--absent", type=int, default=250)
    o = a.parse_args()
    pairs = list(answered(corpus.rows_of(os.path.join(o.corpus, "qa", "cmrc2018_trial.jsonl.xz"))))
    rows = [row for _, row in pairs] + absent(pairs, o.absent, random.Random(o.seed))
    with open(o.out, "w", encoding="utf8") as f:
        f.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    print(json.dumps(collections.Counter(row["kind"] for row in rows)))


if __name__ == "__main__":
    main()
