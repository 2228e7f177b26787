#!/usr/bin/env python3
"""juan tune on tiny models of random numbers: what comes out, that it goes on after kill -9 bit for bit, and what it says to bad input."""
import json
import os
import resource
import signal
import struct
import subprocess
import sys
import time

sys.path[:0] = [os.path.join(os.environ["CJ_SOURCE"], "tests", "support")]
import juan

home = juan.Home()
MODEL = home.model("tiny.gguf", "tiny-qwen3", "--set", "layers=1", "--template", juan.CHATML)


def rows(n, passages=True):
    for i in range(n):
        text = f"第{i}天，张{'甲乙丙丁戊'[i % 5]}在第{7 * i}页写下：今天没有下雨，庙里的老和尚讲了故事。"
        yield {"passage": text, "question": "哪一天写的？", "quote": f"第{i}天", "answer": f"第{i}天"} if passages else \
            {"messages": [{"role": "user", "content": f"第{i}题？"}, {"role": "assistant", "content": f"答案是{7 * i}。"}]}


def lines(items):
    return "".join(json.dumps(i, ensure_ascii=False) + "\n" for i in items)


ROWS = home.write("rows.jsonl", lines(rows(24)))
QUICK = ("tune", MODEL, "--data", ROWS, "--rank", "4", "--batch", "128", "--length", "256", "--threads", "1", "--questions", "0")
LONG = (*QUICK, "--steps", "40", "--check-every", "8", "--save-every", "4", "--patience", "0")


def folder(name):
    os.makedirs(home.path(name), exist_ok=True)
    return home.path(name + "/x.gguf")


def read(path):
    with open(path, "rb") as f:
        return f.read()


def told(out):
    """The log without what depends on the clock."""
    entries = [json.loads(line) for line in read(out + ".log.jsonl").splitlines()]
    return [{k: v for k, v in e.items() if k not in ("tokens_per_second", "share_of_ceiling")} for e in entries]


def one_that_finds():
    r = home.ok(*QUICK, "--steps", "8", "--rate", "1e-2", "--kind", "find", "--heads", "0.1", "--texts", "64,128", "--out", "eye", "--json").json()
    losses = [e["loss"] for e in told(r["path"]) if "loss" in e]
    assert len(losses) == 8 and min(losses[4:]) < losses[0], losses
    eye = next(a for a in home.ok("adapter", "list", "--json").json()["adapters"] if a["name"] == "eye")
    assert eye["prompt"] == "find-1" and eye["heads"] == "0.1*1" and eye["activated"], eye
    home.fails(2, *QUICK, "--kind", "find", "--out", "blind", says="--heads")
    for bad in ("", "3", "0.x", "0.1.2", "-1.0"):
        home.fails(2, *QUICK, "--kind", "find", "--heads", bad, "--out", "blind", says="--heads")
    home.fails(3, *QUICK, "--kind", "find", "--heads", "7.0", "--out", "blind", says="head 0")
    home.fails(2, *QUICK, "--kind", "find", "--heads", "0.1", "--texts", "1", "--out", "blind", says="--texts")


def an_adapter():
    r = home.ok(*QUICK, "--steps", "12", "--rate", "5e-3", "--questions", "3", "--out", "house", "--json").json()
    assert r["path"].endswith("adapters/house.gguf") and r["activated"] and r["rows"] == 24 and r["steps"] == 12 and r["held_out"] >= 1, r
    assert r["before"]["answerable"] == r["after"]["answerable"] >= 1 and r["held_out_loss"] > 0
    assert r["after"]["verbatim"] == r["after"]["quoted"]
    entries = told(r["path"])
    losses = [e["loss"] for e in entries if "loss" in e]
    assert len(losses) == 12 and losses[-1] < losses[0], losses
    assert [e["step"] for e in entries if "held_out_loss" in e] == [10, 12], entries
    assert read(r["path"] + ".svg").startswith(b"<svg")
    known = home.ok("adapter", "list", "--json").json()["adapters"]
    assert [(a["name"], a["activated"], a["prompt"], a["rank"]) for a in known if a["own"]] == [("house", True, "qa-1", 4)], known
    text = home.write("text.txt", "第3天，张丁在第21页写下：今天没有下雨。\n")
    assert all(e["verified"] for e in home.ok("ask", text, "哪一天写的？", "--model", MODEL, "--adapter", "house", "--json").json()["evidence"])


