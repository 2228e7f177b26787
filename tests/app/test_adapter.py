#!/usr/bin/env python3
"""juan adapter, --adapter of ask, run and chat, and juan eval qa, on a tiny model and adapters of random numbers."""
import json
import os
import random
import struct
import sys
from array import array

sys.path[:0] = [os.path.join(os.environ["CJ_SOURCE"], "tests", "support")]
import adapter_file
import juan

home = juan.Home()
SHAPES = {"attn_q": (256, 256), "attn_v": (256, 128), "ffn_gate": (256, 512), "ffn_up": (256, 512), "ffn_down": (512, 256)}


def text(s):
    b = s.encode()
    return struct.pack("<Q", len(b)) + b


def key(name, value):
    if isinstance(value, bool):
        return text(name) + struct.pack("<I?", 7, value)
    return text(name) + (struct.pack("<If", 6, value) if isinstance(value, float) else struct.pack("<I", 8) + text(value))


def adapter(name, family="qwen3", activated=False, layers=1, by=0.2, prompt="", heads=""):
    """A file of rank 4 for a tiny model of `layers` layers."""
    random.seed(7)
    keys = [("general.architecture", family), ("general.type", "adapter"), ("adapter.type", "lora"), ("adapter.lora.alpha", 8.0),
            ("general.base_model.0.name", "tiny"), ("changjuan.adapter.activated", activated),
            ("changjuan.adapter.prompt", prompt), ("changjuan.adapter.heads", heads)]
    about, data, n = b"", b"", 0
    for layer in range(layers):
        for stem, (cols, rows) in SHAPES.items():
            for end, dims in (("a", (cols, 4)), ("b", (4, rows))):
                about += text(f"blk.{layer}.{stem}.weight.lora_{end}") + struct.pack("<IQQIQ", 2, *dims, 0, len(data))
                data += struct.pack(f"<{dims[0] * dims[1]}f", *(random.uniform(-by, by) for _ in range(dims[0] * dims[1])))
                n += 1
    head = b"GGUF" + struct.pack("<IQQ", 3, n, len(keys)) + b"".join(key(*k) for k in keys) + about
    path = home.path(name)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as f:
        f.write(head + bytes(-len(head) % 32) + data)
    return path


MODEL = home.model("tiny.gguf", "tiny-qwen3", "--set", "layers=1")
SAY = ("run", MODEL, "--raw", "-p", "Hello, wörld", "-n", "12", "--temp", "0")


def own():
    """Those of the user; some may come with the program."""
    return [a for a in home.ok("adapter", "list", "--json").json()["adapters"] if a["own"]]


def listed():
    assert own() == []
    adapter("home/adapters/house.gguf", activated=True)
    home.write("home/adapters/broken.gguf", "GGUF")
    home.write("home/adapters/note.txt", "no adapter")
    broken, house = own()
    assert broken["name"] == "broken" and broken["damaged"]
    assert house["name"] == "house" and house["activated"] and house["rank"] == 4 and house["own"] and house["base"] == "tiny" and house["bytes"] > 1000
    shown = home.ok("adapter").out
    assert "house" in shown and "rank 4" in shown and "activated" in shown, shown
    assert "秩 4" in home.ok("adapter", "list", "--lang", "zh").out


def used():
    path = adapter("a.gguf")
    plain = home.ok(*SAY).out
    assert home.ok(*SAY, "--adapter", path).out != plain
    assert home.ok(*SAY, "--adapter", "house").out != plain
    assert home.ok(*SAY, "--adapter", "none").out == plain
    file = home.write("text.txt", "The house stands on a hill. A dog sleeps in front of it.\n")
    for name in ("none", "house", path):
        r = home.ok("ask", file, "Who sleeps?", "--model", MODEL, "--adapter", name, "--json").json()
        assert isinstance(r["answer"], str) and all(e["verified"] for e in r["evidence"])
    tried = home.ok("adapter", "try", "house", file, "Who sleeps?", "--model", MODEL, "--json").json()
    assert tried["question"] == "Who sleeps?" and isinstance(tried["with"], str) and isinstance(tried["without"], str)
    assert "With house:" in home.ok("adapter", "try", "house", file, "Who sleeps?", "--model", MODEL).out


