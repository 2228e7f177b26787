#!/usr/bin/env python3
"""What the commands write and which exit code they leave with, on tiny models. Bad files: test_bad_input.py."""
import hashlib
import json
import os
import struct
import xml.etree.ElementTree
import sys

sys.path[:0] = [os.path.join(os.environ["CJ_SOURCE"], "tests", "support")]
import juan

home = juan.Home()
TEXT = "第一回 甄士隐梦幻识通灵\nHello, wörld! 🀄 1234567\t\r\n  <|im_end|> done"


# ---- tokens ----

def round_trip():
    for shape in ("tiny-qwen3", "tiny-gemma3"):
        model = home.model(shape + ".gguf", shape)
        path = home.write("text.txt", TEXT)
        ids = home.ok("tokenize", model, path).json()
        assert ids and all(isinstance(i, int) for i in ids)
        assert home.ok("tokenize", model, "-", given=TEXT).json() == ids == home.ok("tokenize", model, given=TEXT).json()
        assert home.ok("detokenize", model, given=json.dumps(ids)).raw == TEXT.encode()
        spans = home.ok("tokenize", model, path, "--spans").json()
        assert [s[0] for s in spans] == ids
        assert spans[0][1] == 0 and spans[-1][2] == len(TEXT.encode()) and all(a[2] == b[1] for a, b in zip(spans, spans[1:]))
        assert home.ok("detokenize", model, given=json.dumps(spans)).raw == TEXT.encode()


def specials():
    model = home.model()
    plain, special = (home.ok("tokenize", model, *o, given=TEXT).json() for o in ((), ("--special",)))
    assert len(special) < len(plain), "<|im_end|> is one token with --special and text without"
    ids = json.dumps(special)
    assert "<|im_end|>" not in home.ok("detokenize", model, given=ids).out
    assert "<|im_end|>" in home.ok("detokenize", model, "--special", given=ids).out


def odd_text():
    model = home.model()
    assert home.ok("tokenize", model, given=b"").json() == []
    assert home.ok("detokenize", model, given="[]").raw == b""
    broken = b"a\xff\xfe\x80b"
    ids = home.ok("tokenize", model, given=broken).out
    assert home.ok("detokenize", model, given=ids).raw == broken, "any bytes can be had back"


def bad_ids():
    model = home.model()
    for text, says in (("", "JSON"), ("{", "JSON"), ("7", "array"), ("[1.5]", "item 0"), ("[1,\"2\"]", "item 1"), ("[-1]", "item 0"),
                       ("[4000000000]", "item 0"), ("[99999]", "99999"), ("[[1,2]]", "item 0")):
        home.fails(3, "detokenize", model, given=text, says=says)


# ---- templates ----

REQUEST = {"messages": [{"role": "user", "content": "Hi"}], "add_generation_prompt": True}
SHOWN = "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n"


def template():
    request = home.write("request.json", json.dumps(REQUEST))
    jinja = juan.CHATML
    assert home.ok("template", jinja, request).out == SHOWN == home.ok("template", home.chat_model(), request).out
    assert home.ok("template", jinja, "-", given=json.dumps(REQUEST)).out == SHOWN
    tokens = home.write("tokens.jinja", "{{ bos_token }}{{ messages[0]['content'] }}{{ eos_token }}")
    given = {**REQUEST, "bos_token": "B", "eos_token": "E"}
    assert home.ok("template", tokens, "-", given=json.dumps(given)).out == "BHiE"
    model = home.model("tokens.gguf", "tiny-qwen3", "--template", tokens)
    assert home.ok("template", model, request).out == "<|endoftext|>Hi<|im_end|>"


def bad_requests():
    request = home.write("request.json", json.dumps(REQUEST))
    home.fails(3, "template", home.model(), request, says="chat template")
    home.fails(3, "template", home.path("absent.jinja"), request)
    for bad in ("", "[]", "{}", '{"messages": 1}', '{"messages": [', '{"messages": [{}]} x', "\xff"):
        home.fails(3, "template", juan.CHATML, "-", given=bad.encode("latin-1"))


# ---- inspect, doctor, list ----

