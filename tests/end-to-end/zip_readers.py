#!/usr/bin/env python3
"""Makes zips that are slightly wrong, in every way that the format offers, and compares what `check` says of them with what
four other readers make of them: unzip, 7zz, bsdtar and Python's zipfile.

zip_readers.py PROGRAM [MUTATIONS]

Of a zip that check calls OK, at most one of the readers may refuse the file or see other files than the others do. Exits with
1 if two do, and with 2 if a reader is missing. MUTATIONS is how many zips with random bytes changed come on top of the 583
that are made by hand (400 if not given).
"""

import collections
import hashlib
import json
import os
import random
import shutil
import struct
import subprocess
import sys
import tempfile
import zipfile
import zlib

FULL = 0xFFFFFFFF
CONTENT = b"hello\n"


def deflated(content):
    compressor = zlib.compressobj(9, zlib.DEFLATED, -15)
    return compressor.compress(content) + compressor.flush()


DEFLATED_LENGTH = len(deflated(CONTENT))
CRC = zlib.crc32(CONTENT)


class Entry:
    """One entry. What its own (local) header says is as in the directory, unless a `local_…` value is given."""

    def __init__(self, name, content=CONTENT, method=8, mode=0o100644, **fields):
        self.name = name.encode() if isinstance(name, str) else name
        self.raw = deflated(content) if method == 8 else content
        self.method, self.mode, self.made_by = method, mode, 0x031E
        self.crc, self.size, self.compressed = zlib.crc32(content), len(content), len(self.raw)
        self.flags, self.disk, self.extra, self.local_extra = 0, 0, b"", b""
        self.descriptor, self.gap, self.comment = b"", b"", b""
        vars(self).update(fields)
        for field in ["name", "flags", "method", "crc", "size", "compressed"]:
            vars(self).setdefault(f"local_{field}", len(self.raw) if field == "compressed" else getattr(self, field))

    def local(self):
        fixed = struct.pack(
            "<4s5H3I2H", b"PK\3\4", 20, self.local_flags, self.local_method, 0, 0x21, self.local_crc,
            self.local_compressed, self.local_size, len(self.local_name), len(self.local_extra),
        )
        return fixed + self.local_name + self.local_extra + self.raw + self.descriptor + self.gap

    def central(self, offset):
        fixed = struct.pack(
            "<4s6H3I5H2I", b"PK\1\2", self.made_by, 20, self.flags, self.method, 0, 0x21, self.crc, self.compressed,
            self.size, len(self.name), len(self.extra), len(self.comment), self.disk, 0, self.mode << 16, offset,
        )
        return fixed + self.name + self.extra + self.comment


def archive(entries, prefix=b"", before=b"", after=b"", tail=b"", comment=b"", locator=None, **end):
    """A zip. `before` and `after` stand around its directory; `locator` is where a ZIP64 locator leads, 0 being right."""
    out, offsets = bytearray(prefix), []
    for entry in entries:
        offsets.append(len(out))
        out += entry.local()
    out += before
    start = len(out)
    for entry, offset in zip(entries, offsets):
        out += entry.central(offset)
    size, count = len(out) - start, end.get("count", len(entries))
    out += after
    if locator is not None:
        at = len(out)
        out += struct.pack("<4sQ2H2I4Q", b"PK\6\6", 44, 45, 45, 0, 0, len(entries), len(entries), size, start)
        out += struct.pack("<4sIQI", b"PK\6\7", 0, locator or at, 1)
    out += struct.pack(
        "<4s4H2IH", b"PK\5\6", end.get("disk", 0), end.get("directory_disk", 0), end.get("on_disk", count), count,
        size + end.get("size", 0), start + end.get("offset", 0), len(comment),
    )
    return bytes(out + comment + tail)


def bootstrap():
    return Entry("bootstrap", b"#!/bin/sh\necho\n", mode=0o100755)


def unicode_path(name, other, crc=None):
    field = struct.pack("<BI", 1, zlib.crc32(name) if crc is None else crc) + other
    return struct.pack("<2H", 0x7075, len(field)) + field


def zip64_field(*values):
    return struct.pack(f"<2H{len(values)}Q", 1, 8 * len(values), *values)


