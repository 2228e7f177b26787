#!/usr/bin/env python3
"""Compares our chat templates with Python's jinja2, set up as transformers sets it up.

    template_oracle.py check  RUN [--shared DIR] [--template FILE]...   both engines on every template and conversation
    template_oracle.py fuzz   RUN [--count N] [--seed N]                both engines on random expressions
    template_oracle.py write  [--shared DIR]                            the expectations in tests/fixtures/templates

RUN is build/tests/template_run. jinja2 comes from `pip install jinja2`. Of templates that are not ours only digests are written.
"""
import argparse
import datetime
import glob
import hashlib
import json
import os
import struct
import subprocess
import sys

import jinja2
import jinja2.ext
import jinja2.sandbox

import template_expressions
import template_features
import template_requests

HERE = os.path.dirname(os.path.abspath(__file__))
FIXTURES = os.path.join(HERE, "..", "fixtures", "templates")
NOW = 1753689600  # 2025-07-28 08:00:00 UTC


class Generation(jinja2.ext.Extension):
    """The tag with which templates mark what the assistant says: it changes nothing in the text."""
    tags = {"generation"}

    def parse(self, parser):
        line = next(parser.stream).lineno
        body = parser.parse_statements(["name:endgeneration"], drop_needle=True)
        return jinja2.nodes.CallBlock(self.call_method("_same"), [], [], body).set_lineno(line)

    def _same(self, caller):
        return caller()


def environment():
    env = jinja2.sandbox.ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True,
                                                       extensions=[Generation, jinja2.ext.loopcontrols])

    def tojson(x, ensure_ascii=False, indent=None, separators=None, sort_keys=False):
        return json.dumps(x, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)

    def raise_exception(message):
        raise jinja2.exceptions.TemplateError(message)

    def strftime_now(form):
        return datetime.datetime.fromtimestamp(NOW, datetime.timezone.utc).strftime(form)

    env.filters["tojson"] = tojson
    env.globals["raise_exception"] = raise_exception
    env.globals["strftime_now"] = strftime_now
    return env


ENV = environment()
COMPILED = {}


def python_render(template, variables):
    """{"output": text} or {"error": why}."""
    try:
        if template not in COMPILED:
            COMPILED[template] = ENV.from_string(template)
        output = COMPILED[template].render(**json.loads(json.dumps(variables)))
        output.encode()
        return {"output": output}
    except Exception as e:  # whatever a template can make Python raise is an error to us as well
        return {"error": f"{type(e).__name__}: {e}"}


