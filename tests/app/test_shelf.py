#!/usr/bin/env python3
"""juan shelf: what juan read keeps is listed, shown, checked, moved to another home and removed; what is damaged is named, and read again."""
import ctypes
import glob
import hashlib
import os
import sqlite3
import struct
import sys

sys.path[:0] = [os.path.join(os.environ["CJ_SOURCE"], "tests", "support")]
import juan

home = juan.Home()
TEXT = "".join(f"第{i}回说的是从前有座山，山里有座庙，庙里的老和尚讲第{i * 7}个故事。\n\n" for i in range(40))


def read(name="山", *more):
    return home.ok("read", home.write("shan.txt", TEXT), "--as", name, "--model", home.model(), "--json", *more).lines()[-1]


SOUND = {"damaged": [], "other_versions": []}


def shelf(*arguments, **more):
    return home.ok("shelf", *arguments, "--json", **more).json()


def segments():
    return sorted(glob.glob(os.path.join(home.home, "shelf", "segments", "*.seg")))


def flip(path, at):
    with open(path, "r+b") as f:
        f.seek(at, 0 if at >= 0 else 2)
        b = f.read(1)
        f.seek(-1, 1)
        f.write(bytes([b[0] ^ 1]))


def empty():
    assert shelf("list") == {"entries": []}
    assert "juan read" in home.ok("shelf").out and "juan read" in home.ok("shelf", "--lang", "zh").out
    assert shelf("verify") == SOUND and shelf("gc") == {"bytes": 0}
    home.fails(3, "shelf", "show", "山", says="山")


def listed():
    done = read()
    e, = shelf()["entries"]
    assert e["name"] == "山" and e["complete"] and e["tokens"] == e["tokens_total"] == done["tokens"] and not e["damaged"], e
    assert e["characters"] == len(TEXT) and e["bytes"] > 0 and e["mode"] in ("exact", "fast") and e["kv"] == "q8", e
    assert e["documents"] == [{"file": "shan.txt", "characters": len(TEXT), "sha256": hashlib.sha256(TEXT.encode()).hexdigest()}], e
    assert shelf("show", "山") == e
    text = home.ok("shelf", "list").out
    assert "山" in text and f"{len(TEXT):,}" in text, text
    assert "shan.txt" in home.ok("shelf", "show", "山").out


