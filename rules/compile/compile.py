"""Compiles modules: reads [[source, path on Lambda, file for the byte code], ...] from standard input.

A module that cannot be compiled is passed over: some files of packages are templates, or for other versions.
"""

import json
import py_compile
import sys
import warnings

warnings.simplefilter("ignore")
for source, path, compiled in json.load(sys.stdin):
    try:
        py_compile.compile(
            source,
            cfile=compiled,
            dfile=path,
            doraise=True,
            optimize=0,
            invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH,
        )
    except Exception:
        pass