def over_the_shelf():
    path, asked = adapter("a.gguf"), adapter("asked.gguf", activated=True, prompt="qa-1")
    file = home.write("text.txt", "The house stands on a hill. A dog sleeps in front of it.\n")
    home.ok("read", file, "--as", "hill", "--model", MODEL)
    for name in ("house", path, asked):
        home.ok("ask", "hill", "Who sleeps?", "--adapter", name, "--json")
    for name in ("house", asked):
        home.ok("ask", "hill", "Who sleeps?", "--adapter", name, "--direct", "--json")
    r = home.ok("ask", file, "Who sleeps?", "--model", MODEL, "--adapter", asked, "--explain", "--json").json()
    assert r["adapter"] == "asked" and home.ok("ask", file, "Who sleeps?", "--model", MODEL, "--adapter", "none", "--json").json()["adapter"] is None
    assert "With the adapter asked" in home.ok("ask", file, "Who sleeps?", "--model", MODEL, "--adapter", asked, "--explain").out
    assert r["mode"] == "close" and all(e["verified"] for e in r["evidence"]), r
    home.fails(2, "ask", "hill", "Who sleeps?", "--adapter", path, "--direct", says="acts on documents")
    home.fails(2, "chat", "hill", "--adapter", path, given="Who sleeps?\n", says="acts on documents")
    home.ok("chat", "hill", "--adapter", "house", given="Who sleeps?\n")
    for how in ((), ("--direct",)): # each question by itself
        said = home.ok("chat", "hill", "--adapter", asked, *how, "--threads", "1", "--json", given="Who sleeps?\nWhat stands there?\nWho sleeps?\n").lines()
        assert len(said) == 3 and said[0]["answer"] == said[2]["answer"] and said[0]["adapter"] == "asked", said
        assert [e["quote"] for e in said[0]["evidence"]] == [e["quote"] for e in said[2]["evidence"]] and all(e["verified"] for e in said[0]["evidence"]), said


def questions():
    """juan eval qa: the answers of juan ask, question by question, though a passage is read once; the columns beside each other."""
    path, text = adapter("asked.gguf", activated=True, prompt="qa-1"), "甲村有一口井。乙村有两口井，井边有一棵树。丙村没有井，只有一座桥。"
    rows = [{"passage": text, "question": q, "answer": a} for q, a in
            (("甲村有几口井？", "一口井"), ("乙村有几口井？", "两口井"), ("丙村有什么？", "一座桥"), ("丁村有什么？", "文中未提及"))]
    data, each, passage = home.write("rows.jsonl", "".join(json.dumps(r) + "\n" for r in rows)), home.path("each.jsonl"), home.write("passage.txt", text)
    command = ("eval", "qa", MODEL, "--data", data, "--adapter", path, "--adapter", "none", "--exact-math", "--threads", "1")
    got = home.ok(*command, "--each", each, "--json").json()
    assert [c["adapter"] for c in got["columns"]] == ["asked", "none"] and got["questions"] == 4 and got["unanswerable"] == 1 and got["seed"] == 1
    for c in got["columns"]:
        assert c["exact"]["n"] == c["f1"]["n"] == c["gold_in_first_quote"]["n"] == 3 and c["unanswerable_refused"]["n"] == 1 and c["seconds"] > 0
        assert c["quotes_verbatim"]["share"] == 1 and c["f1"]["low"] <= c["f1"]["mean"] <= c["f1"]["high"]
    with open(each, encoding="utf8") as f:
        answers = [json.loads(line) for line in f]
    assert [(a["adapter"], a["question"]) for a in answers] == [(n, r["question"]) for n in ("asked", "none") for r in rows]
    for a in answers:
        r = home.ok("ask", passage, a["question"], "--model", MODEL, "--adapter", path if a["adapter"] == "asked" else "none", "--exact-math", "--threads", "1", "--json").json()
        assert (r["answer"], [e["quote"] for e in r["evidence"]]) == (a["answer"], a["quotes"]), (a, r)
    assert answers[0]["answer"] != answers[4]["answer"]
    shown = home.ok(*command, "-n", "2").out
    assert "| | asked | none |" in shown and "exact match" in shown and "2 questions" not in shown.split("seed")[1], shown
    assert "完全匹配" in home.ok(*command, "-n", "2", "--lang", "zh").out
    home.fails(2, "eval", "qa", MODEL, says="--data")
    home.fails(3, "eval", "qa", MODEL, "--data", home.path("no.jsonl"), says="no.jsonl")
    home.fails(3, "eval", "qa", MODEL, "--data", home.write("text.jsonl", '{"text": "a"}\n'), says="passage")
    home.fails(3, "eval", "qa", MODEL, "--data", data, "--adapter", "nobody", says="nobody")
    home.fails(3, "eval", "qa", MODEL, "--data", data, "--each", home.folder)


def finds():
    """One that finds reads questions to find, not to answer; what was read of the text serves it as it is."""
    eye = adapter("eye.gguf", activated=True, prompt="find-1", heads="0.1")
    file = home.write("text.txt", "The house stands on a hill. A dog sleeps in front of it.\n")
    for about in ((file, "Who sleeps?", "--model", MODEL), ("hill", "Who sleeps?", "--find", "reading")):
        without, seen = (home.ok("ask", *about, "--adapter", name, "--json", "--explain").json() for name in ("none", eye))
        assert seen["answer"] == without["answer"] or seen["evidence"] != without["evidence"], seen
        kinds = [[s["step"] for s in r["steps"] if s["step"] != "begin"] for r in (without, seen)]
        assert kinds[0][1] == kinds[1][0] == "look" and kinds[0][2:] == kinds[1][1:], kinds
        assert all(e["verified"] for e in seen["evidence"])
    home.fails(2, "ask", "hill", " ", "--find", "reading", "--adapter", eye)
    home.ok("chat", "hill", "--adapter", eye, given="Who sleeps?\n")
    assert home.ok("adapter", "try", eye, file, "Who sleeps?", "--model", MODEL, "--json").json()["with"] is not None
    facts = home.write("facts.tsv", "一只猫睡在墙上。\t猫睡在哪里？\t那个小兽在何处歇着？\t墙上\n")
    haystack = home.write("long.txt", "那天一直下雨。没有人到老屋来。风吹了一夜。\n" * 20)
    for name in (eye, "none"):
        home.ok("eval", "needle", MODEL, "--text", haystack, "--lengths", "300", "--needles", facts, "--find", "reading", "--adapter", name, "--json")