def inspect():
    model = home.model("gemma.gguf", "tiny-gemma3")
    i = home.ok("inspect", model, "--json").json()
    assert i["path"] == model and i["family"] == "gemma3" and i["layers"] == 7 and i["context"] == 2048 and i["runs"] is True
    assert [(m["layers"], m["window"]) for m in i["mixers"]] == [(5, 16), (1, None), (1, 16)]
    assert i["weight_bytes"] > 0 and sum(i["types"].values()) == i["tensors"]
    # one full layer, one KV head of 64 keys and 64 values, bf16
    assert i["context_bytes_per_token"] == 2 * 64 * 2
    assert home.ok("inspect", model, "--json", "--kv", "f32").json()["context_bytes_per_token"] == 2 * 64 * 4
    sizes = [m["context_bytes"] for m in i["memory"]]
    assert sizes == sorted(sizes) and len(sizes) == 3
    for language in ("en", "zh"):
        text = home.ok("inspect", model, "--lang", language).out
        assert "░░░░░█░" in text and "2,048" in text, text


def inspect_what_cannot_run():
    home.model()
    with open(home.path("tiny.gguf"), "rb") as f:
        strange = f.read().replace(b"qwen3", b"qwenX")
    i = home.ok("inspect", home.write("strange.gguf", strange), "--json").json()
    assert i["runs"] is False and "qwenX" in i["why_not"] and i["family"] == "qwenX"
    assert "qwenX" in home.ok("inspect", home.path("strange.gguf")).out
    home.fails(3, "run", home.path("strange.gguf"), "-p", "x", says="qwenX")


def doctor():
    d = home.ok("doctor", "--json").json()
    assert d["processor"]["cores"] > 0 and d["levels"]["ref"] is True and d["levels"][d["level"]] is True
    assert d["memory"]["total"] >= d["memory"]["available"] > 0 and d["folders"]["home"] == home.home
    assert d["ceilings"]["f32_gflops"] > 0 and d["ceilings"]["read_gbytes"] > 0
    assert any("pull" in a for a in d["advice"]), "without a model, doctor says how to get one"
    assert isinstance(d["programs"]["pdftotext"], bool) and d["confinement"] in ("filter", "limits")
    assert any("poppler-utils" in a for a in home.ok("doctor", "--json", PATH=home.folder).json()["advice"])
    assert home.ok("doctor", "--json", "--cpu", "ref").json()["level"] == "ref"
    missing = [level for level, runs in d["levels"].items() if not runs]
    for level in missing:
        home.fails(3, "doctor", "--cpu", level)
    for language in ("en", "zh"):
        assert d["processor"]["name"] in home.ok("doctor", "--lang", language).out


def catalogue():
    models = home.ok("list", "--json").json()
    assert models["default"] in [m["name"] for m in models["models"]]
    for m in models["models"]:
        assert m["ready"] and m["state"] == "absent" and m["licence"] and m["licence_url"]
    everything = home.ok("list", "--all", "--json").json()["models"]
    assert len(everything) >= len(models["models"])
    for language in ("en", "zh"):
        assert models["default"] in home.ok("list", "--lang", language).out
    name = models["default"]
    for command in (("inspect", name), ("run", name, "-p", "x"), ("tokenize", name), ("perplexity", name, home.write("t.txt", "x")),
                    ("quantize", name, home.path("q.gguf"), "--type", "Q8_0")):
        home.fails(3, *command, says=f"juan pull {name}")
    home.fails(3, "rm", name)
    home.fails(3, "rm", "../../etc")
    home.fails(3, "pull", "no-such-model", says="no-such-model")


