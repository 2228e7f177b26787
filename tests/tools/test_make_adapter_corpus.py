#!/usr/bin/env python3
"""tools/make_adapter_corpus.py: rows that training can use, nothing of what is measured among them, the same file from the same seed."""
import collections
import json
import os
import random
import subprocess
import sys
import tempfile

ROOT, BUILD, SHARED = os.environ["CJ_SOURCE"], os.environ["CJ_BUILD"], os.environ["CJ_SHARED"]
sys.path[:0] = [os.path.join(ROOT, "tests", "support"), os.path.join(ROOT, "tools")]
import adapter_facts
import make_adapter_corpus as maker
import tap

CORPUS = os.path.join(SHARED, "corpus")
folder = tempfile.mkdtemp(prefix="cj-corpus-")


def facts():
    r, seen = random.Random(3), collections.Counter()
    for _ in range(2000):
        f = adapter_facts.make_fact(r)
        assert f["answer"] in f["fact"] and f["fact"].endswith("。") and f["other"], f
        assert all(f["answer"] not in q for q in f["words"] + f["other"]), f
        seen[f["key"][0]] += 1
    assert len(seen) == 18 and min(seen.values()) > 40, seen


def quotes():
    text = "甲地在山下。乙地有井，井深二十丈，水很甜；冬天不结冰。\n丙地无水。"
    at = text.index("二十丈")
    assert maker.quoted(text, at, at + 3) == ("乙地有井，井深二十丈，水很甜；", "井深二十丈")
    at = text.index("乙地")
    assert maker.quoted(text, at, text.index("，水") ) == ("乙地有井，井深二十丈，水很甜；", "乙地有井，井深二十丈")
    assert maker.quoted(text, text.index("冬"), text.index("丙") + 1) is None, "no quote goes over a line end"


def fits():
    for question in ("谁修了桥？", "井有多深？哪口？", "他畢業於什麼學校？", "叫什么名字？", "有幾口井？"):
        assert maker.fitting(question, "二十丈", "井深二十丈") == "二十丈", question
    for question in ("为什么没有水？", "这口井有什么作用？", "如何取水？"):
        assert maker.fitting(question, "二十丈", "井深二十丈") == "井深二十丈", question
    assert maker.fitting("这口井有什么作用？", "取水", "它（村里的井用来取水") == "取水", "half of a pair"


def numbers():
    assert [maker.adapter_facts.number_words(n) for n in (12, 20, 35, 101, 110, 990)] == ["十二", "二十", "三十五", "一百零一", "一百一十", "九百九十"]


def planted():
    r = random.Random(1)
    text = "山里很静。" * 40
    out = maker.plant(text, ["甲。", "乙。"], r)
    assert out.replace("甲。", "").replace("乙。", "") == text and out.index("甲") < out.index("乙") and maker.plant("短。", ["甲。", "乙。"], r) is None


def trial_is_left_out():
    trial = [{"text": "这是一篇只用来衡量而从不拿来训练的文章，讲的是海边一座灯塔怎样由木头改成石头，又怎样在大风里倒下，后来的人再也没有去修它。", "questions": [{"question": "它用来做什么？"}]}]
    rows = [maker.row("cmrc", "d", "前面。" + trial[0]["text"], "别的问题？", "前面。", "前面"), maker.row("cmrc", "d", "前面。", "它用来做什么？", "前面。", "前面"),
            maker.row("fact-words-near", "d", "青石镇的邮差把那只铜哨子藏了。", "谁？", "青石镇的邮差把那只铜哨子藏了。", "邮差"), maker.row("cmrc", "d", "前面。", "哪里？", "前面。", "前面")]
    kept, left = maker.decontaminate(rows, trial, ["青石镇的邮差把那只铜哨子藏在磨坊\t谁？\n"])
    assert [r["question"] for r in kept] == ["哪里？"] and sum(left.values()) == 3


def make(name, *more):
    path = os.path.join(folder, name)
    told = subprocess.run([sys.executable, os.path.join(ROOT, "tools", "make_adapter_corpus.py"), "--juan", os.path.join(BUILD, "juan"), "--corpus", CORPUS,
                           "--out", path, "--scale", "0.02", *more], check=True, capture_output=True).stdout
    with open(path, encoding="utf8") as f:
        return json.loads(told), [json.loads(line) for line in f]


def whole():
    if not os.path.isdir(os.path.join(CORPUS, "qa")):
        raise tap.Skip(f"there is no {CORPUS}/qa")
    told, rows = make("a.jsonl")
    assert told["rows"] == len(rows) > 6000 and 15 <= told["unanswerable_percent"] <= 25 and told["unsound"] == 0, told
    assert all(maker.sound(r) for r in rows)
    assert {"cmrc", "drcd", "cmrc-absent", "drcd-absent", "fact-other-near", "fact-other-far", "made-asked", "made-said"} <= set(told["kinds"])
    trial = {maker.plain(q["question"]) for r in maker.rows_of(os.path.join(CORPUS, "qa", "cmrc2018_trial.jsonl.xz")) for q in r["questions"]}
    assert not any(maker.plain(r["question"]) in trial for r in rows)
    again, same = make("b.jsonl")
    assert same == rows and again == told
    _, short = make("c.jsonl", "--answers", "short")
    mean = lambda rs: sum(len(r["answer"]) for r in rs if r["quote"]) / len(rs)
    assert mean(short) < mean(rows)


tap.run([("made-up facts", facts), ("quotes", quotes), ("answers that fit", fits), ("numbers in words", numbers), ("planting", planted), ("what is measured is left out", trial_is_left_out), ("the corpus", whole)])