def moved():
    path = home.path("山.juan")
    r = shelf("export", "山", path)
    assert r["bytes"] == os.path.getsize(path), r
    r = home.fails(2, "shelf", "import", path, says="--as")
    e = shelf("import", path, "--as", "庙")
    assert e["name"] == "庙" and e["documents"] == shelf("show", "山")["documents"] and e["model_path"] is None, e
    elsewhere = os.path.join(home.folder, "elsewhere")
    assert shelf("import", path, JUAN_HOME=elsewhere)["name"] == "山"
    assert shelf("verify", "山", JUAN_HOME=elsewhere) == SOUND
    flip(path, os.path.getsize(path) // 2)
    home.fails(3, "shelf", "import", path, "--as", "c", says=path)
    assert [x["name"] for x in shelf()["entries"]] == ["山", "庙"] or [x["name"] for x in shelf()["entries"]] == ["庙", "山"]
    home.fails(3, "shelf", "import", home.write("no.juan", "no"), says="no.juan")
    home.fails(3, "shelf", "import", home.path("absent.juan"), says="absent.juan")
    home.fails(3, "shelf", "export", "absent", path, says="absent")
    shelf("rm", "庙")


def asked_together():
    """Several entries at once, by one model; what was done is told; directly about one."""
    for name, text in (("甲", TEXT), ("乙", "从前有条河，河边有个渡口，渡口的老艄公只在逢五的日子摆渡。\n" * 3)):
        home.ok("read", home.write(f"{name}.txt", text), "--as", name, "--model", home.model(), "--json")
    r = home.ok("ask", "甲", "乙", "老艄公在什么日子摆渡？", "-n", "4", "-e", "2", "--explain", "--json").json()
    assert {e["entry"] for e in r["evidence"]} == {"甲", "乙"} and len(r["evidence"]) == 4, r
    for e in r["evidence"]:
        assert e["document"] == e["entry"] + ".txt" and e["verified"], e
    assert r["evidence"][0]["entry"] == "乙" and r["mode"] == "find"
    steps = [(s["step"], s.get("entry")) for s in r["steps"]]
    assert [s for s in steps if s[0] == "look"] == [("look", "甲"), ("look", "乙")] and ("reread", None) in steps and steps[-1] == ("write", None), steps
    assert all(s["attended_tokens"] >= s["tokens"] for s in r["steps"] if "tokens" in s)
    again = home.ok("ask", "甲", "乙", "老和尚讲了几个故事？", "-n", "4", "--explain", "--json").json()
    assert [s["tokens"] for s in again["steps"] if s["step"] == "neutral"] == [0, 0], "what a question about nothing looks at is kept"
    for lang, said in (("en", "each is looked through on its own"), ("zh", "逐一单独查找")):
        r = home.ok("ask", "甲", "乙", "老艄公在什么日子摆渡？", "-n", "4", "--explain", "--lang", lang)
        assert said in r.err and "甲 · 甲.txt" in r.out and "乙 · 乙.txt" in r.out, r
        assert ("How\n · 甲 · " if lang == "en" else "过程\n · 甲 · ") in r.out, r
    assert "steps" not in home.ok("ask", "甲", "谁？", "-n", "4", "--json").json()
    r = home.ok("ask", "甲", "老和尚讲了几个故事？", "-n", "4", "--direct", "--find", "index", "--explain", "--json").json()
    assert r["mode"] == "direct" and r["evidence"] and {e["found_by"] for e in r["evidence"]} == {"index"}, r
    assert [s["step"] for s in r["steps"]] == ["index", "text", "write"] and all(s["pages_token_by_token"] == s["pages"] for s in r["steps"][1:]), r
    tokens = shelf("show", "甲")["tokens"]
    text = r["steps"][1]
    assert text["attended_tokens"] > tokens and text["attended_tokens"] - text["tokens"] <= tokens and text["tokens"] < tokens, r
    assert "tokens/s, attending to all" in home.ok("ask", "甲", "老和尚讲了几个故事？", "-n", "4", "--direct").err
    home.fails(2, "ask", "甲", "乙", "谁？", "--direct", says="--direct")
    home.fails(2, "ask", "甲", "谁？", "--direct", "--answerer", home.model(), says="--answerer")
    home.fails(2, "ask", "甲", home.path("乙.txt"), "谁？", says="甲")
    os.rename(home.path("甲.txt"), home.path("甲"))  # a file with the name of an entry
    r = home.ok("ask", "甲", "老和尚讲了几个故事？", "-n", "4", "--model", home.model("wide.gguf", "tiny-qwen3", "--set", "context=20000"), "--json")
    assert "entry of the shelf too" in r.err and "entry" not in r.json()["evidence"][0], r
    os.rename(home.path("甲"), home.path("甲.txt"))
    home.fails(3, "ask", "甲", "没有这条", "谁？", says="没有这条")
    home.fails(3, "ask", *["甲"] * 17, "谁？", says="16")
    home.ok("read", home.path("乙.txt"), "--as", "丙", "--model", home.model("other.gguf", "tiny-gemma3"), "--json")
    r = home.fails(3, "ask", "甲", "丙", "谁？", says="other.gguf")
    assert "甲" in r.err and "丙" in r.err and "tiny.gguf" in r.err, r
    home.ok("read", home.path("乙.txt"), "--as", "丁", "--model", home.model(), "--kv", "bf16", "--json")
    home.fails(3, "ask", "甲", "丁", "谁？", says="bf16")
    for name in "甲乙丙丁":
        shelf("rm", name)


def four_bits():
    """--kv q4: smaller pages, which are listed, verified, moved and asked like others; those of q8 are no part of them."""
    read("八")
    done = read("四", "--kv", "q4")
    assert done["tokens_before"] == 0, done
    assert read("又四", "--kv", "q4")["tokens_before"] == done["tokens"]
    eight, four = shelf("show", "八"), shelf("show", "四")
    assert (eight["kv"], four["kv"]) == ("q8", "q4") and four["bytes"] < eight["bytes"] and four["tokens"] == eight["tokens"], (eight, four)
    assert shelf("verify") == SOUND
    path, elsewhere = home.path("四.juan"), os.path.join(home.folder, "far")
    shelf("export", "四", path)
    e = shelf("import", path, JUAN_HOME=elsewhere)
    assert e["kv"] == "q4" and shelf("verify", "四", JUAN_HOME=elsewhere) == SOUND, e
    r = home.ok("ask", "四", "老和尚讲了几个故事？", "--model", home.model(), "-n", "4", "--json").json()
    assert r["evidence"] and all(TEXT[e["start"]:e["end"]] == e["quote"] for e in r["evidence"] if e["verified"]), r
    home.ok("ask", "四", "老和尚讲了几个故事？", "--model", home.model(), "-n", "4", "--direct", "--json")
    home.fails(3, "ask", "八", "四", "谁？", says="q4")
    assert read("四")["tokens_before"] == done["tokens"] and shelf("show", "四")["kv"] == "q8"  # what 八 has
    home.fails(2, "read", home.path("shan.txt"), "--as", "四", "--model", home.model(), "--kv", "q3", says="--kv")
    for name in ("八", "四", "又四"):
        shelf("rm", name)


def repaired():
    assert len(segments()) == 1, segments()
    flip(segments()[0], -1000)
    r = home.juan("shelf", "verify", "--json")
    assert r.code == 3 and "juan read" in r.err, r
    damage = r.json()["damaged"]
    assert len(damage) == 1 and damage[0]["name"] == "山" and damage[0]["kind"] == "page" and damage[0]["position"] == 0, damage
    assert shelf("verify") == SOUND and not shelf("show", "山")["complete"]
    assert "0%" in home.ok("shelf").out
    read()
    assert shelf("show", "山")["complete"] and shelf("verify", "山") == SOUND
    shelf("gc")
    assert len(segments()) == 1
    os.unlink(segments()[0])
    assert home.fails(3, "ask", "山", "庙里有谁？", "--model", home.model(), says="山")
    assert "山" in home.juan("shelf", "verify", "--lang", "zh").out
    read()
    assert shelf("verify") == SOUND


def reseal(column, change):
    """Changes a column of the entry 旧, with the checksum that its row then has (src/shelf/rows.c)."""
    try:
        xxh3 = ctypes.CDLL("libxxhash.so.0").XXH3_64bits
    except OSError as e:
        raise juan.tap.Skip(f"{e}")
    xxh3.restype, xxh3.argtypes = ctypes.c_int64, [ctypes.c_char_p, ctypes.c_size_t]
    types = {int: (1, "<q"), float: (2, "<d"), str: (3, None), bytes: (4, None)}
    with sqlite3.connect(os.path.join(home.home, "shelf", "index.db")) as db:
        columns = [c[1] for c in db.execute("PRAGMA table_info(entries)")]
        row = dict(zip(columns, db.execute(f"SELECT {','.join(columns)} FROM entries WHERE name='旧'").fetchone()))
        row[column], parts = change(row[column]), b""
        for value in [row[c] for c in columns[:-1]]:
            kind, form = types[type(value)]
            raw = struct.pack(form, value) if form else value.encode() if kind == 3 else value
            parts += struct.pack("<QQq", kind, len(raw), xxh3(raw, len(raw)) if raw else 0)
        db.execute(f"UPDATE entries SET {column}=?, sum=? WHERE name='旧'", (row[column], xxh3(parts, len(parts))))
    db.close()


def other_versions():
    """What another version read is no damage: its name is said, and what can be done."""
    read("旧", "--fast")
    reseal("shape", lambda s: s[:24] + struct.pack("<I", 9) + s[28:])
    assert shelf("verify") == {"damaged": [], "other_versions": [{"name": "旧", "checked": False}]} and shelf("verify", "山") == SOUND
    for language, words in (("en", ("旧 was read by another version", "juan shelf rm 旧", "Every other page")), ("zh", ("旧 由另一版本的长卷读入", "其余页面"))):
        out = home.ok("shelf", "verify", "--lang", language).out
        assert all(w in out for w in words), out
    shelf("rm", "旧")
    read("旧", "--fast")
    reseal("mode", lambda mode: mode ^ 1 << 48)
    reseal("shape", lambda s: s[:14] + bytes([s[14] ^ 1]) + s[15:])
    r = home.juan("shelf", "verify", "旧", "--json").json()
    assert r["other_versions"] == [{"name": "旧", "checked": True}], r
    assert "旧 was read fast by another version" in home.juan("shelf", "verify").out and "旧 由另一版本的长卷快速读入" in home.juan("shelf", "verify", "--lang", "zh").out
    shelf("rm", "旧")
    assert shelf("verify") == SOUND


def removed():
    assert shelf("rm", "山")["bytes"] > 0 and shelf("list") == {"entries": []} and not segments()
    home.fails(3, "shelf", "rm", "山", says="山")


def levels_with(tiny):
    """What one level wrote every other reads: the same text is not read again, a longer one goes on behind it, and it is asked."""
    model = os.environ[tiny]
    here = [level for level, runs in home.ok("doctor", "--json").json()["levels"].items() if runs]
    for level, other in zip(here, here[1:] + here[:1]):
        text = f"{level}：{TEXT[:90]}"
        first = home.ok("read", home.write("a.txt", text), "--as", level, "--model", model, "--cpu", level, "--json").lines()[-1]
        again = home.ok("read", home.path("a.txt"), "--as", "again", "--model", model, "--cpu", other, "--json").lines()[-1]
        assert first["tokens_before"] == 0 and again["tokens_before"] == first["tokens"], (level, other, first, again)
        text += "后来老和尚走了。\n"
        more = home.ok("read", home.write("b.txt", text), "--as", level, "--model", model, "--cpu", other, "--json").lines()[-1]
        assert first["tokens"] - 64 <= more["tokens_before"] <= first["tokens"] < more["tokens"], (level, other, first, more)
        r = home.ok("ask", level, "老和尚讲什么？", "--model", model, "--cpu", other, "-n", "4", "--json").json()
        assert all(text[e["start"]:e["end"]] == e["quote"] for e in r["evidence"] if e["verified"]), r
        assert shelf("verify") == SOUND
        shelf("rm", level)
        shelf("rm", "again")


def levels():
    levels_with("CJ_TINY_WINDOWS")


def states():
    levels_with("CJ_TINY_STATES")


def usage():
    home.fails(2, "shelf", "burn", says="burn")
    home.fails(2, "shelf", "show", says="juan shelf show NAME")
    home.fails(2, "shelf", "export", "山", says="juan shelf export NAME FILE")
    home.fails(2, "shelf", "list", "山", says="山")
    home.fails(2, "shelf", "import", "x", "--as", "", says="1 to 255 bytes")


def spoilt():
    shelf("list")
    flip(os.path.join(home.home, "shelf", "index.db"), 3)
    for command in (("list",), ("verify",), ("rm", "x"), ("gc",)):
        home.fails(3, "shelf", *command, says="index.db")


juan.run([("an empty shelf", empty), ("list and show", listed), ("export and import", moved), ("several entries together, and directly", asked_together), ("pages of four bits", four_bits), ("verify, and reading again", repaired), ("verify beside other versions", other_versions), ("rm", removed), ("every level reads what every other wrote", levels), ("and the states of recurrent layers", states),
          ("usage", usage), ("an index that is none", spoilt)], home)
