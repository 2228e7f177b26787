"""Small DOCX and EPUB files, put together by hand."""
import io
import zipfile

W = 'xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main" xmlns:mc="http://schemas.openxmlformats.org/markup-compatibility/2006"'
XML = '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n'


def archive(parts, compression=zipfile.ZIP_DEFLATED):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", compression) as z:
        for name, data in parts.items():
            z.writestr(zipfile.ZipInfo(name, (2020, 1, 1, 0, 0, 0)), data, compress_type=zipfile.ZIP_STORED if name == "mimetype" else compression)
    return out.getvalue()


def p(text, style=None, more=""):
    """A paragraph; `more` goes into its properties."""
    named = f'<w:pStyle w:val="{style}"/>' if style else ""
    return f'<w:p><w:pPr>{named}{more}</w:pPr><w:r><w:t xml:space="preserve">{text}</w:t></w:r></w:p>'


def table(rows):
    return "<w:tbl>" + "".join("<w:tr>" + "".join(f"<w:tc>{p(cell)}</w:tc>" for cell in row) + "</w:tr>" for row in rows) + "</w:tbl>"


STYLES = f"""{XML}<w:styles {W}>
<w:style w:styleId="1"><w:name w:val="heading 1"/></w:style>
<w:style w:styleId="mine"><w:name w:val="My Chapter"/><w:basedOn w:val="1"/></w:style>
<w:style w:styleId="outlined"><w:name w:val="条目"/><w:pPr><w:outlineLvl w:val="2"/></w:pPr></w:style>
<w:style w:styleId="article"><w:name w:val="Article"/><w:pPr><w:numPr><w:numId w:val="7"/></w:numPr></w:pPr></w:style>
</w:styles>"""
NUMBERING = f"""{XML}<w:numbering {W}>
<w:abstractNum w:abstractNumId="3"><w:lvl w:ilvl="0"><w:start w:val="1"/><w:numFmt w:val="chineseCountingThousand"/><w:lvlText w:val="第%1条"/></w:lvl>
<w:lvl w:ilvl="1"><w:start w:val="1"/><w:numFmt w:val="decimal"/><w:lvlText w:val="(%2)"/></w:lvl>
<w:lvl w:ilvl="2"><w:start w:val="1"/><w:numFmt w:val="upperRoman"/><w:isLgl/><w:lvlText w:val="%1.%3"/></w:lvl></w:abstractNum>
<w:num w:numId="7"><w:abstractNumId w:val="3"/></w:num>
<w:num w:numId="8"><w:abstractNumId w:val="3"/><w:lvlOverride w:ilvl="0"><w:startOverride w:val="5"/></w:lvlOverride></w:num></w:numbering>"""


def docx(body, **parts):
    """body: the XML of w:body. parts: more parts by name, as footnotes='...'."""
    main = f"{XML}<w:document {W}><w:body>{body}</w:body></w:document>"
    rels = (f'{XML}<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships"><Relationship Id="r" Target="word/document.xml" '
            'Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/officeDocument"/></Relationships>')
    return archive({"[Content_Types].xml": f"{XML}<Types/>", "_rels/.rels": rels, "word/document.xml": main, "word/styles.xml": STYLES,
                    "word/numbering.xml": NUMBERING, **{f"word/{name}.xml": data for name, data in parts.items()}})


def footnotes(*texts):
    notes = "".join(f'<w:footnote w:id="{i}">{p(text)}</w:footnote>' for i, text in enumerate(texts, 1))
    return f'{XML}<w:footnotes {W}><w:footnote w:type="separator" w:id="-1"/>{notes}</w:footnotes>'


CONTAINER = ('<?xml version="1.0"?><container xmlns="urn:oasis:names:tc:opendocument:xmlns:container"><rootfiles>'
             '<rootfile full-path="OEBPS/book.opf" media-type="application/oebps-package+xml"/></rootfiles></container>')


def epub(pages, labels=None, ncx=False, **more):
    """pages: {file name: what is in its body}; labels: {file name: what the table of contents calls it}. more: parts by path."""
    labels = labels or {}
    items = "".join(f'<item id="p{i}" href="text/{name.replace(" ", "%20")}" media-type="application/xhtml+xml"/>' for i, name in enumerate(pages))
    refs = "".join(f'<itemref idref="p{i}"/>' for i in range(len(pages)))
    contents = ('<item id="toc" href="toc.ncx" media-type="application/x-dtbncx+xml"/>' if ncx else
                '<item id="toc" href="nav.xhtml" media-type="application/xhtml+xml" properties="nav"/>')
    package = (f'<?xml version="1.0"?><package xmlns="http://www.idpf.org/2007/opf" version="3.0"><manifest>{contents}'
               f'<item id="css" href="a.css" media-type="text/css"/>{items}</manifest><spine toc="toc"><itemref idref="toc"/>{refs}</spine></package>')
    if ncx:
        points = "".join(f'<navPoint id="n"><navLabel><text>{text}</text></navLabel><content src="text/{name}#top"/></navPoint>' for name, text in labels.items())
        toc = {"OEBPS/toc.ncx": '<!DOCTYPE ncx PUBLIC "-//NISO//DTD ncx 2005-1//EN" "http://www.daisy.org/z3986/2005/ncx-2005-1.dtd">'
                                f'<ncx xmlns="http://www.daisy.org/z3986/2005/ncx/"><navMap>{points}</navMap></ncx>'}
    else:
        links = "".join(f'<li><a href="text/{name}"><b>{text}</b></a></li>' for name, text in labels.items())
        toc = {"OEBPS/nav.xhtml": f'<html xmlns="http://www.w3.org/1999/xhtml"><body><nav><h1>目录</h1><ol>{links}</ol></nav></body></html>'}
    texts = {f"OEBPS/text/{name}": f'<?xml version="1.0" encoding="utf-8"?><html xmlns="http://www.w3.org/1999/xhtml"><head><title>t</title></head>'
                                   f'<body>{body}</body></html>' for name, body in pages.items()}
    return archive({"mimetype": "application/epub+zip", "META-INF/container.xml": CONTAINER, "OEBPS/book.opf": package, **toc, **texts, **more})