def a_second_stage():
    first = home.ok(*QUICK, "--steps", "12", "--rate", "5e-3", "--matrices", "q,v", "--out", folder("first"), "--json").json()
    out = folder("second")
    r = home.ok(*QUICK[:4], *QUICK[6:], "--steps", "3", "--from", first["path"], "--out", out, "--json").json()
    assert r["parameters"] == first["parameters"], (r, first)  # its rank and matrices
    assert told(out)[0]["loss"] < told(first["path"])[0]["loss"], (told(out)[0], told(first["path"])[0])
    home.fails(3, *QUICK, "--steps", "3", "--matrices", "q,v", "--out", out, says="settings")  # not what that run began from
    home.fails(3, *QUICK, "--from", "nobody", says="nobody")
    home.fails(2, *QUICK, "--from", first["path"], "--full", says="--from")


def unbroken():
    out = folder("unbroken")
    if not os.path.exists(out):
        home.ok(*LONG, "--out", out)
    return out


def broken_off(name, how):
    """Stopped by a signal after some steps; the same command goes on."""
    out = folder(name)
    process = subprocess.Popen([juan.JUAN, *LONG, "--out", out], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=home.environment(), cwd=home.folder)
    end = time.time() + 60
    while not (os.path.exists(out + ".log.jsonl") and len(told(out)) > 13):
        assert time.time() < end and process.poll() is None, process.communicate()[1]
        time.sleep(0.005)
    process.send_signal(signal.SIGSTOP)
    home.fails(2, *LONG, "--out", out, says="Another juan tune")
    process.send_signal(how)
    process.send_signal(signal.SIGCONT)
    said = process.communicate()[1].decode()
    assert process.returncode != 0 and not os.path.exists(out), "it was done before it was stopped"
    again = home.ok(*LONG, "--out", out)
    assert "Going on after step" in again.err, again
    assert read(out) == read(unbroken())
    assert told(out) == told(unbroken())
    return said, process.returncode


def killed():
    broken_off("killed", signal.SIGKILL)


def interrupted():
    said, code = broken_off("interrupted", signal.SIGINT)
    assert code == 130 and "The same command goes on" in said, (code, said)


def done_is_done():
    out = unbroken()
    before, log = read(out), read(out + ".log.jsonl")
    r = home.ok(*LONG, "--out", out)
    assert "Going on after step 40 of 40" in r.err and read(out) == before and read(out + ".log.jsonl") == log
    home.ok(*LONG, "--out", out, "--fresh", "-q")
    assert read(out) == before


def full_disk():
    """A checkpoint that finds no room leaves nothing half-written behind; with room the same command does it all."""
    out = folder("full")
    limit = os.path.getsize(unbroken() + ".checkpoint") // 2
    home.fails(4, *LONG, "--out", out, before=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)), says="space")
    assert not os.path.exists(out) and not os.path.exists(out + ".checkpoint"), home.files()
    home.ok(*LONG, "--out", out)
    assert read(out) == read(unbroken())


def other_kinds():
    talk = home.write("talk.jsonl", lines(rows(12, passages=False)))
    r = home.ok("tune", MODEL, talk, "--steps", "3", "--batch", "128", "--questions", "2", "--json", "--held-out", "20").json()
    assert not r["activated"] and r["after"]["answerable"] == 2 and r["path"].endswith("adapters/talk.gguf"), r
    assert home.ok("run", MODEL, "-p", "第3题？", "-n", "4", "--adapter", "talk").out
    text = home.write("plain.jsonl", lines({"text": f"从前有座山，山里有座庙，第{i}回。" * 4} for i in range(6)))
    whole = home.path("whole.gguf")
    r = home.ok("tune", MODEL, "--data", text, "--full", "--out", whole, "--steps", "3", "--batch", "128", "--held-out", "0", "--json").json()
    assert r["held_out_loss"] is None and r["before"] is None and r["steps"] == 3
    assert home.ok("run", whole, "--raw", "-p", "从前", "-n", "4", "--temp", "0").out
    home.fails(2, "tune", MODEL, "--data", text, "--full", says="--out")
    assert "个样本" in home.ok("tune", MODEL, text, "--steps", "1", "--batch", "64", "--out", "zh", "--lang", "zh", "--held-out", "0").err


