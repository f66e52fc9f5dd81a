#!/usr/bin/env python3
"""Compares Shoehorn with llama.cpp on one machine, in pairs of runs that take turns.

Each repetition runs llama-bench and `shoehorn bench` on the same model, threads and tests, in
changing order, so that a machine whose speed drifts favours neither. The result is the median, over
the repetitions, of the ratio of the two speeds in a pair; above 1, Shoehorn is faster. Prints a
Markdown report; progress goes to standard error. Needs only Python.
"""

import argparse
import datetime
import json
import os
import platform
import shlex
import statistics
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
NOTED_FLAGS = ("avx2", "avx512f", "avx512_vnni", "avx512_bf16", "avx_vnni", "amx_int8", "amx_bf16")


def numbers(text):
    return [int(number) for number in text.split(",")]


def joined(values):
    return ",".join(str(value) for value in values)


def llama_command(options, model, threads):
    return [*options.prefix, options.llama_bench, "-m", model, "-t", str(threads),
            "-p", joined(options.prompt), "-n", joined(options.generate),
            "-d", joined(options.depth), "-r", str(options.runs), "-o", "json", *options.llama_args]


def shoehorn_command(options, model, threads):
    return [*options.prefix, options.shoehorn, "bench", model, "--threads", str(threads),
            "--prompt", joined(options.prompt), "--generate", joined(options.generate),
            "--depth", joined(options.depth), "--repetitions", str(options.runs), "--json",
            *options.shoehorn_args]


def parse_llama(text):
    """Tokens per second by test; and the build."""
    speeds, build = {}, ""
    for test in json.loads(text):
        label = f"pp{test['n_prompt']}" if test["n_prompt"] else f"tg{test['n_gen']}"
        if test["n_depth"]:
            label += f"@d{test['n_depth']}"
        speeds[label] = statistics.median(test["samples_ts"])
        build = f"{test['build_commit']} ({test['build_number']})"
    return speeds, build


def parse_shoehorn(text):
    """Tokens per second by test; and the version."""
    report = json.loads(text)
    speeds = {result["test"]: result["tokens_per_s"] for result in report["results"]}
    return speeds, report.get("version", "")


def run(command, parse):
    print("+", shlex.join(command), file=sys.stderr, flush=True)
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"{shlex.join(command)}: exit code {done.returncode}\n{done.stderr}")
    return parse(done.stdout)


class Pairs:
    """All repetitions for one model and number of threads."""

    def __init__(self, options, model, threads):
        self.model, self.threads = model, threads
        self.commands = {"llama.cpp": llama_command(options, model, threads),
                         "shoehorn": shoehorn_command(options, model, threads)}
        self.builds, self.speeds = {}, {"llama.cpp": [], "shoehorn": []}
        for repetition in range(options.repetitions):
            order = list(self.commands.items())
            for name, command in order if repetition % 2 == 0 else reversed(order):
                parse = parse_llama if name == "llama.cpp" else parse_shoehorn
                speeds, self.builds[name] = run(command, parse)
                self.speeds[name].append(speeds)

    def rows(self):
        """For each test: label, median speeds, median ratio and its smallest and largest."""
        ours, theirs = self.speeds["shoehorn"], self.speeds["llama.cpp"]
        for label in theirs[0]:
            if label not in ours[0]:
                sys.exit(f"{label}: llama-bench measured it, shoehorn bench did not")
            ratios = [mine[label] / other[label] for mine, other in zip(ours, theirs)]
            yield (label, statistics.median(speeds[label] for speeds in theirs),
                   statistics.median(speeds[label] for speeds in ours),
                   statistics.median(ratios), min(ratios), max(ratios))


def first_line(command):
    try:
        done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    except OSError:
        return ""
    return done.stdout.strip().split("\n")[0] if done.returncode == 0 else ""


def read(path):
    try:
        return Path(path).read_text()
    except OSError:
        return ""


def proc_field(text, key):
    for line in text.split("\n"):
        if line.split(":")[0].strip() == key:
            return line.split(":", 1)[1].strip()
    return ""


