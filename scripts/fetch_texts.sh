#!/usr/bin/env bash
# Brings Jane Austen's six novels (public domain) out of Debian's package r-cran-janeaustenr into .cache/texts. R itself
# is not installed: the package is unpacked and read here. Idempotent.
set -euo pipefail
cd "$(dirname "$0")/.."
[ -f .cache/texts/persuasion.txt ] && exit 0
echo "fetch_texts: Jane Austen's novels from Debian's r-cran-janeaustenr (1.6 MB)"
mkdir -p .cache
work=$(mktemp -d "$PWD/.cache/fetch.XXXXXX")
trap 'rm -rf "$work"' EXIT
ls /var/lib/apt/lists/*Packages* >/dev/null 2>&1 || { [ "$(id -u)" -eq 0 ] && apt-get update -qq || sudo apt-get update -qq; }
(cd "$work" && apt-get -qq -o APT::Sandbox::User=root download r-cran-janeaustenr && dpkg-deb -x ./*.deb .)
.venv/bin/python scripts/read_r_texts.py "$work/usr/lib/R/site-library/janeaustenr/data" "$work/texts"
rm -rf .cache/texts
mv "$work/texts" .cache/texts
