#!/usr/bin/env bash
# The reference, data-designer 0.9.7, in a virtual environment of its own: install_reference.sh FOLDER
#
# Its three packages are taken as they are; their dependencies at the ranges they declare, except certifi, whose lower
# bound is newer than some mirrors carry. Does nothing when the environment is complete.
set -euo pipefail

folder=$1
version=0.9.7
python=${PYTHON:-python3}
done_file=$folder/installed-$version

[ -e "$done_file" ] && exit 0
rm -rf "$folder"
"$python" -m venv "$folder"
pip=("$folder/bin/python" -m pip install --quiet --disable-pip-version-check)
"${pip[@]}" --no-deps "data-designer==$version" "data-designer-config==$version" "data-designer-engine==$version"
"$folder/bin/python" - > "$folder/dependencies.txt" <<'PYTHON'
from importlib.metadata import requires
from pip._vendor.packaging.requirements import Requirement

for package in ("data-designer", "data-designer-config", "data-designer-engine"):
    for line in requires(package) or []:
        needed = Requirement(line)
        if needed.name.startswith("data-designer") or (needed.marker and not needed.marker.evaluate({"extra": ""})):
            continue
        print(needed.name if needed.name == "certifi" else f"{needed.name}{needed.specifier}")
PYTHON
"${pip[@]}" -r "$folder/dependencies.txt"
touch "$done_file"
