#!/usr/bin/env python3
"""A web server on the loopback address that misbehaves in one way per path, for the tests of downloads.

    misbehave.py FOLDER SIZE      serves SIZE bytes that depend on nothing but SIZE; writes FOLDER/port when it listens

The first component of the path names the way (a function below); what follows it may be anything and makes the count of visits
its own. FOLDER/log gets a line for each request: way, visit, start of the asked range, "if" with an If-Range, bytes of the body that were sent.
"""
import os
import random
import re
import socket
import struct
import sys
import threading
import time

FOLDER, SIZE = sys.argv[1], int(sys.argv[2])
DATA = random.Random(SIZE).randbytes(SIZE)
OLD = random.Random(SIZE + 1).randbytes(SIZE)  # what the file was before it changed
TAG, OLD_TAG, DATE = '"v2"', '"v1"', "Wed, 01 Jan 2025 00:00:00 GMT"
visits, lock = {}, threading.Lock()


class Request:
    def __init__(self, conn, path, headers, visit):
        self.conn, self.path, self.headers, self.visit, self.sent = conn, path, headers, visit, 0
        asked = re.fullmatch(r"bytes=(\d+)-", headers.get("range", ""))
        self.start = int(asked.group(1)) if asked else 0
        self.condition = headers.get("if-range", "")

    def head(self, status, **headers):
        lines = [f"HTTP/1.1 {status}", "Connection: close"] + [f"{k.replace('_', '-')}: {v}" for k, v in headers.items() if v is not None]
        self.conn.sendall(("\r\n".join(lines) + "\r\n\r\n").encode())

    def body(self, data, pause=0.001 if SIZE > 1 << 24 else 0.0, piece=65536):
        for at in range(0, len(data), piece):
            self.conn.sendall(data[at:at + piece])
            self.sent += len(data[at:at + piece])
            if pause:
                time.sleep(pause)

    def offer(self, data, tag=TAG, date=None, honour=True):
        """The head of a proper answer to what was asked; gives the bytes that should follow."""
        if honour and self.start and self.condition in ("", tag, date):
            if self.start >= len(data):
                self.head("416 Range Not Satisfiable", Content_Range=f"bytes */{len(data)}", Content_Length=0)
                return b""
            part = data[self.start:]
            self.head("206 Partial Content", Content_Length=len(part), ETag=tag, Last_Modified=date,
                      Content_Range=f"bytes {self.start}-{len(data) - 1}/{len(data)}")
            return part
        self.head("200 OK", Content_Length=len(data), ETag=tag, Last_Modified=date)
        return data

    def reset(self):
        self.conn.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def good(r): r.body(r.offer(DATA))
