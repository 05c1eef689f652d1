"""Finds the Cython modules; what each links to stands in its own first lines (`# distutils: ...`)."""

import os
from pathlib import Path

from Cython.Build import cythonize
from setuptools import Extension, setup

DIRECTIVES = {"language_level": "3", "boundscheck": False, "wraparound": False, "cdivision": True,
              "initializedcheck": False, "embedsignature": True, "freethreading_compatible": False}

debug = bool(os.environ.get("WIMBOOT_DEBUG"))
if debug:
    DIRECTIVES |= {"boundscheck": True, "wraparound": True}

extensions = [
    Extension(".".join(path.relative_to("src").with_suffix("").parts), [str(path)],
              include_dirs=["/usr/include/ntfs-3g"],
              extra_compile_args=["-O2", "-g0"] if not debug else ["-O1", "-g", "-fsanitize=address,undefined"],
              extra_link_args=["-Wl,-s"] if not debug else ["-fsanitize=address,undefined"])
    for path in sorted(Path("src").rglob("*.pyx"))
]

# `make` compiles by itself, in place and only what changed, so its editable installation leaves that out.
modules = [] if os.environ.get("WIMBOOT_COMPILE") == "no" else cythonize(
    extensions, compiler_directives=DIRECTIVES, include_path=["src"], nthreads=os.cpu_count() or 1)

setup(ext_modules=modules, options={"build_ext": {"parallel": os.cpu_count()}})
