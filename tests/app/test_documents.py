#!/usr/bin/env python3
"""Documents of every format, through `juan ask`: quoted letter for letter, cited by chapter, article or page, or refused with a sentence."""
import os
import re
import sys

sys.path[:0] = [os.path.join(os.environ["CJ_SOURCE"], "tests", "support")]
import juan
from juan import tap

home = juan.Home()
MODEL = ("--model", os.environ["CJ_TINY_CHAT"], "-n", "1", "--evidence", "16", "-q")
CHINESE = re.compile(r"[\u4e00-\u9fff]")


def evidence(*files, question="庙在哪里？"):
    """Every sentence of short documents, by its text."""
    found = home.ok("ask", *files, question, *MODEL, "--json").json()["evidence"]
    assert all(e["verified"] for e in found), found
    return {e["quote"]: e for e in found}


def refused(path, *says, code=3, **more):
    """One sentence in each language, and nothing on standard output."""
    english = home.fails(code, "ask", path, "庙在哪里？", *MODEL, "--lang", "en", **more)
    chinese = home.fails(code, "ask", path, "庙在哪里？", *MODEL, "--lang", "zh", **more)
    assert not english.out and not chinese.out
    assert CHINESE.search(chinese.err) and not CHINESE.search(english.err.replace(path, "")), (english, chinese)
    for s in says:
        assert s in english.err, (s, english)


def html():
    page = """<!doctype html><html><head><meta charset=gb2312><title>山中记</title><script>var x = "<p>不是正文</p>";</script></head>
<body><h1>第一章 山上</h1><p>从前有座山，山上有座庙。<p>庙里有个老和尚&hellip;&hellip;讲着故事呢。<h2>山下</h2>
<table><tr><td>茶</td><td>三文钱一碗不还价</td></tr></table></body></html>"""
    for name, data in (("a.html", page.encode("gb18030")), ("b.htm", page.replace("gb2312", "utf-8").encode()), ("plain", page.encode("utf-16"))):
        found = evidence(home.write(name, data))
        assert found["从前有座山，山上有座庙。"]["chapter"] == "第一章 山上", found
        assert "庙里有个老和尚……" in found and found["茶 | 三文钱一碗不还价"]["chapter"] == "山下", found
        assert not any("正文" in quote for quote in found), found
    refused(home.write("empty.html", "<html><script>x</script></html>"), "no text")


def big5():
    story = "第一回 山上\n\n從前有座山，山上有座廟，廟裡有個老和尚，正在給小和尚講故事。\n講的是什麼呢？廟後有一口井，井水清涼，遠近聞名。\n"
    r = home.ok("ask", home.write("big5.txt", story.encode("big5")), "廟在哪裡？", *MODEL[:-1], "--json")
    assert "BIG5" in r.err, r
    for e in r.json()["evidence"]:
        assert story[e["start"]:e["end"]] == e["quote"], e


def laws():
    found = evidence(home.write("law.txt", "示范法\n\n第一章　总则\n\n第一条　为了规范示范行为，制定本法。\n第二条　示范是指做给人看。\n　　示范应当认真。\n第二章　分则\n本章另有规定。\n"))
    articles = {quote: e["article"] for quote, e in found.items()}
    assert articles["第二条　示范是指做给人看。"] == "第二条" == articles["示范应当认真。"], articles
    assert articles["本章另有规定。"] is None and articles["示范法"] is None, articles
    text = home.ok("ask", home.path("law.txt"), "示范是什么？", *MODEL).out
    assert "第一章　总则 第二条 " in text, text


juan.run([("HTML", html), ("Big5", big5), ("laws", laws)], home)
