# Two commands carry the project: `make demo` and `make test`. Each prepares the machine itself.
JOBS ?= $(shell nproc)
BUILD ?= build
PRESET ?= release
REPEAT ?= 10

.PHONY: demo test faults style build runtime setup model texts package format lint clean help

help:  ## what each target does
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/:/' | awk -F: '{printf "  make %-9s %s\n", $$1, $$2}'

demo: runtime model texts  ## quantize SmolLM2-135M to 4, 3 and 2 bits, measure, export, report
	@$(BUILD)/bin/qtk run configs/quickstart.yaml

test: style build  ## unit tests, style checks and the out-of-tree plugin
	@scripts/test.sh $(BUILD)

faults: runtime  ## kill, stop and cut off ranks of a small run, ten times each; REPEAT=1 QUICK=1 for an excerpt
	@python3 tests/faults/faults.py $(BUILD)/bin/qtk --repeat $(REPEAT) $(if $(QUICK),--quick)

build: setup  ## compile everything into build/
	@scripts/build.sh $(BUILD) $(PRESET) $(JOBS) all

runtime: setup  ## compile the launcher and the plugins only
	@scripts/build.sh $(BUILD) $(PRESET) $(JOBS) runtime

style: setup  ## directions of includes, names, formatting
	@scripts/style.sh

setup:  ## system packages and the pinned virtual environment
	@scripts/setup.sh

model: setup  ## bring SmolLM2-135M (98 MB, Apache-2.0) into .cache/
	@scripts/fetch_model.sh

texts: setup  ## bring six public-domain novels into .cache/texts/
	@scripts/fetch_texts.sh

package: build  ## relocatable folder .bundle/ (binaries, plugins, third-party libraries)
	@scripts/package.sh $(BUILD) .bundle

format:  ## rewrite sources with clang-format
	@git ls-files '*.cpp' '*.hpp' '*.cu' '*.cuh' | xargs clang-format -i

clean:  ## remove the build folder
	rm -rf $(BUILD)
