# The front door. Everything is a CMake build underneath (see CMakePresets.json); these are the habits.
#
#   make demo      set up, build, and personalize the sample film
#   make test      set up, build, check the house rules, run every test
#   make build     release build only            make asan     tests under address and undefined-behaviour sanitizers
#   make lint      all static checks             make format   clang-format in place
#   make bench     run the benchmarks            make fuzz     every fuzz target for 60 s (clang)
#   make sample    draw samples/template.mp4 again
#   make install   to PREFIX (/usr/local), DESTDIR honoured
PREFIX ?= /usr/local
JOBS ?= $(shell nproc)
CTEST_ARGS ?=
BUILD := build/release

.PHONY: all build demo test lint format bench fuzz sample asan install clean setup
all: build

setup:
	@scripts/setup

build:
	@cmake --preset release -DCMAKE_INSTALL_PREFIX="$(PREFIX)" >/dev/null
	@cmake --build --preset release -j $(JOBS)

demo: setup
	@$(MAKE) --no-print-directory build
	@scripts/demo

test: setup
	@cmake --preset dev >/dev/null
	@cmake --build --preset dev -j $(JOBS)
	@scripts/lint --quick build/dev
	@ctest --preset dev -j $(JOBS) $(CTEST_ARGS)

asan: setup
	@cmake --preset asan >/dev/null
	@cmake --build --preset asan -j $(JOBS)
	@ctest --preset asan -j $(JOBS) $(CTEST_ARGS)

lint: build
	@scripts/setup --lint
	@scripts/lint $(BUILD)

format:
	@find src include tests bench fuzz training -name '*.[ch]' -print0 | xargs -0 clang-format -i

bench: build
	@cmake --build --preset release --target run_benches

fuzz: setup
	@scripts/fuzz 60

sample: build
	@cmake --build --preset release --target sample

install: build
	@cmake --install $(BUILD)

clean:
	@rm -rf build demo