def own_catalogue():
    """A model of the user's own: pulled from a path, listed, inspected and run by its name, removed."""
    model = home.model()
    with open(model, "rb") as f:
        digest = hashlib.sha256(f.read()).hexdigest()
    entry = (f"[mine]\ntitle = Mine\nvendor = Me\nlicence = Apache-2.0\nlicence-text = https://example.org/licence\nlanguages = en\n"
             f"context = 2048\nmemory = 100 MiB\ncan = chats\nfile = tiny.gguf\nsize = {os.path.getsize(model)}\n"
             f"sha256 = {digest}\nsource = path:{model}\n")
    home.write("home/models.ini", entry)
    r = home.ok("pull", "mine")
    assert "Apache-2.0" in r.err and "https://example.org/licence" in r.err, "the licence is named before the download"
    assert home.ok("pull", "mine", "--json").json()["state"] == "installed"
    assert [m["name"] for m in home.ok("list", "--json").json()["models"] if m["state"] == "installed"] == ["mine"]
    assert home.ok("inspect", "mine", "--json").json()["licence"] == "Apache-2.0"
    assert home.ok("doctor", "--json").json()["models"][0]["name"] == "mine"
    home.ok("run", "mine", "--raw", "-p", "x", "-n", "2")
    assert home.ok("rm", "mine", "--json").json()["name"] == "mine"
    home.fails(3, "inspect", "mine", says="juan pull mine")
    assert os.path.exists(model), "a model that lies elsewhere is not removed"
    home.write("home/models.ini", entry.replace(digest, "0" * 64))
    r = home.fails(3, "pull", "mine", says="sha256")
    assert r.err.count("sha256 is") == 1, r
    home.fails(3, "inspect", "mine")
    home.write("home/models.ini", "what is this")
    for command in ("list", "pull"):
        home.fails(3, command, says="models.ini")
    assert any("models.ini" in a for a in home.ok("doctor", "--json").json()["advice"])
    os.remove(home.path("home/models.ini"))


def recommendation():
    r = home.ok("pull", "--json").json()
    assert r["memory_available"] > 0 and all(m["ready"] for m in r["recommended"])
    assert "juan pull" in home.ok("pull").out


# ---- quantize, logits ----

def quantize():
    model, out = home.model("f32.gguf", "tiny-qwen3", "--type", "F32"), home.path("small.gguf")
    q = home.ok("quantize", model, out, "--type", "q4_k", "--json").json()
    assert q["path"] == out and 0 < q["bytes_after"] < q["bytes_before"] / 4 and q["requantised"] == 0
    assert "Q4_K" in home.ok("inspect", out, "--json").json()["types"]
    home.ok("run", out, "--raw", "-p", "abc", "-n", "3")
    text = home.ok("quantize", out, home.path("again.gguf"), "--type", "Q4_0")
    assert "KiB" in text.out or "MiB" in text.out
    assert "before" in text.err, "quantising twice is said"
    home.fails(2, "quantize", model, out, says="--type")
    home.fails(2, "quantize", model, out, "--type", "Q9_Z", says="Q8_0")
    home.fails(2, "quantize", model, model, "--type", "Q8_0", says="input itself")
    home.fails(3, "quantize", home.path("absent.gguf"), out, "--type", "Q8_0")
    home.fails(3, "quantize", model, home.path("no/such/folder/x.gguf"), "--type", "Q8_0")
    home.fails(2, "quantize", model, home.path("folder/"), "--type", "Q8_0", says="BF16")
    home.fails(2, "quantize", model, home.folder + "/", "--type", "F32", says="there already")
    assert not [f for f in home.files() if f.endswith(".part")]


def logits():
    model, out = home.model(), home.path("out.f32")
    ids = home.write("ids.i32", struct.pack("<5i", 1, 2, 3, 4, 5))
    home.ok("logits", model, "--ids", ids, "--out", out)
    assert os.path.getsize(out) == 5 * 512 * 4
    home.fails(2, "logits", model, "--ids", ids, says="--out")
    home.fails(2, "logits", model, "--ids", ids, "--out", out, "--decode", "6")
    home.fails(2, "logits", model, "--ids", ids, "--out", out, "--chunk", "-1")
    home.fails(3, "logits", model, "--ids", home.write("odd", b"abc"), "--out", out)
    home.fails(3, "logits", model, "--ids", home.write("big", struct.pack("<i", 512)), "--out", out, says="512")
    home.fails(3, "logits", model, "--ids", home.write("long", struct.pack("<i", 1) * 2049), "--out", home.path("new"), says="2049")
    assert not os.path.exists(home.path("new")) and not [f for f in home.files() if f.endswith(".part")]