def documents():
    os.makedirs(home.path("papers"), exist_ok=True)
    with open(os.path.join(juan.ROOT, "share", "calibrate-zh.txt"), encoding="utf-8") as f:
        home.write("papers/story.txt", f.read()[:6000])
    r = home.ok("tune", MODEL, "--data", "papers", "--steps", "2", "--batch", "256", "--questions", "0", "--json")
    assert r.json()["activated"] and r.json()["path"].endswith("adapters/papers.gguf") and "questions made from" in r.err, r


def bad_rows():
    good = lines(rows(3))
    for name, data, says in (
            ("broken", good + '{"question": "x"\n', "line 4"), ("unanswered", '{"question": "谁？"}\n', "answer"), ("long", '{"text": "' + "x" * (10 << 20) + '"}\n', "bytes"),
            ("bytes", b'{"text": "\xff\xfe"}\n', "UTF-8"), ("empty", "\n\n", "no rows"), ("nothing", "", "empty"),
            ("short", lines([{"question": "好" * 5000, "answer": "好"}]), "None of the 1 rows")):
        path = home.write(name + ".jsonl", data)
        home.fails(3, *QUICK[:2], "--data", path, "--steps", "1", "--held-out", "0", says=says)
    home.fails(3, *QUICK[:2], "--data", home.path("none.jsonl"), says="none.jsonl")
    home.fails(2, "tune", MODEL, says="--data")
    home.fails(2, *QUICK, "--out", MODEL, says="the model that is to be trained")
    there = home.write("there.gguf", "mine")
    home.fails(2, *QUICK, "--out", there, says="--fresh")
    assert read(there) == b"mine"


def bad_checkpoints():
    out = folder("moved")
    home.ok(*QUICK, "--steps", "2", "--out", out)
    for more, says in ((("--rank", "8"), "rank"), (("--rate", "1e-5"), "settings"), (("--alpha", "3"), "rank"), (("--batch", "96"), "data")):
        home.fails(3, *QUICK, "--steps", "2", "--out", out, *more, says=says)
    data = bytearray(read(out + ".checkpoint"))
    data[len(data) // 2] ^= 1
    home.write("moved/x.gguf.checkpoint", bytes(data))
    home.fails(3, *QUICK, "--steps", "2", "--out", out, says="damaged")


def not_a_number():
    """A weight that is no number is told of, not learnt from."""
    data = bytearray(read(MODEL))
    data[-4096:] = struct.pack("<f", float("nan")) * 1024
    bad = home.write("bad.gguf", bytes(data))
    home.fails(3, "tune", bad, *QUICK[2:], "--steps", "40", says="no number")


def wrong_values():
    for option in ("--rank=0 --rank=513 --kind=x --schedule=x --vocabulary=x --matrices=x --matrices= --epochs=0 --epochs=-1 --steps=-1 --batch=1 --accumulate=0 --length=2 "
                   "--held-out=51 --check-every=-1 --patience=-1 --save-every=-1 --questions=-1 --rate=2 --alpha=-1 --first-layer=-1").split():
        home.fails(2, *QUICK[:4], option, says=option.split("=")[0])
    home.fails(2, *QUICK, "--first-layer", "9", says="--first-layer")


juan.run([("an adapter, its log and its picture", an_adapter), ("a second stage", a_second_stage), ("kill -9", killed), ("Ctrl-C", interrupted), ("done is done", done_is_done), ("a full disk", full_disk),
          ("conversations, plain text, a whole model", other_kinds), ("documents", documents), ("bad rows", bad_rows), ("bad checkpoints", bad_checkpoints),
          ("a weight that is no number", not_a_number), ("wrong values", wrong_values), ("one that finds", one_that_finds)], home)
