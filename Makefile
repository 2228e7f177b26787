# What a newcomer types. Everything real is in meson.build; this only calls meson, ninja and the scripts in tools/.
BUILD ?= build
PREFIX ?= /usr/local
LIBDIR ?= lib
DESTDIR ?=
WERROR ?= false
FUZZ_SECONDS ?= 60
CORPUS ?= ../shared/corpus
MODEL ?= gemma-3-270m
Q ?= 甄士隐的岳丈叫什么名字？

# The question and the model go to scripts through the environment, so that no quote in them can break a command line.
export Q MODEL FUZZ_SECONDS

.PHONY: all help deps demo test test-long style asan tsan fuzz bench finding adapter install clean

all: $(BUILD)/build.ninja
	@ninja -C $(BUILD) programs

$(BUILD)/build.ninja:
	@for tool in meson ninja; do command -v $$tool >/dev/null || \
	    { echo "$$tool is missing: 'make deps' installs what the build needs."; exit 1; }; done
	meson setup $(BUILD) -Dwerror=$(WERROR)

help:
	@echo "make                     build/juan and build/libchangjuan.so"
	@echo "make demo [Q=question]   install what is missing, build, get the default model, read a book, answer a question"
	@echo "make test                build, run every test; the last line is 'N passed, N failed'"
	@echo "make test-long           the same with the tests that take long"
	@echo "make style               the house rules alone (seconds)"
	@echo "make asan | tsan         the tests under AddressSanitizer and UBSan | under ThreadSanitizer"
	@echo "make fuzz                fuzz every parser for FUZZ_SECONDS ($(FUZZ_SECONDS)) each, with clang's libFuzzer where it is there"
	@echo "make bench [MODEL=name]  tokens per second and the machine's ceilings"
	@echo "make finding             how well questions find the sentences that answer them, and how many answers are right (a quarter of an hour)"
	@echo "make adapter [CORPUS=DIR] trains the adapter that comes with the default model, and measures it (hours; stopped, it goes on)"
	@echo "make install             to PREFIX ($(PREFIX)), below DESTDIR when it is given"
	@echo "make deps                install what the build and the tests need, and nothing when nothing is missing"
	@echo "make clean               remove the build folders"

deps:
	@tools/install-deps

demo: deps
	@$(MAKE) --no-print-directory all
	@tools/demo $(BUILD)/juan

test:
	@tools/run-tests --build $(BUILD) --werror $(WERROR)

test-long:
	@tools/run-tests --build $(BUILD) --werror $(WERROR) --long

style asan tsan:
	@tools/run-tests --build $(BUILD) --werror $(WERROR) $@

fuzz:
	@tools/run-fuzz

bench: all
	@$(BUILD)/juan bench "$$MODEL"

finding: all
	@ninja -C $(BUILD) tests/look tests/indexed
	@tests/reading/finding.py --build $(BUILD) "$$MODEL"
	@tests/reading/answers.py --build $(BUILD) "$$MODEL"

adapter: all
	@CORPUS='$(CORPUS)' tools/make_adapter $(BUILD)/juan $(BUILD)/adapter

install: $(BUILD)/build.ninja
	@meson configure $(BUILD) -Dprefix='$(abspath $(PREFIX))' -Dlibdir='$(LIBDIR)'
	@ninja -C $(BUILD) programs
	DESTDIR='$(if $(DESTDIR),$(abspath $(DESTDIR)))' meson install -C $(BUILD) --no-rebuild
	@if [ -z '$(DESTDIR)' ] && [ "$$(id -u)" = 0 ]; then ldconfig 2>/dev/null || true; fi

clean:
	rm -rf $(BUILD) build-asan build-tsan build-clang build-fuzz
