# How SAM builds every function (BuildMethod: makefile): the wiring and its bytecode, nothing else.
# Each function's folder has this file as its Makefile; packages and shared code come from the layer.

PYTHON_RUNTIME ?= python3.13

build-%:
	@cp app.py "$(ARTIFACTS_DIR)/"
	@for python in $(PYTHON_RUNTIME) "$${PYENV_ROOT:-$$HOME/.pyenv}"/versions/$(PYTHON_RUNTIME:python%=%).*/bin/python3; do \
	    if "$$python" -c 'import sys; sys.exit("python%d.%d" % sys.version_info[:2] != "$(PYTHON_RUNTIME)")' 2>/dev/null; then \
	        cd "$(ARTIFACTS_DIR)" && exec "$$python" -m compileall -q --invalidation-mode unchecked-hash app.py; \
	    fi; \
	done; \
	echo "warning: no $(PYTHON_RUNTIME) here, so $* ships without bytecode" >&2
