# Short names for long commands; the build itself is CMake's (CMakeLists.txt, CMakePresets.json).
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.ONESHELL:
.SILENT:
MAKEFLAGS += --no-print-directory

JOBS ?= $(shell nproc)
FUZZ_SECONDS ?= 20
# For `make run`: a .gguf file or a Hugging Face model directory; a question to answer once.
MODEL ?=
PROMPT ?=
ARGS ?=
export PROMPT

# Configures a preset where that has not been done, quietly unless it fails. ninja repeats it when CMake files change.
define configure
if [[ ! -f build/$(1)/build.ninja ]]; then
  echo "configuring build/$(1)"
  mkdir -p build/$(1)
  cmake --preset $(1) > build/$(1)/configure.log 2>&1 || { cat build/$(1)/configure.log; exit 1; }
fi
endef
# On a terminal ninja shows one line that changes; elsewhere only what goes wrong.
ninja = ninja -C build/$(1) -j $(JOBS) $$([[ -t 1 ]] || echo --quiet)

.PHONY: help
help:
	cat <<'TEXT'
	make run                    set up, build, fetch a small model, chat with it
	make run PROMPT="..."       the same, but answer once and end
	make run MODEL=path         with a model of your own; ARGS="..." goes to `shoehorn run`
	make test                   set up, build everything, run all tests and a short fuzz run
	make build                  build everything into build/release
	make bench                  run the micro-benchmarks
	make fuzz FUZZ_SECONDS=600  fuzz each parser for so long (default 20)
	make asan, make tsan        all tests under sanitizers
	make format                 clang-format every source file
	make clean                  remove build/
	TEXT

.PHONY: run
run:
	tools/setup.sh build
	$(call configure,release)
	echo "building shoehorn (build/release/shoehorn)"
	$(call ninja,release) shoehorn
	model='$(MODEL)'
	model=$${model:-$$(python3 tools/fetch_model.py)}
	echo "running $$model"
	if [[ -n $$PROMPT ]]; then
	  exec build/release/shoehorn run "$$model" --prompt "$$PROMPT" $(ARGS)
	fi
	exec build/release/shoehorn run "$$model" $(ARGS)

.PHONY: build
build:
	tools/setup.sh build
	$(call configure,release)
	$(call ninja,release)

.PHONY: test
test:
	tools/setup.sh test
	$(call configure,release)
	echo "building everything"
	$(call ninja,release)
	python3 tools/fetch_model.py > /dev/null
	tools/fuzz.sh $(FUZZ_SECONDS)
	ctest --preset release

.PHONY: asan tsan
asan tsan:
	tools/setup.sh test
	$(call configure,$@)
	$(call ninja,$@)
	python3 tools/fetch_model.py > /dev/null
	ctest --preset $@

.PHONY: bench
bench: build
	for program in build/release/bench/*/*_bench; do
	  "$$program"
	done

.PHONY: fuzz
fuzz:
	tools/setup.sh test
	tools/fuzz.sh $(FUZZ_SECONDS)

.PHONY: format
format:
	tools/setup.sh format
	find src tests bench \( -name '*.h' -o -name '*.cc' -o -name '*.cu' \) -print0 | xargs -0 clang-format -i

.PHONY: clean
clean:
	rm -rf build