def without_a_catalogue():
    """A model's file is opened where no catalogue lies, or a broken one: only names need it."""
    golden, ids = os.path.join(juan.ROOT, "tests", "golden", "qwen3", "model.gguf"), home.write("two.i32", struct.pack("<2i", 1, 2))
    home.write("home/models.ini", "what is this")
    for where in ({"JUAN_SHARE": home.path("nothing")}, {}):
        out = home.path("two.f32")
        home.ok("logits", golden, "--ids", ids, "--out", out, **where)
        assert os.path.getsize(out) == 2 * home.ok("inspect", golden, "--json", **where).json()["vocabulary"] * 4
        os.remove(out)
        rates = home.ok("bench", golden, "-p", "4", "-n", "2", "-r", "1", "--json", **where).json()["results"]
        assert [r["test"] for r in rates] == ["prefill", "decode"] and all(r["tokens_per_second"]["median"] > 0 for r in rates)
        assert home.ok("run", home.model(), "--raw", "-p", "x", "-n", "2", **where).err.count("models.ini") == 0
        home.fails(3, "logits", "gemma-3-270m", "--ids", ids, "--out", out, says="models.ini", **where)
    os.remove(home.path("home/models.ini"))


def counts():
    """K is a thousand where tokens or characters are counted, 1,024 only where bytes are."""
    for given, depths in (("0,1K", [0, 1000]), ("7,1300,", [7, 1300])):
        r = home.ok("bench", home.model(), "-p", "4", "-n", "0", "-r", "1", "-d", given, "--json").json()
        assert [t["depth"] for t in r["results"]] == depths, r
    for given in ("2M", "2048K", "2048kb"):
        home.fails(4, "run", home.model(), "-p", "x", "--ram", given, says="2 MiB")


# ---- ask ----

def ask_without_model_or_question():
    path = home.write("story.txt", "从前有座山。")
    home.fails(3, "ask", path, "庙在哪里？", says="juan pull")
    home.fails(2, "ask", path, "--model", home.model())


def ask_shows_evidence():
    """Text for people, JSON for programs: the same quotes, cut from the documents; nothing but text where no terminal is."""
    first, second = home.write("first.txt", "第一回 山上\n\n从前有座山。山上有座庙，庙里有个老和尚。\n"), home.write("second.txt", "The cat sleeps. The dog eats fish.\n")
    for model in (home.model("reader.gguf", "tiny-gemma3"), home.chat_model()):
        options = ("--model", model, "-n", "4", "--evidence", "2")
        r = home.ok("ask", first, second, "庙在哪里？", *options, "--json")
        answer, texts = r.json(), {"first.txt": open(first, encoding="utf-8").read(), "second.txt": open(second, encoding="utf-8").read()}
        assert len(answer["evidence"]) == 2 and isinstance(answer["answer"], str) and answer["answer"] == answer["answer"].lstrip()
        assert 0 < answer["timings"]["first_token_seconds"] <= answer["timings"]["total_seconds"]
        for e in answer["evidence"]:
            assert e["verified"] and texts[e["document"]][e["start"]:e["end"]] == e["quote"] and e["found_by"] == "reading", e
            assert e["chapter"] == ("第一回 山上" if e["document"] == "first.txt" else None)
        text = home.ok("ask", first, second, "庙在哪里？", *options, "--lang", "zh")
        assert "\x1b" not in text.out + text.err and "\r" not in text.out + text.err
        for e in answer["evidence"]:
            assert f"「{e['quote']}」\n    —— {e['document']} " in text.out and f"第 {e['start']}–{e['end']} 字" in text.out
            assert not e["paragraph"] or f" 第 {e['paragraph']} 段 第 {e['start']}–" in text.out, text  # a title is in none
        assert answer["end"] in ("stop", "length"), answer
        assert text.out.startswith("依据\n") and "回答：" in text.out and "阅读" in text.err
        assert home.ok("ask", first, "庙在哪里？", *options, "-q").err == ""
        piped = home.ok("ask", "-", "庙在哪里？", *options, "--json", given=texts["first.txt"]).json()
        assert piped["evidence"] == [{**e, "document": piped["evidence"][0]["document"]}
                                     for e in home.ok("ask", first, "庙在哪里？", *options, "--json").json()["evidence"]]