def dated(r): part = r.offer(DATA, None, DATE); r.body(part if r.visit > 1 else part[:len(part) // 2])
def nameless(r): part = r.offer(DATA, None); r.body(part if r.visit > 1 else part[:len(part) // 2])  # neither ETag nor date
def truncate(r): part = r.offer(DATA); r.body(part if r.visit > 3 else part[:len(part) // 3])
def reset(r): part = r.offer(DATA); r.body(part if r.visit > 3 else part[:len(part) // 3]); time.sleep(0.05); r.reset()
def always_cut(r): r.body(r.offer(DATA)[:1000])
def ignores_range(r): r.body(r.offer(DATA, honour=False)[:SIZE // 2 if r.visit == 1 else SIZE])
def longer(r): r.head("200 OK", Content_Length=SIZE + 100); r.body(DATA + b"x" * 100)
def shorter(r): r.head("200 OK", Content_Length=SIZE // 2); r.body(DATA[:SIZE // 2])
def boasts(r): r.head("200 OK", Content_Length=SIZE, ETag=TAG); r.body(DATA[:SIZE - 5])
def wrong_bytes(r): r.body(r.offer(DATA[:SIZE // 2] + b"\0" + DATA[SIZE // 2 + 1:]))
def no_length(r): r.head("200 OK"); r.body(DATA)
def no_length_cut(r): r.head("200 OK"); r.body(DATA[:SIZE // 2])  # looks complete
def endless(r): r.head("200 OK"); [r.body(DATA) for _ in range(50)]
def endless_error(r): r.head("500 Internal Server Error"); [r.body(DATA) for _ in range(50)]
def drip(r): r.body(r.offer(DATA), pause=0.5, piece=100)
def hang(r): r.offer(DATA); time.sleep(20)
def silent(r): time.sleep(20)
def missing(r): r.head("404 Not Found", Content_Length=9); r.body(b"not found")
def gone(r): r.head("410 Gone", Content_Length=0)
def forbidden(r): r.head("403 Forbidden", Content_Length=0)
def unavailable(r): r.head("503 Service Unavailable", Content_Length=0)
def broken_then_good(r): r.body(r.offer(DATA)) if r.visit > 2 else r.head("500 Internal Server Error", Content_Length=0)
def busy_then_good(r): r.body(r.offer(DATA)) if r.visit > 1 else r.head("429 Too Many Requests", Retry_After=1, Content_Length=0)
def loop(r): r.head("302 Found", Location=r.path, Content_Length=0)
def moved(r): r.head("302 Found", Location="/truncate/" + r.path.strip("/").replace("/", "-"), Content_Length=0)
def to_a_file(r): r.head("302 Found", Location="file:///etc/passwd", Content_Length=0)
def garbage(r): r.conn.sendall(b"\0\1\2 this is not HTTP\r\n" * 100)
def huge_head(r): r.conn.sendall(b"HTTP/1.1 200 OK\r\nX: " + b"x" * 400000 + b"\r\n\r\n" + DATA)
def nothing(r): pass


def changed(r):
    """The file changes after half of it was sent; a careful server says so."""
    if r.visit == 1:
        r.body(r.offer(OLD, OLD_TAG)[:SIZE // 2])
    else:
        r.body(r.offer(DATA))


def changed_blind(r):
    """The same, and the server goes on with the new file whatever it is asked."""
    if r.visit == 1:
        return r.body(r.offer(OLD, OLD_TAG)[:SIZE // 2])
    r.condition = ""
    r.body(r.offer(DATA))


def wrong_range(r):
    """Answers a range with another one."""
    if r.visit == 1:
        return r.body(r.offer(DATA)[:SIZE // 2])
    if not r.start:
        return r.body(r.offer(DATA))
    r.head("206 Partial Content", ETag=TAG, Content_Length=SIZE - 1, Content_Range=f"bytes 1-{SIZE - 1}/{SIZE}")
    r.body(DATA[1:])


def chunked(r):
    """Chunks without a length in all, broken off inside one the first time."""
    r.head("200 OK", Transfer_Encoding="chunked", ETag=TAG)
    for at in range(0, SIZE, 5000):
        piece = DATA[at:at + 5000]
        if r.visit == 1 and at > SIZE // 2:
            return r.conn.sendall(f"{len(piece):x}\r\n".encode() + piece[:100])
        r.conn.sendall(f"{len(piece):x}\r\n".encode() + piece + b"\r\n")
        r.sent += len(piece)
    r.conn.sendall(b"0\r\n\r\n")


def shrunk(r):
    """Half of it the first time; then there is only a quarter left, which answers 416."""
    if r.visit == 1:
        r.body(r.offer(DATA)[:SIZE // 2])
    elif r.start:
        r.head("416 Range Not Satisfiable", Content_Range=f"bytes */{SIZE // 4}", Content_Length=0)
    else:
        r.body(r.offer(DATA))


def serve(conn):
    with conn:
        try:
            conn.settimeout(30)
            raw = b""
            while b"\r\n\r\n" not in raw:
                got = conn.recv(65536)
                if not got:
                    return
                raw += got
            first, *rest = raw.decode("latin-1").split("\r\n")
            headers = {k.strip().lower(): v.strip() for k, _, v in (line.partition(":") for line in rest if line)}
            path = first.split(" ")[1]
            with lock:
                visits[path] = visits.get(path, 0) + 1
                r = Request(conn, path, headers, visits[path])
            way = path.strip("/").split("/")[0]
            try:
                WAYS[way](r)
            finally:
                with lock, open(os.path.join(FOLDER, "log"), "a") as log:
                    log.write(f"{way} {r.visit} {r.start} {'if' if r.condition else '-'} {r.sent}\n")
        except OSError:
            pass  # the client went away


WAYS = {name: f for name, f in globals().items() if callable(f) and name[0].islower() and name != "serve"}
server = socket.create_server(("127.0.0.1", 0), backlog=32)
with open(os.path.join(FOLDER, "port.new"), "w") as f:
    f.write(str(server.getsockname()[1]))
os.rename(os.path.join(FOLDER, "port.new"), os.path.join(FOLDER, "port"))
with open(os.path.join(FOLDER, "data"), "wb") as f:
    f.write(DATA)
while True:
    threading.Thread(target=serve, args=(server.accept()[0],), daemon=True).start()
