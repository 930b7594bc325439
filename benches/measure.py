#!/usr/bin/env python3
"""Measure size and time of pack beside zip, libdeflate and advzip on the same files, and of packing again.

usage: benches/measure.py PROGRAM TREE NAME [CASE...] [-- OPTION...]

Cases: default no-recompress fast max again one-changed; without any, all but max, which takes minutes. What follows `--` goes to
pack. Prints a table and appends it to benches/results/pack.csv with the commit and the machine. Times are those of one run: wall,
and user and system time of all threads; ratios are to the row that the column `of` names, in processor time where the machine
has other work (load average above one when it begins) and in wall time otherwise.

Needs zip and unzip; `advzip` (Debian: advancecomp) for max, and the Python package `deflate` for libdeflate alone."""

import csv
import json
import os
import platform
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

COLUMNS = ["date", "commit", "machine", "load", "tree", "case", "wall_s", "processor_s", "bytes", "of", "time_ratio", "bytes_ratio"]
RESULTS = Path(__file__).parent / "results" / "pack.csv"


def run(command, **options):
    """Wall and processor seconds of a command."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    start = time.monotonic()
    done = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, **options)
    wall = time.monotonic() - start
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    # 1: packed, and there are findings.
    if done.returncode not in (0, 1):
        sys.exit(f"{command}: {done.returncode}\n{done.stderr}")
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def machine():
    model = [line.split(":", 1)[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")]
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") >> 30
    return f"{model[0] if model else platform.machine()}, {len(os.sched_getaffinity(0))} processors, {memory} GiB"


def zipped(directory):
    layers = json.load(open(directory / "layers.json"))["layers"]
    return sum(os.path.getsize(directory / layer["file"]) for layer in layers), [directory / layer["file"] for layer in layers]


class Bench:
    def __init__(self, program, tree, name, options, work):
        self.program, self.tree, self.name, self.options, self.work = program, tree, name, options, work
        self.rows = {}
        commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, cwd=Path(__file__).parent)
        load = os.getloadavg()[0]
        self.is_quiet = load < 1
        self.common = [time.strftime("%Y-%m-%d"), commit.stdout.strip(), machine(), f"{load:.1f}", name]

    def add(self, case, times, size, of=None):
        of_time = self.rows[of] if of else None
        which = 0 if self.is_quiet else 1
        time_ratio = f"{times[which] / of_time[0][which]:.3f}" if of else ""
        bytes_ratio = f"{size / of_time[1]:.4f}" if of else ""
        self.rows[case] = (times, size)
        row = [*self.common, case, f"{times[0]:.2f}", f"{times[1]:.2f}", size, of or "", time_ratio, bytes_ratio]
        print(f"{case:24} wall {row[6]:>8} s  processor {row[7]:>8} s  {size:>12,} bytes  {time_ratio} {bytes_ratio} of {of}", flush=True)
        RESULTS.parent.mkdir(exist_ok=True)
        is_new = not RESULTS.exists()
        with open(RESULTS, "a", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            if is_new:
                writer.writerow(COLUMNS)
            writer.writerow(row)

    def pack(self, case, *options, cache=None, tree=None, of="zip -9"):
        output = self.work / f"layers-{case}"
        cache = ["--cache", cache] if cache else ["--no-cache"]
        command = [self.program, "pack", tree or self.tree, "-o", output, *cache, *self.options, *options]
        times = run(command)
        size, files = zipped(output)
        self.add(case, times, size, of)
        return files

    def zip(self):
        """zip -9 over the files that pack keeps, stripped as there."""
        output = self.work / "kept"
        subprocess.run([self.program, "pack", self.tree, "-o", self.work / "first", "--no-cache", "--no-recompress", "--effort", "fast",
                        *self.options], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for file in zipped(self.work / "first")[1]:
            subprocess.run(["unzip", "-q", "-o", file, "-d", output], check=True)
        archive = self.work / "zip.zip"
        times = run(["zip", "-q", "-9", "-y", "-r", archive, "."], cwd=output)
        self.add("zip -9", times, archive.stat().st_size)
        return output

    def libdeflate(self, kept):
        try:
            import deflate
        except ImportError:
            return
        paths = sorted(path for path in kept.rglob("*") if path.is_symlink() or path.is_file())
        # The records of a zip for each entry and at its end (APPNOTE 4.3.7, 4.3.12, 4.3.16), and links as they are.
        size = 22 + sum(30 + 46 + 2 * len(os.fsencode(path.relative_to(kept))) for path in paths)
        size += sum(len(os.fsencode(path.readlink())) for path in paths if path.is_symlink())
        wall, processor = 0.0, 0.0
        for path in paths:
            if path.is_symlink():
                continue
            content = path.read_bytes()
            start = time.monotonic(), time.process_time()
            size += min(len(content), len(deflate.deflate_compress(content, 12)))
            wall += time.monotonic() - start[0]
            processor += time.process_time() - start[1]
        # On two processors at best half of that.
        self.add("libdeflate 12 alone", (processor / 2, processor), size)


def changed(tree, work, kept):
    """A copy of the tree in which one file has one more byte: the largest text of those that are packed."""
    copy = work / "changed"
    subprocess.run(["cp", "-a", "--reflink=auto", tree, copy], check=True)
    packed = (path.relative_to(kept) for path in kept.rglob("*") if path.suffix in (".R", ".py", ".js", ".json", ".txt", ".csv"))
    texts = [copy / path for path in packed if (copy / path).is_file()]
    with open(max(texts, key=lambda path: path.stat().st_size), "ab") as file:
        file.write(b"\n")
    return copy


def main():
    arguments = sys.argv[1:]
    options = arguments[arguments.index("--") + 1 :] if "--" in arguments else []
    arguments = arguments[: arguments.index("--")] if "--" in arguments else arguments
    if len(arguments) < 3:
        sys.exit(__doc__)
    program, tree, name, *cases = arguments
    cases = cases or ["default", "no-recompress", "fast", "again", "one-changed"]
    work = Path(tempfile.mkdtemp(prefix="lambdar-prune-measure-"))
    try:
        bench = Bench(os.path.abspath(program), os.path.abspath(tree), name, options, work)
        kept = bench.zip()
        if "default" in cases:
            bench.pack("default")
        if "no-recompress" in cases:
            bench.libdeflate(kept)
            bench.pack("no-recompress", "--no-recompress", of="libdeflate 12 alone" if "libdeflate 12 alone" in bench.rows else "zip -9")
        if "fast" in cases:
            bench.pack("fast", "--effort", "fast")
        if "again" in cases or "one-changed" in cases:
            cache = work / "cache"
            bench.pack("first with a cache", cache=cache)
            bench.pack("again", cache=cache, of="first with a cache")
            if "one-changed" in cases:
                bench.pack("one-changed", cache=cache, tree=changed(tree, work, kept), of="first with a cache")
        if "max" in cases:
            archive = work / "advzip.zip"
            shutil.copy(work / "zip.zip", archive)
            times = run(["advzip", "-q", "-z", "-4", archive])
            bench.add("advzip -4", times, archive.stat().st_size)
            bench.pack("max without recompressing", "--effort", "max", "--no-recompress", of="advzip -4")
            bench.pack("max", "--effort", "max", of="advzip -4")
    finally:
        shutil.rmtree(work)


main()
