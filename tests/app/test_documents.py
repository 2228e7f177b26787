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
import office
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
    title = "很长的页名" * 20000
    found = evidence(home.write("title.html", f"<title>{title}</title><p>从前有座山，山上有座庙。"))
    chapter = found["从前有座山，山上有座庙。"]["chapter"]
    assert title.startswith(chapter) and len(chapter) > 20, chapter
    refused(home.write("empty.html", "<html><script>x</script></html>"), "no text")


def names():
    """What a name holds that could steer a terminal is not passed on."""
    e, = evidence(home.write("a\x9b31m\x1b[2J\x85b\x7f.txt", "从前有座山，山上有座庙。\n")).values()
    assert e["document"] == "a?31m?[2J?b?.txt" and e["score"] is None, e


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


def folders():
    """In the order of names, numbers by their value; what is hidden, ignored, linked, empty or no text is left out, and that is said."""
    files = {"2.txt": "第二份文件的话。", "10.md": "# 十\n第十份文件的话。", "1/a.html": "<p>第一份文件的话。", "1/b.c": "int main(void) { return 3; } /* a comment */\n",
             ".hidden": "隐藏的话。", ".git/config": "x", "build/out.txt": "忽略的话。", "1/note.log": "忽略的话二。", "keep.log": "留下的话在此。",
             "film.mp4": bytes(range(256)) * 99, "empty.txt": "", "wide.txt": "宽字节的话。一句 空格。".encode("utf-16-le"), "broken.docx": b"PK\3\4word/document",
             ".gitignore": "# comment\n/build/\n*.log\n!keep.log\n"}
    for name, data in files.items():
        os.makedirs(os.path.dirname(home.path("tree/" + name)), exist_ok=True)
        home.write("tree/" + name, data)
    os.symlink("/etc/passwd", home.path("tree/link.txt"))
    os.mkfifo(home.path("tree/pipe"))
    for given in ("tree", "tree/", home.path("tree")):
        r = home.ok("ask", given, "问？", *MODEL[:-1], "--json", "--lang", "en")
        place = {e["quote"]: e["document"] for e in r.json()["evidence"]}
        assert place["第一份文件的话。"] == "tree/1/a.html" and place["第二份文件的话。"] == "tree/2.txt" and place["第十份文件的话。"] == "tree/10.md", place
        assert place["留下的话在此。"] == "tree/keep.log" and not any("隐藏" in q or "忽略" in q for q in place), place
        assert "3 hidden, 2 ignored (.gitignore), 2 links and devices, 1 empty, 2 that cannot be read" in r.err, r.err
        assert "film.mp4" in r.err and "broken.docx" in r.err and "6 documents." in r.err, r.err
    done = home.ok("read", home.path("tree"), "--model", os.environ["CJ_TINY_CHAT"], "--json", "-q").lines()[-1]
    assert done["done"] and done["name"] == "tree", done
    kept = home.ok("shelf", "show", "tree", "--json").json()
    assert [d["file"] for d in kept["documents"]] == ["tree/1/a.html", "tree/1/b.c", "tree/2.txt", "tree/10.md", "tree/keep.log", "tree/wide.txt"], kept
    assert all(re.fullmatch("[0-9a-f]{64}", d["sha256"]) for d in kept["documents"]), kept
    os.makedirs(home.path("bare/.git"))
    refused(home.path("bare"), "no document")


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


def docx():
    p = office.p
    level = '<w:numPr><w:ilvl w:val="1"/><w:numId w:val="7"/></w:numPr>'
    body = (p("总则", "mine") + p("为了规范示范行为。", "article") + p("适用本法的情形：", "article") + p("情形甲；", None, level)
            + p("情形乙。", None, level) + p("大纲一节", "outlined")
            + '<w:p><w:r><w:t>有注</w:t><w:footnoteReference w:id="1"/><w:t>的一句话。</w:t></w:r></w:p>'
            + office.table([["名目", "价钱几何"], ["茶水一碗", "三文"]])
            + '<w:p><w:del><w:r><w:delText>删去</w:delText></w:r></w:del><w:ins><w:r><w:t>增添</w:t></w:r></w:ins><w:r><w:tab/><w:t>制表之后。</w:t></w:r></w:p>'
            + p("又是一条。", "article"))
    found = evidence(home.write("a.docx", office.docx(body, footnotes=office.footnotes("注文在此处。"))))
    where = {quote: (e["chapter"], e["article"]) for quote, e in found.items()}
    assert where["第一条 为了规范示范行为。"] == ("总则", "第一条") and where["(2) 情形乙。"] == ("总则", "第二条"), where
    assert where["第三条 又是一条。"] == ("大纲一节", "第三条"), where
    for quote in ("有注[1]的一句话。", "[1] 注文在此处。", "名目 | 价钱几何", "茶水一碗 | 三文", "增添 制表之后。"):
        assert quote in where, where
    def numbered(text, list_, level):
        return p(text, None, f'<w:numPr><w:ilvl w:val="{level}"/><w:numId w:val="{list_}"/></w:numPr>')
    counted = office.docx("".join(numbered(f"{word}的一句正文。", *place) for word, *place in
                                  (("甲", 7, 0), ("乙", 7, 1), ("丙", 7, 2), ("丁", 7, 0), ("戊", 7, 1), ("己", 8, 0), ("庚", 8, 2), ("辛", 7, 0))))
    assert set(evidence(home.write("n.docx", counted))) == {"第一条 甲的一句正文。", "(1) 乙的一句正文。", "1.1 丙的一句正文。", "第二条 丁的一句正文。",
        "(1) 戊的一句正文。", "第五条 己的一句正文。", "5.1 庚的一句正文。", "第六条 辛的一句正文。"}
    level = '<w:lvl w:ilvl="0"><w:start w:val="9876"/><w:numFmt w:val="chineseCounting"/><w:lvlText w:val="x' + "%1" * 15 + '"/></w:lvl>'
    long = office.NUMBERING[:office.NUMBERING.index("<w:abstractNum ")] + f'<w:abstractNum w:abstractNumId="3">{level}</w:abstractNum>' \
        '<w:num w:numId="7"><w:abstractNumId w:val="3"/></w:num></w:numbering>'
    quote, = evidence(home.write("l.docx", office.docx(numbered("甲的一句正文。", 7, 0), numbering=long)))
    assert quote.startswith("x" + "九千八百七十六" * 12) and quote.endswith(" 甲的一句正文。") and "\ufffd" not in quote, quote
    nested = office.docx('<w:p><w:r><w:t>框外一句话。</w:t></w:r><w:r><mc:AlternateContent><mc:Choice><w:txbxContent>' + p("框内的一句话。")
                         + '</w:txbxContent></mc:Choice><mc:Fallback>' + p("备用") + '</mc:Fallback></mc:AlternateContent></w:r></w:p>')
    assert set(evidence(home.write("b.docx", nested))) == {"框外一句话。", "框内的一句话。"}


