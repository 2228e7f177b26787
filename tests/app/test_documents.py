#!/usr/bin/env python3
"""Documents of every format, through `juan ask`: quoted letter for letter, cited by chapter, article or page, or refused with a sentence."""
import os
import re
import shutil
import signal
import subprocess
import sys
import time

sys.path[:0] = [os.path.join(os.environ["CJ_SOURCE"], "tests", "support")]
import juan
import pdf
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


def needs_pdftotext():
    if not shutil.which("pdftotext"):
        raise tap.Skip("pdftotext is not here (package poppler-utils)")


def pdfs():
    needs_pdftotext()
    long = "从前有座山，山上有座庙，庙里有个老和尚，老和尚给小和尚讲故事，讲的是什么"
    pages = [["第一章 山上", "", long[:34], long[:30] + "，第二天", "他下山了。"], None, ["第二章 山下", "山下有一口井，井水很甜。", "The well is deep and old."]]
    path = home.write("book.pdf", pdf.make(pages))
    found = evidence(path)
    assert found["山下有一口井，井水很甜。"]["page"] == 3 and found["山下有一口井，井水很甜。"]["chapter"] == "第二章 山下", found
    joined = next(quote for quote in found if "他下山了" in quote)
    assert "第二天他下山了。" in joined and found[joined]["page"] == 1, found
    said = home.ok("ask", path, "井？", *MODEL[:-1], "--lang", "zh")
    assert "第 3 页" in said.out and "共 3 页，其中 1 页没有文字" in said.err, said
    assert [e["page"] for e in evidence(home.write("plain.txt", "没有页的文字。")).values()] == [None]


def bad_pdfs():
    needs_pdftotext()
    whole = pdf.make([["一页文字，足够长了。"]])
    refused(home.write("locked.pdf", pdf.make([["密"]], password="secret")), "password")
    refused(home.write("scanned.pdf", pdf.make([None, None])), "ocrmypdf")
    refused(home.write("empty.pdf", b"%PDF-1.4\n"), "broken PDF")
    refused(home.write("noise.pdf", b"%PDF-1.7\n" + bytes(range(256)) * 40), "broken PDF")
    for n in (300, len(whole) // 2):
        refused(home.write("cut.pdf", whole[:n]))


def without_pdftotext():
    nothing = home.path("nothing")
    os.makedirs(nothing, exist_ok=True)
    refused(home.write("a.pdf", pdf.make([["文"]])), "poppler-utils", PATH=nothing)


def fake_pdftotext(script):
    """A pdftotext that does something else; returns the PATH to it."""
    folder = home.path("fake")
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, "pdftotext"), "w") as f:
        f.write(f"#!{shutil.which('sh')}\n{script}\n")
    os.chmod(f.name, 0o755)
    return folder + os.pathsep + os.environ["PATH"]


def extractors_are_fenced():
    """What a taken-over pdftotext would try: to write a file, to start a program."""
    mark = home.path("mark")
    path = home.write("b.pdf", pdf.make([["文"]]))
    PATH = fake_pdftotext(f"echo x > {mark}; {shutil.which('touch')} {mark} || true; echo 正文一句，够长的。")
    home.juan("ask", path, "问？", *MODEL, PATH=PATH)
    assert not os.path.exists(mark) or not os.path.getsize(mark)


def ctrl_c_stops_an_extractor():
    path = home.write("c.pdf", pdf.make([["文"]]))
    PATH = fake_pdftotext("echo on > /dev/null; while :; do :; done")
    process = subprocess.Popen([juan.JUAN, "ask", path, "问？", *MODEL], env=home.environment(PATH=PATH), stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                               cwd=home.folder)
    time.sleep(0.7)
    assert process.poll() is None, process.communicate()
    start = time.time()
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=20)
    assert process.returncode == 130 and not out, (process.returncode, err)
    assert time.time() - start < 5


juan.run([("HTML", html), ("PDF", pdfs), ("bad PDFs", bad_pdfs), ("without pdftotext", without_pdftotext),
          ("extractors are fenced", extractors_are_fenced), ("Ctrl-C stops an extractor", ctrl_c_stops_an_extractor), ("Big5", big5), ("laws", laws)], home)
