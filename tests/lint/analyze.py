#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Run static analyzers over store/, provider/ and cli/, and show what they find.

The analyzers are gcc's (-fanalyzer), clang's (by clang-tidy), clang-tidy's own checks, and cppcheck. Each check that is
left out stands here with the reason. A single place is excused by a comment there. semgrep has our own rules, for what no
compiler knows (rules.yaml); cli/ is a program of its own, and is left alone. Usage: analyze.py <gcc's build> <clang's build>
"""
import concurrent.futures
import json
import pathlib
import re
import shlex
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
HALVES = ("store/", "provider/", "cli/")
JOBS = 2

CHECKS = ["bugprone-*", "cert-*", "clang-analyzer-*", "concurrency-*", "misc-*", "performance-*", "portability-*"]
LEFT_OUT = {
    "bugprone-branch-clone": "two branches may do the same for different reasons",
    "bugprone-easily-swappable-parameters": "a matter of taste: most of our functions take several texts",
    "bugprone-implicit-widening-of-multiplication-result": "products of small constants fit into an int",
    "bugprone-macro-parentheses": "the macros of the library table take whole parameter lists",
    "bugprone-narrowing-conversions": "in C, a choice of two characters is an int",
    "bugprone-sizeof-expression": "an array of pointers has the size of a pointer as its unit",
    "cert-err33-c": "a text that snprintf cuts is meant, and stdout has no reader to tell",
    "cert-err34-c": "sscanf reads few digits, or numbers that the kernel has written",
    "clang-analyzer-security.insecureAPI.DeprecatedOrUnsafeBufferHandling": "Annex K, which the C library lacks",
    "clang-analyzer-security.insecureAPI.strcpy": "the checks of libc's fortified functions find what is too long",
    "concurrency-mt-unsafe": "strerror and dlerror are safe in glibc and musl, and the command has one thread",
    "misc-unused-parameters": "a callback has the parameters that its caller gives",
    "performance-no-int-to-ptr": "this is how a library's const is taken away",
}

# cppcheck reads no system headers, and loses the quotes of the version.
MACROS = """\
#define json_array_foreach(array, i, value) \\
    for (i = 0; i < json_array_size(array) && (value = json_array_get(array, i)); i++)
#define json_object_foreach(object, key, value) \\
    for (key = json_object_key(object); key && (value = json_object_value(object)); key = json_object_next(object))
#define CONSUL_PROVIDER_VERSION "0"
"""
SUPPRESSED = {
    "uninitvar": "gcc and clang look deeper for these: cppcheck does not see that a function fills an array",
    "legacyUninitvar": "likewise",
}


def commands(build):
    """Return the compiler's commands of our sources, one for each file."""
    found = {}
    for entry in json.loads((build / "compile_commands.json").read_text()):
        path = (pathlib.Path(entry["directory"]) / entry["file"]).resolve().relative_to(ROOT)
        if str(path).startswith(HALVES):
            found.setdefault(str(path), entry)
    return found


def run(command, folder):
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    return done.returncode, done.stdout + done.stderr


def gcc(entry):
    """Compile a file with -fanalyzer, for nothing but the warnings."""
    command = shlex.split(entry["command"])
    at = command.index("-o")
    return run(command[:at] + ["-fanalyzer", "-o", "/dev/null"] + command[at + 2:], entry["directory"])


def clang_tidy(build):
    checks = ",".join(["-*", *CHECKS, *(f"-{name}" for name in LEFT_OUT)])

    def check(entry):
        path = (pathlib.Path(entry["directory"]) / entry["file"]).resolve()
        code, text = run(["clang-tidy", "-p", build, "--quiet", "--warnings-as-errors=*", f"--checks={checks}", path], ROOT)
        return code, text if code else ""
    return check


def cppcheck(entries, folder):
    """Run cppcheck over all files, as it has jobs of its own."""
    project = pathlib.Path(folder) / "compile_commands.json"
    project.write_text(json.dumps(list(entries.values())))
    macros = pathlib.Path(folder) / "macros.h"
    macros.write_text(MACROS)
    return run(["cppcheck", f"--project={project}", "--enable=warning,performance,portability", "--inline-suppr", "--quiet",
                f"-j{JOBS}", "--error-exitcode=1", f"--include={macros}", *(f"--suppress={name}" for name in SUPPRESSED)], ROOT)


SEMGREP = ROOT / "build/setup/semgrep/semgrep/bin/semgrep-core"
RULES, SAMPLES = (pathlib.Path(__file__).with_name(name) for name in ("rules.yaml", "rules.c"))


def matches(path):
    """Return [(line, rule, message)] of semgrep's matches in a file. A part that it cannot parse has none."""
    done = subprocess.run([SEMGREP, "-rules", RULES, "-lang", "c", "-json_nodots", path], capture_output=True, text=True)
    if done.returncode:
        return [(1, "semgrep", done.stderr[-1000:])]
    return sorted((one["start"]["line"], one["check_id"], one["extra"].get("message", ""))
                  for one in json.loads(done.stdout)["results"])


def semgrep(path):
    found = matches(ROOT / path)
    return bool(found), "\n".join(f"{path}:{line}: warning: {message} [{rule}]" for line, rule, message in found)


def semgrep_samples():
    """See that each rule finds its own places, and nothing else."""
    lines = SAMPLES.read_text().splitlines()
    wanted = {(number, rule) for number, line in enumerate(lines, 1) for rule in re.findall(r"; /\* ([\w-]+) \*/$", line)}
    found = {(line, rule) for line, rule, _ in matches(SAMPLES)}
    rules = set(re.findall(r"^  - id: (.*)$", RULES.read_text(), re.M))
    wrong = [f"line {line} and {rule}" for line, rule in sorted(wanted ^ found)] + sorted(rules - {rule for _, rule in wanted})
    return bool(wrong), f"{SAMPLES.name}: warning: not as its comments say: {', '.join(wrong)}" if wrong else ""


def report(name, results, began):
    """Show the findings of an analyzer. Return true without any."""
    bad = [text for code, text in results if code or "warning:" in text]
    print(f"analyze: {name}: {len(results)} runs, {len(bad)} with findings, {time.monotonic() - began:.0f} s")
    print(*bad, sep="\n", end="\n" if bad else "")
    return not bad


def main():
    with_gcc, with_clang = map(pathlib.Path, sys.argv[1:])
    entries = commands(with_gcc)
    good = []
    with concurrent.futures.ThreadPoolExecutor(JOBS) as pool, tempfile.TemporaryDirectory() as folder:
        for name, check, of in (("gcc -fanalyzer", gcc, entries), ("clang-tidy", clang_tidy(with_clang), commands(with_clang))):
            began = time.monotonic()
            good.append(report(name, list(pool.map(check, of.values())), began))
        began = time.monotonic()
        good.append(report("cppcheck", [cppcheck(entries, folder)], began))
        began = time.monotonic()
        library = [path for path in entries if not path.startswith("cli/")]
        good.append(report("semgrep", [semgrep_samples(), *pool.map(semgrep, library)], began))
    return 0 if all(good) else 1


if __name__ == "__main__":
    sys.exit(main())