def epub():
    pages = {"a.xhtml": "<p>第一回</p><p>话说天下大势。</p>", "b b.xhtml": "<h2>第二回</h2><p>且说&nbsp;他人。</p>", "c.xhtml": "<p>没有题目的正文。</p>"}
    labels = {"a.xhtml": "第一回", "c.xhtml": "尾声一段"}
    for ncx in (False, True):
        found = evidence(home.write("a.epub", office.epub(pages, labels, ncx=ncx)))
        where = {quote: e["chapter"] for quote, e in found.items()}
        assert where == {"第一回": "第一回", "话说天下大势。": "第一回", "第二回": "第二回", "且说\u00a0他人。": "第二回", "尾声一段": "尾声一段",
                         "没有题目的正文。": "尾声一段"}, where
    fonts = ('<encryption><EncryptedData><EncryptionMethod Algorithm="http://www.idpf.org/2008/embedding"/><CipherData>'
             '<CipherReference URI="OEBPS/f.otf"/></CipherData></EncryptedData></encryption>')
    assert evidence(home.write("fonts.epub", office.epub(pages, **{"META-INF/encryption.xml": fonts})))
    drm = fonts.replace("http://www.idpf.org/2008/embedding", "http://www.w3.org/2001/04/xmlenc#aes128-cbc")
    refused(home.write("drm.epub", office.epub(pages, **{"META-INF/encryption.xml": drm})), "DRM")


def bad_archives():
    p = office.p
    whole = office.docx(p("一段足够长的正文。"))
    for name, data, says in (
            ("entity.docx", office.archive({"word/document.xml": '<!DOCTYPE d [<!ENTITY e SYSTEM "file:///etc/passwd">]><d>&e;</d>'}), "entities"),
            ("laughs.docx", office.archive({"word/document.xml": '<!DOCTYPE d [<!ENTITY a "ha"><!ENTITY b "&a;&a;">]><d>&b;</d>'}), "entities"),
            ("broken.docx", office.archive({"word/document.xml": "<d>"}), "not well-formed"), ("empty.docx", office.docx(""), "no text"),
            ("cut.docx", whole[:-40], "broken"), ("noise.docx", whole[:60] + b"word/document" + bytes(400), "broken"),
            ("none.docx", office.archive({"word/documentary.xml": "<d/>"}), "broken"),
            ("locked.docx", locked(office.archive({"word/document.xml": "x" * 99}, 0)), "password"),
            ("book.xlsx", office.archive({"xl/workbook.xml": "<x/>"}), "DOCX and EPUB"), ("old.doc", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" * 99, ".docx"),
            ("a.rtf", b"{\\rtf1 x}", "RTF"),
            ("nothing.epub", office.archive({"META-INF/container.xml": "<container/>"}), "META-INF/container.xml"),
            ("nobook.epub", office.archive({"META-INF/container.xml": office.CONTAINER}), "OEBPS/book.opf"),
            ("gbk.epub", office.epub({"a.xhtml": "文"}, **{"OEBPS/text/a.xhtml": b"<p>\xb0\xa1\xb0\xa1"}), "OEBPS/text/a.xhtml")):
        refused(home.write(name, data), says)
    path = home.write("bomb.docx", office.archive({"word/document.xml": bytes(130 << 20)}))
    assert os.path.getsize(path) < 1 << 20
    refused(path, "512 MiB")


def locked(data):
    """The archive, saying of every part that it is encrypted."""
    data = bytearray(data)
    for mark, at in ((b"PK\3\4", 6), (b"PK\1\2", 8)):
        place = data.find(mark)
        while place >= 0:
            data[place + at] |= 1
            place = data.find(mark, place + 4)
    return bytes(data)


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


juan.run([("folders", folders), ("HTML", html), ("DOCX", docx), ("EPUB", epub), ("bad archives", bad_archives), ("PDF", pdfs), ("bad PDFs", bad_pdfs), ("without pdftotext", without_pdftotext),
          ("extractors are fenced", extractors_are_fenced), ("Ctrl-C stops an extractor", ctrl_c_stops_an_extractor), ("Big5", big5), ("laws", laws), ("names", names)], home)