def evaluates():
    """juan eval: figures that add up, the same ones every time, and a sentence for what cannot be."""
    model = home.model()
    text = home.write("long.txt", "".join(f"第{i}天，他在山里走了很远的路，一个人也没有遇见。\n" for i in range(1500)))
    command = ("eval", "needle", model, "--text", text, "--lengths", "6K,20000", "--find", "index", "--json")
    one, two, other = home.ok(*command).json(), home.ok(*command).json(), home.ok(*command, "--seed", "9").json()
    assert one == two and one["cases"] != other["cases"] and one["task"] == "needle" and one["seed"] == 1 and one["protocol"]
    assert {(r["column"], r["length"]) for r in one["rows"]} == {("index", 6000), ("index", 20000)}
    for row in one["rows"]:
        cases = [c for c in one["cases"] if (c["group"], c["length"]) == (row["group"], row["length"])]
        assert row["questions"] == row["located"]["n"] == len(cases)
        for key, name in (("located_first", "first"), ("located", "among")):
            f = row[key]
            assert f["right"] == sum(c[name] == c["places"] for c in cases) and f["low"] <= f["share"] <= f["high"], row
            cells = [c[key]["right"] for c in one["cells"] if (c["group"], c["length"]) == (row["group"], row["length"])]
            assert f["right"] == sum(cells) or row["group"] == "pair" and not cells
        if row["group"] == "words":
            assert row["located"]["share"] > 0.9, row
    said = home.ok("eval", "needle", model, "--text", text, "--lengths", "6K", "--find", "index", "--lang", "zh").out
    assert "6000 字，原词提问，index" in said and "定位" in said, said
    for kind, groups in (("stars", {"stars", "recount"}), ("ruler", {"keys", "tracking", "counting"}), ("needle", {"words", "other", "pair"})):
        for language in ("en", "zh"):
            got = home.ok("eval", kind, model, "--text", text, "--lengths", "8K,20K", "--repeat", "2", "--find", "index", "--svg", home.path("a.svg"), "--json", "--lang", language)
            assert {r["group"] for r in got.json()["rows"]} == groups and {r["length"] for r in got.json()["rows"]} == {8000, 20000}
            words = "".join(xml.etree.ElementTree.parse(home.path("a.svg")).getroot().itertext())
            assert ("index" in words) and ("2万" in words) == (language == "zh") and ("20K" in words) == (language == "en"), words
    bench = home.path("longbench")
    os.mkdir(bench)
    paragraphs = "\n\n".join(f"段落{i}：第{i}座山上住着{'甲乙丙丁戊'[i - 1]}姓人家。" for i in range(1, 6))
    prompt = f"以下是若干段落文字。\n\n{paragraphs}\n\n下面是一个摘要\n\n丙姓人家住在山上\n\n请输入摘要所属段落的编号。\n\n答案是："
    line = json.dumps({"task": "passage_retrieval_zh", "prompt": prompt, "gold": ["段落3"]}, ensure_ascii=False)
    home.write("longbench/passage_retrieval_zh.jsonl", line + "\n" + line + "\n")
    row, = home.ok("eval", "longbench", model, "--data", bench, "--find", "index", "--json").json()["rows"]
    assert row["group"] == "passage_retrieval_zh" and row["located_first"]["right"] == 2
    few = home.write("few.tsv", "第七间屋里有一口红木箱子。\t第七间屋里有什么？\t房中摆着何物？\t红木箱子\n井底住着一只白色的龟。\t井底住着什么？\t水下有何物？\t白色的龟\n")
    got = home.ok("eval", "needle", home.chat_model(), "--text", text, "--lengths", "600", "--needles", few, "--answer", "--threads", "1", "--json").json()
    assert {(r["column"], r["group"]) for r in got["rows"]} == {(c, g) for c in ("direct", "reading", "index", "both") for g in ("words", "other", "pair")}
    for row in got["rows"]:
        assert row["answered"]["n"] == row["questions"] and 0 <= row["answered"]["low"] <= row["answered"]["mean"] <= row["answered"]["high"] <= 1, row
        assert (row["located"] is None) == (row["column"] == "direct"), row
        if row["column"] == "index" and row["group"] == "words":
            assert row["located"]["right"] == 2, row
    assert {(c["column"], c["against"]) for c in got["comparisons"]} >= {("reading", "index"), ("reading", "both"), ("index", "both")}
    kept = ("eval", "needle", home.chat_model(), "--text", text, "--lengths", "600,900", "--needles", few, "--find", "reading", "--as", "kept", "--threads", "1", "--json")
    first, made = home.ok(*kept).json(), [home.ok("shelf", "show", name, "--json").json() for name in ("kept-1", "kept-2")]
    again = home.ok(*kept).json()
    assert [e["characters"] for e in made] == [600, 900] and again["cases"] == first["cases"]
    assert "白色的龟" in home.ok("ask", "kept-2", "井底住着什么？", "-n", "4", "--find", "index", "--json").json()["evidence"][0]["quote"]
    left = [f for _, folders, _ in os.walk(home.folder) for f in folders if f.startswith("eval-")]
    assert not left, f"left behind: {left}"
    home.fails(2, "eval", "longbench", model, says="--data")
    home.fails(3, "eval", "longbench", model, "--data", home.home, says="multifieldqa_zh.jsonl")
    home.write("longbench/passage_retrieval_zh.jsonl", line + "\n{}\n")
    home.fails(3, "eval", "longbench", model, "--data", bench, says="line 2")
    home.fails(3, "eval", "stars", model, "--text", text, "--data", bench, says="a_stars.txt")
    home.fails(3, "eval", "needle", model, "--text", text, "--lengths", "2M", says="--lengths")
    home.fails(3, "eval", "needle", model, "--text", text, "--needles", text, says="line 1")
    home.fails(3, "eval", "needle", model, "--text", home.path("none.txt"), says="none.txt")
    home.fails(2, "eval", "needle", model, says="--text")
    home.fails(2, "eval", "haystack", model, "--text", text, says="haystack")