def names_and_extra_fields():
    """Names that are two things to two readers, and extra fields that end elsewhere than they say."""
    for other in [b"../evil", b"other.txt", b"good.txt", b"a/b", b"/abs"]:
        for place in ["extra", "local_extra"]:
            yield "unicode-path", [Entry("good.txt", **{place: unicode_path(b"good.txt", other)})], {}
            yield "unicode-path-crc", [Entry("good.txt", **{place: unicode_path(b"good.txt", other, 5)})], {}
    for length in [254, 255, 256, 300, 1000]:
        yield "long-part", [Entry("a" * length)], {}
        yield "long-part", [Entry("d/" + "a" * length + "/x")], {}
    names = ["x\u202egpj.so", "\u2066a\u2069", "a\\b", "../x", "/x", "a//b", "./a", "a/./b", "a/../b", "C:/x", "con", "a\0b"]
    names += ["a\nb", "", ".", "..", "x ", "x.", "a:b", "a*b", "é", "e\u0301", "日本", "a" * 200 + "/" + "b" * 200, "X", "x/"]
    for name in names:
        for method in [0, 8]:
            yield "name", [Entry(name, method=method, flags=0 if name.isascii() else 0x800)], {}
        yield "name-without-flag", [Entry(name)], {}
    yield "latin-1", [Entry(b"caf\xe9")], {}
    yield "latin-1", [Entry(b"caf\xe9", flags=0x800)], {}
    yield "same-name", [Entry("x"), Entry("x", b"other\n")], {}
    yield "file-and-directory", [Entry("a"), Entry("a/b")], {}
    yield "case", [Entry("x"), Entry("X")], {}
    extra_fields = [b"\1", b"\1\2\3", bytes(3), b"UT\xff\xff\0", b"UT\5\0\1", b"UT\0\0", b"\xfe\xca\0\0", zip64_field(5)]
    extra_fields += [zip64_field(), b"UT\5\0\1\0\0\0\0", b"ux\x0b\0\1\4\0\0\0\0\4\0\0\0\0", b"\1\0\4\0abcd", bytes(4)]
    for field in extra_fields:
        yield "extra", [Entry("x", extra=field)], {}
        yield "extra", [Entry("x", local_extra=field)], {}
        yield "extra", [Entry("x", extra=field, local_extra=field)], {}


def headers():
    """Own headers that differ from the directory, flags, and descriptors."""
    for method in [0, 8]:
        length = DEFLATED_LENGTH if method else len(CONTENT)
        both = {"local_size": FULL, "local_compressed": FULL}
        for fields in [
            {"local_crc": FULL}, {"local_crc": 0}, {"local_crc": 1}, {"local_size": FULL}, {"local_compressed": FULL}, both,
            {"local_size": 0, "local_compressed": 0}, {"local_size": 1}, {"local_compressed": 1}, {"local_method": 8 - method},
            {"local_name": b"z"}, {"local_name": b"xx"}, {"local_name": b""}, {"local_name": b"X"},
            {**both, "local_extra": zip64_field(6, length)}, {**both, "local_extra": zip64_field(999, 999)},
            {**both, "local_extra": zip64_field(length, 6)}, {"local_size": FULL, "local_extra": zip64_field(6)},
            {"local_size": FULL, "local_extra": zip64_field(7)}, {"local_extra": zip64_field(6, length)},
        ]:
            yield "own-header", [Entry("x", method=method, **fields)], {}
        for bit in range(16):
            flag = 1 << bit
            yield f"bit-{bit}-own", [Entry("x", method=method, local_flags=flag)], {}
            yield f"bit-{bit}-directory", [Entry("x", method=method, flags=flag, local_flags=0)], {}
            yield f"bit-{bit}-both", [Entry("x", method=method, flags=flag)], {}
            own = 0 if bit == 11 else 0x800 | flag
            yield f"bit-{bit}-utf8", [Entry("é", method=method, flags=0x800, local_flags=own)], {}
        signature = b"PK\7\x08"
        right = struct.pack("<3I", CRC, length, 6)
        large = struct.pack("<I2Q", CRC, length, 6)
        wrong = [struct.pack("<3I", *values) for values in [(1, length, 6), (CRC, 1, 6), (CRC, length, 7)]]
        for descriptor in [
            b"", right, large, signature + right, signature + large, signature, signature + right[:4], right[:8], *wrong,
            *(signature + lie for lie in wrong), signature + right + b"\0", signature * 2 + right,
        ]:
            later = {"flags": 8, "local_crc": 0, "local_size": 0, "local_compressed": 0}
            yield "descriptor", [Entry("x", method=method, descriptor=descriptor, **later)], {}
            yield "descriptor-full", [Entry("x", method=method, flags=8, descriptor=descriptor)], {}
            yield "descriptor-first", [Entry("x", method=method, descriptor=descriptor, **later), Entry("y")], {}
    for size in [5, 7, 0, 1000]:
        yield "stored-length", [Entry("x", method=0, compressed=size)], {}
        yield "length", [Entry("x", size=size, local_size=size)], {}
        yield "checksum", [Entry("x", crc=size, local_crc=size)], {}
    for method in [1, 9, 12, 14, 45, 63, 93, 95, 99]:
        yield "method", [Entry("x", method=method)], {}


