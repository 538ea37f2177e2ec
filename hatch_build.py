"""Compiles what is there for speed alone, where a C compiler is; without one the package is complete, and slower."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface
from setuptools import Distribution, Extension
from setuptools.command.build_ext import build_ext

MODULE = "rollmill.formats._quick_lines"
SOURCE = "src/quick_lines/module.c"


class CompileQuickLines(BuildHookInterface):
    """Adds the compiled module to a wheel, which is then one for this machine's Python; into ``src`` when the
    installation is an editable one. ROLLMILL_PURE_PYTHON=1 leaves it out."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        if self.target_name != "wheel" or os.environ.get("ROLLMILL_PURE_PYTHON") == "1":
            return
        try:
            built = _compile(Path(self.root))
        except Exception as error:  # setuptools has many ways to say that there is no compiler
            print(f"{MODULE} is left out, reading will be slower: {error}", file=sys.stderr)
            return
        build_data["pure_python"] = False
        build_data["infer_tag"] = True
        build_data["artifacts"].append(built.relative_to(self.root).as_posix())


def _compile(root: Path) -> Path:
    extension = Extension(MODULE, [SOURCE], extra_compile_args=[] if os.name == "nt" else ["-O3"])
    distribution = Distribution({"name": "rollmill", "ext_modules": [extension], "package_dir": {"": "src"}})
    command = build_ext(distribution)
    command.inplace, command.force, command.build_temp = True, True, str(root / "build" / "quick_lines")
    command.ensure_finalized()
    built = root / command.get_ext_fullpath(MODULE)
    built.unlink(missing_ok=True)  # one of another source would not fit
    command.run()
    return built