def agrees():
    """juan eval agreement: a table, JSON and a picture; of a text, and of an entry's pages."""
    model = home.model()
    text = home.write("agree.txt", "".join(f"第{i}天，他在山里走了{i * 7 % 31}里路，一个人也没有遇见。\n" for i in range(150)))
    command = ("eval", "agreement", model, "--text", text, "--threads", "1", "--lengths", "1300,2K", "--keep", "2", "--rows", "16", "--copies", "2", "--heads", "1.0,3.2")
    one = home.ok(*command, "--svg", home.path("agree.svg"), "--json").json()
    assert one == home.ok(*command, "--json").json() and one["entry"] is None and one["keep"] == 2, one
    assert [d["depth"] for d in one["depths"]] == [1300, 2000]
    for d in one["depths"]:
        assert d["rows"] == 16 and d["exact"]["kl_mean"] == 0 and d["exact"]["top1_same"] == 1 and d["control"]["kl_mean"] > 0, d
        assert len(d["copies"]["from"]) == 2 and d["copies"]["behind"] >= d["depth"] * 0.79 and d["copies"]["tokens"] == 2 * 112, d
        assert all(d[way]["copied_nll"] > 0 for way in ("exact", "sparse", "control")), d
        assert [(b["layer"], b["head"]) for b in d["best_pages"]] == [(1, 0), (3, 2)], d
        assert all(0 < b["kept"] <= b["pages"] and b["far_kept"] <= b["far"] and (b["far_share_kept"] is None or b["far_share_kept"] <= 1) for b in d["best_pages"]), d
    assert one["depths"] != home.ok(*command, "--seed", "9", "--json").json()["depths"]
    words = "".join(xml.etree.ElementTree.parse(home.path("agree.svg")).getroot().itertext())
    assert "sparse" in words and "mean KL" in words and "copies" in words and "best 16 pages" in words, words
    said = home.ok(*command, "--lang", "zh", "--svg", home.path("agree.svg")).out
    assert "保留 2 页" in said and "头 3.2" in said and "重复了 2 段" in said, said
    words = "".join(xml.etree.ElementTree.parse(home.path("agree.svg")).getroot().itertext())
    assert "稀疏" in words and "对照" in words, words
    plain = home.ok(*command[:-4], "--copies", "0")
    assert "copies" not in plain.out and "--heads" in plain.err, plain
    home.ok("read", text, "--as", "agree", "--fast", "--model", model, "--threads", "1")
    of_entry = ("eval", "agreement", model, "--entry", "agree", "--threads", "1", "--lengths", "2K", "--keep", "2", "--rows", "16", "--heads", "1.0")
    got = home.ok(*of_entry, "--json").json()
    assert got["entry"] == "agree" and got["entry_keep"] == 128 and got["depths"][0]["control"]["kl_mean"] > 0, got
    assert "agree" in home.ok(*of_entry, "--svg", home.path("agree.svg")).out
    home.fails(3, "eval", "agreement", home.model("other.gguf", "tiny-qwen3", "--seed", "7"), "--entry", "agree", "--lengths", "2K", says="was read with")
    home.fails(3, "eval", "agreement", model, "--entry", "none", says="none")
    home.fails(3, *command[:5], "--lengths", "1M", says="--lengths")
    home.fails(2, *command[:-1], "0.9", says="0.9")
    home.fails(2, *of_entry, "--text", text, says="--entry")
    home.fails(2, "eval", "agreement", model, says="--text")
    home.fails(3, "eval", "agreement", model, "--text", text, "--svg", home.folder, "--threads", "1", "--lengths", "1300")


