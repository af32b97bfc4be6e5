#!/bin/sh
# Makes sure that a Chromium and its driver are there for the tests of the console's pages, and prints their paths.
# Takes what is on PATH; else, as root on Debian or Ubuntu, installs the distribution's packages.
set -eu

found() {
    for name in "$@"; do
        command -v "$name" && return
    done
    return 1
}

browser() { found chromium chromium-browser google-chrome google-chrome-stable; }
driver() { found chromedriver; }

if ! { browser && driver; } >/dev/null; then
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
        echo "installing chromium and chromium-driver (about 1 min, once)" >&2
        apt-get update -qq >&2
        DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium chromium-driver >/dev/null
    fi
    if ! { browser && driver; } >/dev/null; then
        echo "the tests of the console need Chromium (or Chrome) and chromedriver of the same version on the PATH;" >&2
        echo "on Debian: sudo apt-get install chromium chromium-driver" >&2
        exit 1
    fi
fi
echo "$(browser) $(driver)"