def merged():
    path, out = adapter("a.gguf"), home.path("merged.gguf")
    exact = ("--exact-math", "--kv", "f32")
    r = home.ok("adapter", "merge", path, out, "--model", MODEL, "--type", "F32", "--json").json()
    assert r["path"] == out and r["bytes"] > 1000 and not r["activated"]
    assert home.ok("run", out, *SAY[2:], *exact).out == home.ok(*SAY, "--adapter", path, *exact).out != home.ok(*SAY, *exact).out
    assert "acts on documents too" in home.ok("adapter", "merge", "house", out, "--model", MODEL).err
    home.fails(2, "adapter", "merge", path, out, "--model", MODEL, "--type", "Q9", says="--type")


def published():
    """Merged into a folder: the same model and the same tokens as the merged file, in every family; and an adapter there and back."""
    ids = home.write("ids", struct.pack("<40i", *random.Random(3).choices(range(500), k=40)))
    said = home.write("said.txt", "Hello  there, it's 123 wörlds:\n\n  文中未提及「引号」 🙂 of them\tall. ")
    for family in ("gemma3", "llama", "qwen2", "qwen3"):
        model, out = home.model(f"{family}.gguf", f"tiny-{family}", "--set", "layers=2", "--type", "F32"), home.path(f"{family}-out")
        path = adapter_file.write_random(model, home.path("random.gguf"))
        r = home.ok("adapter", "merge", path, out, "--model", model, "--json").json()
        home.ok("adapter", "merge", path, out + ".gguf", "--model", model)
        assert r["path"] == out and r["bytes"] > 1000 and sorted(os.listdir(out)) == [
            "config.json", "generation_config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"], os.listdir(out)
        for name in (out, out + ".gguf", model):
            home.ok("logits", name, "--ids", ids, "--out", home.path(os.path.basename(name) + ".logits"), "--exact-math", "--kv", "f32")
        folder, file, base = (array("f", open(home.path(f"{family}{end}.logits"), "rb").read()) for end in ("-out", "-out.gguf", ".gguf"))
        size = max(map(abs, file))
        assert max(abs(a - b) for a, b in zip(folder, file)) < 1e-5 * size and max(abs(a - b) for a, b in zip(base, file)) > 1e-3 * size
        assert home.ok("tokenize", out, said, "--special").out == home.ok("tokenize", model, said, "--special").out
        home.fails(2, "adapter", "merge", path, out, "--model", model, says="there already")
        home.fails(2, "adapter", "merge", path, out + "2", "--model", model, "--type", "Q8_0", says="BF16")
        home.ok("adapter", "export", path, out + "-peft", "--model", model)
        home.ok("adapter", "export", out + "-peft", out + "-back.gguf", "--model", model)
        home.ok("adapter", "merge", out + "-back.gguf", out + "-again.gguf", "--model", model)
        home.ok("adapter", "merge", path, out + "-laid", "--model", out)
        with open(out + ".gguf", "rb") as a, open(out + "-again.gguf", "rb") as b:
            assert a.read() == b.read(), "an adapter comes back from PEFT's form as it was"
    assert "lay it over documents too" in home.ok("adapter", "export", "house", home.path("house-peft"), "--model", MODEL).err
    experts = home.model("experts.gguf", "tiny-qwen3moe", "--set", "layers=1")
    home.fails(3, "quantize", experts, home.path("experts/"), "--type", "BF16", says="ends in .gguf")
    assert not os.path.exists(home.path("experts"))


def refused():
    home.fails(3, *SAY, "--adapter", "nothing", says="juan adapter list")
    home.fails(3, *SAY, "--adapter", "/no/such.gguf", says="/no/such.gguf")
    home.fails(3, *SAY, "--adapter", MODEL, says="is a model")
    home.fails(3, *SAY, "--adapter", adapter("other.gguf", family="llama"), says="llama")
    home.fails(3, *SAY, "--adapter", adapter("deep.gguf", layers=2), says="layers")
    home.fails(3, *SAY, "--adapter", adapter("nan.gguf", by=float("nan")), says="NaN")
    home.fails(2, "adapter", "mend", says="mend")
    home.fails(2, "adapter", "merge", "house", says="juan adapter merge")
    home.fails(3, "adapter", "rm", "nothing", says="nothing")


def removed():
    assert home.ok("adapter", "rm", "house", "--json").json() == {"name": "house"}
    home.ok("adapter", "rm", "broken")
    assert own() == []


juan.run([("listed", listed), ("used", used), ("over the shelf", over_the_shelf), ("questions about passages", questions), ("finds", finds),
          ("merged", merged), ("published", published), ("refused", refused), ("removed", removed)], home)