def kinds_of_entries():
    """Directories with contents, links, and special files."""
    for crc in [0, 77, FULL]:
        yield "directory", [Entry("d/", b"", 0, 0o40755, crc=crc)], {}
        yield "directory-content", [Entry("d/", b"abc", 0, 0o40755, crc=crc)], {}
        yield "link", [Entry("l", b"x", 0, 0o120777, crc=crc)], {}
    yield "directory-content", [Entry("d/", b"abc", 8, 0o40755)], {}
    yield "directory-content", [Entry("d/", b"", 8, 0o40755)], {}
    yield "directory-mode", [Entry("d", b"", 0, 0o40755)], {}
    yield "directory-mode", [Entry("d/", b"", 0, 0o100644)], {}
    for target in [b"", b"/etc/passwd", b"../../x", b"a\0b", b"x" * 5000]:
        yield "link-target", [Entry("l", target, 0, 0o120777)], {}
    yield "through-link", [Entry("l", b"/tmp", 0, 0o120777), Entry("l/x")], {}
    for mode in [*range(0o010644, 0o200000, 0o010000), 0o170000, 0, 0o104755, 0o102755, 0o101777]:
        yield "special", [Entry("s", b"", 0, mode)], {}
        yield "special-content", [Entry("s", b"abc", 0, mode)], {}


def ends():
    """Bytes around the parts of the archive, and end records that lie."""
    for count in [1, 3, 4, 21, 22, 50, 5000, 70000]:
        filler = b"G" * count
        for place in ["after", "before", "prefix", "tail"]:
            yield place, [Entry("x")], {place: filler}
        yield "gap", [Entry("x", gap=filler), Entry("y")], {}
        yield "comment", [Entry("x")], {"comment": filler[:65535]}
    for count in [0, 1, 3, 5]:
        yield "on-disk", [Entry("x")], {"on_disk": count}
        yield "count", [Entry("x")], {"count": count}
    for disk in [1, 2, 0xFFFF]:
        yield "entry-disk", [Entry("x", disk=disk)], {}
        yield "disk", [Entry("x")], {"disk": disk}
        yield "directory-disk", [Entry("x")], {"directory_disk": disk}
    for place in [0, 3, 10**6, 2**63]:
        yield "zip64-locator", [Entry("x")], {"locator": place}
    for difference in [-5, -1, 1, 5, 1000]:
        yield "offset", [Entry("x")], {"offset": difference}
        yield "size", [Entry("x")], {"size": difference}
    yield "entry-comment", [Entry("x", comment=b"comment")], {}
    one, two = archive([bootstrap(), Entry("x")]), archive([bootstrap(), Entry("y"), Entry("x", b"other\n")])
    yield "in-comment", [Entry("x")], {"comment": two}
    yield "in-tail", [Entry("x")], {"tail": two}
    yield "in-prefix", [Entry("x")], {"prefix": two}
    yield "in-gap", [Entry("x", gap=two), Entry("y")], {}
    yield "nested", [Entry("inner.jar", one, 0)], {}
    yield "nested", [Entry("inner.jar", one, 8)], {}
    yield "nested-last", [Entry("inner.jar", two, 0)], {"comment": b"c"}


def made_by_hand():
    for kinds in [names_and_extra_fields, headers, kinds_of_entries, ends]:
        for kind, entries, how in kinds():
            yield kind, archive([bootstrap(), *entries], **how)


