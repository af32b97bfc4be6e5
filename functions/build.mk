# How SAM builds every function (BuildMethod: makefile): the wiring and its bytecode, nothing else.
# Each function's folder has this file as its Makefile; packages and shared code come from the layer.

PYTHON_RUNTIME ?= python3.13
VERSION := $(PYTHON_RUNTIME:python%=%)

# Bytecode is valid for one minor version only. Without one of that version, the layer's build says what it costs.
INTERPRETER ?= $(firstword $(foreach candidate,$(PYTHON_RUNTIME) $(wildcard $(or $(PYENV_ROOT),$(HOME)/.pyenv)/versions/$(VERSION).*/bin/python3),\
    $(if $(filter $(VERSION),$(shell $(candidate) -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null)),$(candidate))))

build-%:
	@cp app.py "$(ARTIFACTS_DIR)/"
	@$(if $(INTERPRETER),$(INTERPRETER) -m compileall -q --invalidation-mode unchecked-hash \
	    -s "$(ARTIFACTS_DIR)" -p /var/task "$(ARTIFACTS_DIR)")