def questions():
    folder = home.path("asked")
    os.makedirs(folder, exist_ok=True)
    story = "秦掌柜在临河镇开了三十年当铺，从不曾看走过眼。秦掌柜笑道：“客官要当什么？”汉子把匣盖揭开，里面是十二枚金钱，放在柜上。秦掌柜忙问道：“这是哪里来的东西？”汉子转身往白石桥去了，一句话也没有说。" * 3
    home.write("asked/a.txt", story)
    home.write("asked/b.txt", "供水单位应当在水源地周围五百米以内设置明显的标志。" * 8)
    told = home.ok("questions", folder, "--each", "6", "--absent", "0")
    rows = told.lines()
    assert rows and all(r["quote"] in r["passage"] and r["answer"] in r["quote"] for r in rows) and "said" in told.err
    assert {r["document"] for r in rows} == {"asked/a.txt", "asked/b.txt"} and {"said", "asked", "hidden"} <= {r["kind"] for r in rows}
    assert home.ok("questions", folder, "--each", "6", "--absent", "0").out == told.out
    assert home.ok("questions", folder, "--each", "6", "--absent", "0", "--seed", "9").out != told.out
    home.fails(3, "questions", home.write("short.txt", "短。"), says="Nothing to ask")
    home.fails(3, "questions", home.path("none.txt"), says="none.txt")
    for bad in (("--each", "0"), ("--absent", "90"), ("--length", "10"), ("--passages", "-1")):
        home.fails(2, "questions", folder, *bad, says=bad[0])


def json_is_alone():
    """With --json standard output is JSON and nothing else, also when standard error has something to say."""
    model = home.model()
    for command in (("list",), ("doctor",), ("pull",), ("inspect", model), ("quantize", model, home.path("j.gguf"), "--type", "Q4_0")):
        assert isinstance(home.ok(*command, "--json", "--lang", "zh").json(), dict), command
    for line in home.ok("run", model, "-p", "x", "-n", "4", "--json").lines():
        assert isinstance(line, dict)


def quiet():
    model = home.model()
    assert home.ok("run", model, "-p", "x", "-n", "2", "-q").err == ""
    assert home.ok("quantize", model, home.path("k.gguf"), "--type", "Q4_0", "-q").err == ""


juan.run([("tokens round trip with spans", round_trip), ("special tokens", specials), ("odd text", odd_text), ("bad token ids", bad_ids),
          ("template", template), ("bad requests to templates", bad_requests), ("inspect", inspect), ("inspect what cannot run", inspect_what_cannot_run),
          ("doctor", doctor), ("the catalogue", catalogue), ("a catalogue of one's own", own_catalogue), ("recommendation", recommendation),
          ("quantize", quantize), ("logits", logits), ("a model without a catalogue", without_a_catalogue), ("counts", counts),
          ("ask without a model or a question", ask_without_model_or_question), ("ask shows evidence", ask_shows_evidence), ("evaluations", evaluates), ("questions from documents", questions), ("agreement", agrees), ("--json is alone", json_is_alone), ("--quiet", quiet)], home)
