"""Small PDFs, written by hand: pages of lines in any script, through a font that is not embedded and a map to Unicode."""
import hashlib
import struct
import zlib


def _rc4(key, data):
    s, j, out = list(range(256)), 0, bytearray()
    for i in range(256):
        j = (j + s[i] + key[i % len(key)]) % 256
        s[i], s[j] = s[j], s[i]
    i = j = 0
    for byte in data:
        i = (i + 1) % 256
        j = (j + s[i]) % 256
        s[i], s[j] = s[j], s[i]
        out.append(byte ^ s[(s[i] + s[j]) % 256])
    return bytes(out)


_PAD = bytes.fromhex("28BF4E5E4E758A4164004E56FFFA01082E2E00B6D0683E802F0CA9FE6453697A")


class _Lock:
    """The oldest of the PDF ciphers: RC4 with a key of 40 bits."""

    def __init__(self, password):
        padded = (password.encode() + _PAD)[:32]
        self.owner = _rc4(hashlib.md5(padded).digest()[:5], padded)
        self.key = hashlib.md5(padded + self.owner + struct.pack("<i", -4) + b"0123456789abcdef").digest()[:5]
        self.user = _rc4(self.key, _PAD)

    def cipher(self, number, data):
        return _rc4(hashlib.md5(self.key + struct.pack("<I", number)[:3] + b"\0\0").digest()[:10], data)

    def entry(self):
        return b"<< /Filter /Standard /V 1 /R 2 /Length 40 /P -4 /O <%s> /U <%s> >>" % (self.owner.hex().encode(), self.user.hex().encode())


def _to_unicode():
    """Code n is the character n: 256 ranges of 256."""
    ranges = [f"<{h:02x}00> <{h:02x}ff> <{h:02x}00>" for h in range(256) if not 0xD8 <= h <= 0xDF]
    groups = [ranges[i:i + 100] for i in range(0, len(ranges), 100)]
    body = "".join(f"{len(g)} beginbfrange\n" + "\n".join(g) + "\nendbfrange\n" for g in groups)
    return ("/CIDInit /ProcSet findresource begin 12 dict begin begincmap /CMapName /A def /CMapType 2 def\n"
            f"1 begincodespacerange <0000> <ffff> endcodespacerange\n{body}endcmap end end").encode()


def _page(lines):
    """Lines from the top, 18 points apart; "" leaves a gap."""
    out = ["BT /F 12 Tf 72 760 Td"]
    for line in lines:
        out.append((f"<{line.encode('utf-16-be').hex()}> Tj " if line else "") + "0 -18 Td")
    return ("\n".join(out) + "\nET").encode()


def make(pages, password=None, compress=True):
    """pages: lists of lines. None is a page with a picture and no text."""
    lock, objects = _Lock(password) if password else None, []

    def add(body, stream=None):
        number = len(objects) + 1
        if stream is not None:
            if compress:
                stream, body = zlib.compress(stream), body + b" /Filter /FlateDecode"
            if lock:
                stream = lock.cipher(number, stream)
            body = b"<< %s /Length %d >>\nstream\n%s\nendstream" % (body, len(stream), stream)
        objects.append(body)
        return number

    map_ = add(b"", _to_unicode())
    below = add(b"<< /Type /Font /Subtype /CIDFontType2 /BaseFont /A /DW 1000 /W [32 126 500] /CIDSystemInfo << /Registry (Adobe) /Ordering (Identity) "
                b"/Supplement 0 >> /FontDescriptor << /Type /FontDescriptor /FontName /A /Flags 4 /FontBBox [0 0 1000 1000] /ItalicAngle 0 "
                b"/Ascent 800 /Descent -200 /CapHeight 700 /StemV 80 >> >>")
    font = add(b"<< /Type /Font /Subtype /Type0 /BaseFont /A /Encoding /Identity-H /DescendantFonts [%d 0 R] /ToUnicode %d 0 R >>" % (below, map_))
    tree = len(objects) + 2 * len(pages) + 1
    kids = []
    for lines in pages:
        content = add(b"", b"0 0 0 rg 100 100 200 200 re f" if lines is None else _page(lines))
        kids.append(add(b"<< /Type /Page /Parent %d 0 R /MediaBox [0 0 595 842] /Contents %d 0 R /Resources << /Font << /F %d 0 R >> >> >>"
                        % (tree, content, font)))
    assert add(b"<< /Type /Pages /Count %d /Kids [%s] >>" % (len(kids), b" ".join(b"%d 0 R" % k for k in kids))) == tree
    root = add(b"<< /Type /Catalog /Pages %d 0 R >>" % tree)
    locked = b" /Encrypt %s /ID [<%s> <%s>]" % (lock.entry(), b"0123456789abcdef".hex().encode(), b"0123456789abcdef".hex().encode()) if lock else b""
    out, places = bytearray(b"%PDF-1.5\n%\xe4\xb8\xad\n"), []
    for number, body in enumerate(objects, 1):
        places.append(len(out))
        out += b"%d 0 obj\n%s\nendobj\n" % (number, body)
    table = len(out)
    out += b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1) + b"".join(b"%010d 00000 n \n" % p for p in places)
    return bytes(out + b"trailer\n<< /Size %d /Root %d 0 R%s >>\nstartxref\n%d\n%%%%EOF\n" % (len(objects) + 1, root, locked, table))
