# Python loads this module first (the documentation of `site`), here where it is noted which files a function uses. It looks for
# modules in lists of directories and asks for none that is not in them, so that nobody would see what it misses: this asks.
import os
import sys


class _Asking:
    @staticmethod
    def find_spec(name, path=None, target=None):
        last = name.rpartition(".")[2]
        for directory in list(sys.path if path is None else path):
            for end in ("", ".py", "/__init__.py"):
                if isinstance(directory, str):
                    os.path.exists(f"{directory}/{last}{end}")
        return None


sys.meta_path.append(_Asking)