def machine():
    """Lines that say what was measured on."""
    cpu_info = read("/proc/cpuinfo")
    flags = proc_field(cpu_info, "flags").split()
    memory_kib = int((proc_field(read("/proc/meminfo"), "MemTotal") or "0 kB").split()[0])
    system = next((line.split("=", 1)[1].strip('"') for line in read("/etc/os-release").split("\n")
                   if line.startswith("PRETTY_NAME=")), "")
    return {"CPU": proc_field(cpu_info, "model name"),
            "processors": str(len(os.sched_getaffinity(0))),
            "instructions": ", ".join(flag for flag in NOTED_FLAGS if flag in flags),
            "memory": f"{memory_kib / 2**20:.0f} GiB",
            "system": f"{system}, Linux {platform.release()}",
            "load before": read("/proc/loadavg").split(" ")[0]}


def commit(given):
    if given:
        return given
    changed = first_line(["git", "status", "--porcelain", "--untracked-files=no"])
    return first_line(["git", "rev-parse", "--short", "HEAD"]) + (" and changes" if changed else "")


def report(options, facts, all_pairs):
    builds = all_pairs[0].builds
    lines = ["# Shoehorn beside llama.cpp", ""]
    facts = {"date": datetime.date.today().isoformat(), **facts,
             "shoehorn": f"{builds['shoehorn']}, commit {commit(options.commit)}".lstrip(", "),
             "llama.cpp": f"{builds['llama.cpp']} {options.llama_note}".rstrip(),
             "repetitions": f"{options.repetitions} pairs of {options.runs} runs after a warm-up"}
    lines += [f"- {key}: {value}" for key, value in facts.items()]
    lines += ["", "Tokens per second, medians; ratio: shoehorn / llama.cpp of a pair of runs.", "",
              "| model | threads | test | llama.cpp | shoehorn | ratio | min..max |",
              "|---|---:|---|---:|---:|---:|---:|"]
    for pairs in all_pairs:
        for label, theirs, ours, middle, low, high in pairs.rows():
            lines.append(f"| {Path(pairs.model).name} | {pairs.threads} | {label} | {theirs:.2f} | "
                         f"{ours:.2f} | **{middle:.2f}** | {low:.2f}..{high:.2f} |")
    lines += ["", "Commands:", "", "```"]
    for pairs in all_pairs:
        for command in pairs.commands.values():
            short = [Path(word).name if "/" in word else word for word in command]
            lines.append(shlex.join(short))
    return "\n".join([*lines, "```", ""])


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n", maxsplit=1)[0])
    parser.add_argument("models", nargs="+", help="GGUF files")
    parser.add_argument("--llama-bench", required=True, help="path of llama.cpp's llama-bench")
    parser.add_argument("--shoehorn", default=str(ROOT / "build" / "release" / "shoehorn"))
    parser.add_argument("-t", "--threads", type=numbers, default=[len(os.sched_getaffinity(0))],
                        help="with commas, as the next three")
    parser.add_argument("-p", "--prompt", type=numbers, default=[512])
    parser.add_argument("-n", "--generate", type=numbers, default=[128])
    parser.add_argument("-d", "--depth", type=numbers, default=[0])
    parser.add_argument("-k", "--repetitions", type=int, default=5, help="pairs of runs")
    parser.add_argument("-r", "--runs", type=int, default=1, help="measured in each run")
    parser.add_argument("--prefix", type=shlex.split, default=[],
                        help="put before both commands, such as 'numactl --cpunodebind=0'")
    parser.add_argument("--llama-args", type=shlex.split, default=[], help="for llama-bench only")
    parser.add_argument("--shoehorn-args", type=shlex.split, default=[], help="for shoehorn only")
    parser.add_argument("--llama-note", default="", help="how llama.cpp was built, for the report")
    parser.add_argument("--commit", default="", help="Shoehorn's, where git cannot say")
    parser.add_argument("--out", type=Path, help="file for the report")
    parser.add_argument("--json", type=Path, help="file for every measurement")
    return parser.parse_args()


def main():
    options = parse_arguments()
    facts = machine()
    all_pairs = [Pairs(options, model, threads)
                 for model in options.models for threads in options.threads]
    text = report(options, facts, all_pairs)
    print(text, end="")
    if options.out:
        options.out.parent.mkdir(parents=True, exist_ok=True)
        options.out.write_text(text)
    if options.json:
        measurements = [{"model": pairs.model, "threads": pairs.threads, "speeds": pairs.speeds}
                        for pairs in all_pairs]
        options.json.write_text(json.dumps(measurements, indent=1) + "\n")


if __name__ == "__main__":
    main()