class Ours:
    def __init__(self, program):
        self.process = subprocess.Popen([program], stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def render(self, template, variables):
        line = json.dumps({"template": template, "variables": variables, "now": NOW})
        self.process.stdin.write(line.encode() + b"\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        if not answer:
            sys.exit(f"the program died on {line}")
        return json.loads(answer)


def gguf_template(path):
    """tokenizer.chat_template of a GGUF file, found by its key."""
    with open(path, "rb") as f:
        head = f.read(64 << 20)
    at = head.find(b"tokenizer.chat_template") + len(b"tokenizer.chat_template") + 4
    size, = struct.unpack_from("<Q", head, at)
    return head[at + 8:at + 8 + size].decode()


def model_templates(shared, extra=()):
    """(name, text) of every chat template at hand."""
    for path in sorted(glob.glob(os.path.join(shared, "tokenizers/chat_templates/*.jinja"))):
        with open(path, encoding="utf-8") as f:
            yield os.path.relpath(path, shared), f.read()
    for path in sorted(glob.glob(os.path.join(shared, "tokenizers/*/tokenizer_config.json"))):
        with open(path, encoding="utf-8") as f:
            template = json.load(f).get("chat_template")
        if isinstance(template, str):
            yield os.path.relpath(path, shared), template
        for named in template if isinstance(template, list) else []:
            yield os.path.relpath(path, shared) + "#" + named["name"], named["template"]
    for path in extra:
        if path.endswith(".gguf"):
            yield path, gguf_template(path)
        else:
            with open(path, encoding="utf-8") as f:
                yield path, f.read()


def differs(expected, got):
    if "error" in expected or "error" in got:
        return ("error" in expected) != ("error" in got)
    return expected["output"] != got["output"]


def show(name, template, variables, expected, got):
    print(f"--- {name}\ntemplate: {template[:2000]!r}\nvariables: {json.dumps(variables, ensure_ascii=False)[:800]}")
    print(f"jinja2: {expected}\nours:   {got}\n")


def check(arguments):
    ours, count, errors, wrong = Ours(arguments.run), 0, 0, 0
    cases = [(name, template, request) for name, template in model_templates(arguments.shared, arguments.template)
             for name, request in ((f"{name}: {title}", request) for title, request in template_requests.requests())]
    cases += template_features.FEATURES
    for name, template, variables in cases:
        expected, got = python_render(template, variables), ours.render(template, variables)
        count += 1
        errors += "error" in expected
        if differs(expected, got):
            wrong += 1
            if wrong <= 10:
                show(name, template if len(template) < 300 else "...", variables, expected, got)
    print(f"{count} renders, {errors} of them errors in both, {wrong} differ")
    return wrong != 0


def fuzz(arguments):
    ours, generator, errors, wrong = Ours(arguments.run), template_expressions.Generator(arguments.seed), 0, 0
    for i in range(arguments.count):
        template, variables = generator.template()
        expected, got = python_render(template, variables), ours.render(template, variables)
        COMPILED.clear()
        errors += "error" in expected
        if differs(expected, got) and not template_expressions.known_difference(template, expected, got):
            wrong += 1
            if wrong <= arguments.show:
                show(f"expression {i}", template, variables if "x" in template else {}, expected, got)
    print(f"{arguments.count} random templates, {errors} of them errors, {wrong} differ")
    return wrong != 0


def digest(template, title):
    """Over one conversation with every setting: 1 and the text where it renders, 2 where it is an error."""
    h = hashlib.sha256()
    for settings in template_requests.SETTINGS.values():
        answer = python_render(template, template_requests.request(template_requests.CONVERSATIONS[title], settings))
        h.update(b"\1" + answer["output"].encode() if "output" in answer else b"\2")
    return h.hexdigest()[:16]


def write(arguments):
    features = []
    for name, template, variables in template_features.FEATURES:
        expected = python_render(template, variables)
        features.append({"name": name, "template": template, **({"error": True} if "error" in expected else expected)})
    models = [{"template": name, "digests": [digest(template, title) for title in template_requests.CONVERSATIONS]}
              for name, template in model_templates(arguments.shared)]
    conversations = {"conversations": template_requests.CONVERSATIONS, "settings": template_requests.SETTINGS,
                     "tokens": template_requests.TOKENS}
    for name, content in (("variables", {"variables": template_features.VARIABLES}), ("features", features), ("models", models), ("requests", conversations)):
        rows = content.items() if isinstance(content, dict) else content
        with open(os.path.join(FIXTURES, name + ".json"), "w", encoding="utf-8") as f:
            if isinstance(content, list):
                f.write("[\n" + ",\n".join(json.dumps(x, ensure_ascii=False) for x in rows) + "\n]\n")
            else:
                f.write("{\n" + ",\n".join(json.dumps(k) + ": {\n" + ",\n".join(f"{json.dumps(x)}: {json.dumps(y, ensure_ascii=False)}"
                        for x, y in v.items()) + "\n}" for k, v in rows) + "\n}\n")
    print(f"{len(features)} features, {len(models)} templates with {len(template_requests.CONVERSATIONS)} conversations")
    return 0


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=["check", "fuzz", "write"])
    parser.add_argument("run", nargs="?")
    parser.add_argument("--shared", default=os.environ.get("CJ_SHARED", os.path.join(HERE, "../../../shared")))
    parser.add_argument("--template", action="append", default=[])
    parser.add_argument("--count", type=int, default=20000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--show", type=int, default=10)
    arguments = parser.parse_args()
    sys.exit({"check": check, "fuzz": fuzz, "write": write}[arguments.command](arguments))


if __name__ == "__main__":
    main()
