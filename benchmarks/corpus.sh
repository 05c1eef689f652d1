#!/usr/bin/env bash
# Builds a tree of real files as a Windows has them, to measure with: about 82,000 files, 1.8 GB.
#
#   corpus.sh DIR [small]        small: about 10,000 files, 1.1 GB
#
# Windows' own files are stood in for by wine's PE files (from Debian), Program Files by Windows packages from PyPI.
# Needs Debian with apt-get, Python 3.11 or later with pip, 7 GB beside DIR, and downloads about 350 MB (small: 180 MB).
set -euo pipefail

target=${1:?usage: corpus.sh DIR [small]}
kind=${2:-full}
if [ -e "$target" ]; then
  echo "$target exists already" >&2
  exit 1
fi
mkdir -p "$(dirname "$target")"
building=$(mktemp -d "$(dirname "$target")/building.XXXXXX")
trap 'rm -rf "$building"' EXIT
tree=$building/tree
python=${PYTHON:-python3}

wine_files() {
  (cd "$building" && apt-get -q download libwine wine64 >/dev/null)
  for package in "$building"/*.deb; do dpkg-deb -x "$package" "$building/wine"; done
  local library=$building/wine/usr/lib/x86_64-linux-gnu/wine
  mkdir -p "$tree/Windows/System32/config" "$tree/Windows/SysWOW64" "$tree/Users/Public"
  cp -r "$library/x86_64-windows/." "$tree/Windows/System32/"
  if [ -d "$library/i386-windows" ]; then cp -r "$library/i386-windows/." "$tree/Windows/SysWOW64/"; fi
}

program_files() {
  local packages=(PySide6-Essentials PySide6-Addons numpy scipy pandas matplotlib)
  if [ "$kind" != small ]; then
    packages+=(ansible homeassistant pulumi-azure-native botocore django plotly sympy)
  fi
  "$python" -m pip -q download --no-deps --only-binary=:all: --platform win_amd64 --python-version 3.11 \
    -d "$building/wheels" "${packages[@]}"
  for wheel in "$building"/wheels/*.whl; do
    local name
    name=$(basename "$wheel" | cut -d- -f1)
    "$python" -m zipfile -e "$wheel" "$tree/Program Files/$name"
  done
}

echo "Building a corpus in $target"
wine_files
program_files
find "$tree" -type l -delete
mv "$tree" "$target"
echo "$(find "$target" -type f | wc -l) files, $(du -sh --apparent-size "$target" | cut -f1)"