def mutations(count):
    chance = random.Random(7)
    binary = chance.randbytes(300)
    entries = [Entry("lib/a.txt"), Entry("lib/b.bin", binary), Entry("é", flags=0x800), Entry("d/", b"", 0, 0o40755)]
    good = archive([bootstrap(), *entries])
    for _ in range(count):
        changed = bytearray(good)
        for _ in range(chance.choice([1, 1, 1, 2, 3])):
            at = chance.randrange(len(changed))
            flipped = changed[at] ^ (1 << chance.randrange(8))
            changed[at] = chance.choice([0, 1, 255, flipped, chance.randrange(256)])
        yield "mutation", bytes(changed)


def digest(content):
    return hashlib.sha256(content).hexdigest()[:16]


def tree(directory):
    """The files and links below a directory, with what is in them."""
    found = {}
    for root, _, files in os.walk(directory):
        for name in files:
            path = os.path.join(root, name)
            if os.path.islink(path):
                content = os.fsencode(os.readlink(path))
            elif os.path.isfile(path):
                content = open(path, "rb").read()
            else:
                content = b"special"
            found[os.path.relpath(path, directory)] = digest(content)
    return tuple(sorted(found.items()))


def by_program(command):
    """A reader that unpacks with a program; what it prints as a warning is no refusal."""

    def read(path, directory):
        words = [word.format(zip=path, directory=directory) for word in command]
        run = subprocess.run(words, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=60)
        # 1 is a warning of unzip (unzip(1), DIAGNOSTICS).
        is_read = run.returncode in ([0, 1] if command[0] == "unzip" else [0])
        return tree(directory) if is_read else "refused"

    return read


def by_zipfile(path, _):
    found = {}
    try:
        with zipfile.ZipFile(path) as opened:
            for info in opened.infolist():
                content = opened.read(info)
                if not info.is_dir():
                    found[os.path.normpath(info.filename)] = digest(content)
    except Exception:  # Whatever it raises, it does not read the file.
        return "refused"
    return tuple(sorted(found.items()))


READERS = {
    "unzip": by_program(["unzip", "-qo", "{zip}", "-d", "{directory}"]),
    "7zz": by_program(["7zz", "x", "-y", "-snld", "-o{directory}", "{zip}"]),
    "bsdtar": by_program(["bsdtar", "-xf", "{zip}", "-C", "{directory}"]),
    "zipfile": by_zipfile,
}


def disagreeing(path, work):
    """The readers that refuse a zip or see other files than most of them do."""
    views = {}
    for name, read in READERS.items():
        directory = os.path.join(work, "unpacked")
        os.mkdir(directory)
        try:
            views[name] = read(path, directory)
        finally:
            subprocess.run(["chmod", "-R", "u+rwX", directory], check=False, stderr=subprocess.DEVNULL)
            shutil.rmtree(directory)
    usual, _ = collections.Counter(views.values()).most_common(1)[0]
    return sorted(views) if usual == "refused" else sorted(name for name, view in views.items() if view != usual)


def main():
    missing = [name for name in READERS if name != "zipfile" and not shutil.which(name)]
    if missing:
        print("needs", *missing)
        return 2
    program = os.path.realpath(sys.argv[1])
    count = int(sys.argv[2]) if len(sys.argv) > 2 else 400
    tried, fine, bad = 0, 0, 0
    refused = collections.Counter()
    with tempfile.TemporaryDirectory() as work:
        path = os.path.join(work, "a.zip")
        for source in [made_by_hand(), mutations(count)]:
            for kind, content in source:
                tried += 1
                open(path, "wb").write(content)
                checked = subprocess.run([program, "check", path, "--format", "json"], capture_output=True, timeout=60)
                if checked.returncode not in (0, 1):
                    bad += 1
                    print(f"{kind} ({tried}): check exits with {checked.returncode}: {checked.stderr[:200]}")
                    continue
                if not json.loads(checked.stdout)["ok"]:
                    continue
                fine += 1
                others = disagreeing(path, work)
                refused.update(others)
                if len(others) > 1:
                    bad += 1
                    kept = shutil.copy(path, os.path.join(tempfile.gettempdir(), f"zip-readers-{tried}.zip"))
                    print(f"{kind} ({tried}): check calls it OK, and {', '.join(others)} read otherwise: {kept}")
    alone = ", ".join(f"{name} {number}" for name, number in sorted(refused.items())) or "none"
    print(f"{tried} zips, {fine} of them OK; read otherwise by one reader: {alone}; by two or more: {bad}")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
