"""Tests written in Python speak TAP, as the C tests do: one line for each result, so that tools/run-tests can count them."""
import sys
import traceback


class Skip(Exception):
    """Raised by a test that cannot run here; the reason is counted and listed."""


def run(tests):
    """tests: (name, function) pairs. A function passes by returning; anything it raises but Skip is a failure."""
    failed = 0
    print(f"1..{len(tests)}", flush=True)
    for n, (name, test) in enumerate(tests, 1):
        try:
            test()
            print(f"ok {n} - {name}", flush=True)
        except Skip as reason:
            print(f"ok {n} - {name} # SKIP {reason}", flush=True)
        except Exception:
            failed += 1
            print(f"not ok {n} - {name}")
            print("".join("# " + line + "\n" for line in traceback.format_exc().rstrip().split("\n")), end="", flush=True)
    sys.exit(failed > 0)
