# SPDX-License-Identifier: Apache-2.0
"""Print a row of the space of handshakes as a C program of its own. tools/attack program "peer=none".

The program is made of the sources of this folder, with the values of the row in place. Branches that the row does not take
are left out, and so are functions without a caller. It has its agent and its peers within, and needs the module alone.
"""

import collections
import re
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
SUPPORT = HERE.parent / "unit" / "support"
SOURCES = [SUPPORT / name for name in ("http_server.h", "http_server.c", "mint.h", "mint.c", "fake_agent.h", "fake_agent.c",
                                       "config_file.h", "config_file.c", "hostile.h", "hostile.c", "tls.h", "tls.c")]
SOURCES += [HERE / name for name in ("space.h", "row.h", "peer.h", "app.h", "talk.h", "life.h", "settings.h", "app.c", "displace.c",
                                     "look.c", "take.c", "places.c", "peer.c", "talk.c", "life.c", "settings.c")]
FUNCTION = re.compile(r"^[\w][\w *()]*?\b(\w+)\([^;{}]*\)\n\{\n.*?^\}\n", re.M | re.S)

HEAD = """/*
 * attack row "%(row)s"
 *
 *     cc -D_GNU_SOURCE -o program program.c -lssl -lcrypto -ljansson -lpthread
 *     CONSUL_TEST_MODULE=$PWD/build/gcc/provider/consul.so OPENSSL_CONF=/dev/null ./program
 *
 * It has a scripted agent of its own, and writes an openssl.cnf below /tmp. It prints the data that each end has got. Data
 * may flow if and only if the peer is allowed.
 */
#include <assert.h>
#include <stdarg.h>

#define assert_non_null(p) assert((p) != NULL)
#define assert_true(v) assert(v)
#define assert_int_equal(a, b) assert((a) == (b))
#define assert_ptr_not_equal(a, b) assert((a) != (b))
#define fail_msg(...) abort()
"""

MAIN = """
int main(void)
{
    static const row the_row = {{%(values)s}};
    talk_outcome outcome;

    settings_set_up(settings_of(&the_row));
    app_enter();
    app_make(&the_row);
    outcome = life_run(&the_row);
    printf("application: %%s, %%s\\npeer: %%s, %%s\\n", outcome.app_got ? "has data" : "has no data", outcome.app_errors,
           outcome.peer_got ? "has data" : "has no data", outcome.peer_errors);
    app_free();
    return 0;
}
"""


def axes():
    """Return the axes in their order, each with its values: pairs of a constant and a text."""
    text = (HERE / "space.h").read_text().replace("\\\n", " ")
    text = re.sub(r"/\*.*?\*/", "", text, flags=re.S)
    lists = {}
    for name, body in re.findall(r"^#define (\w+)\(X\)(.*)$", text, re.M):
        lists[name] = [(one[0], one[-1]) for one in re.findall(r'X\((\w+), (?:"[^"]*", )?"?([\w.-]+)"?\)', body)]
        prefix = re.search(r"DISPLACED\((\w+), X\)", body)
        if prefix:
            usual = re.search(r"^#define DISPLACED\(P, X\)(.*)$", text, re.M)[1]
            more = re.findall(r'X\(P##(\w+), "([\w-]+)"\)', usual)
            lists[name] = [(prefix[1] + constant, value) for constant, value in more] + lists[name]
    found = re.search(r"^#define AXES_OF\(X\)(.*)$", text, re.M)[1]
    return [(name, word, lists[values]) for name, word, values in re.findall(r'X\((\w+), "([\w-]+)", (\w+)\)', found)]


def read_row(text):
    """Return the constant of each axis."""
    said = dict(word.split("=") for word in text.split())
    row = {}
    for name, word, values in axes():
        wanted = said.pop(word, values[0][1])
        row[name] = next((constant for constant, value in values if value == wanted), None)
        if row[name] is None:
            sys.exit(f"attack: no such value: {word}={wanted}")
    if said:
        sys.exit(f"attack: no such axis: {' '.join(said)}")
    return row


# ---- the values of the row in the text ----

def put_values(text, row):
    """Replace each question about the row by its answer."""
    constants = {constant: axis for axis, _, values in axes() for constant, _ in values}

    def answer(found):
        axis, value = found[1], found[2]
        return str(int(row[axis] == value)) if value in constants else f"({row[axis]} == {value})"

    text = re.sub(r"^#define HAS\(.*\n", "", text, flags=re.M)
    if row["TAKE"] != "TAKE_ALL":
        text = re.sub(rf"^    \[(?!{row['TAKE']}\])TAKE_\w+\] = \w+,\n", "", text, flags=re.M)
    text = re.sub(r"\bROW_IS\(\s*(?:&?[\w.>-]+),\s*(\w+),\s*(\w+)\)", answer, text)
    text = re.sub(r"\bHAS\((\w+),\s*(\w+)\)", lambda found: str(int(row[found[1]] == f"{found[1]}_{found[2]}")), text)
    for variable, axis in (("place", "PLACE"), ("taking", "TAKE"), ("life", "LIFE")):
        text = re.sub(rf"\b{variable} (==|!=) (\w+)\b",
                      lambda found: str(int((row[axis] == found[2]) == (found[1] == "=="))) if constants.get(found[2]) == axis
                      else found[0], text)
    return re.sub(r"\b(?:app\.r\.|r->)value\[AXIS_(\w+)\]", lambda found: row[found[1]], text)


def closing(text, start, pair="()"):
    """Return the place after the bracket that closes the one at `start`."""
    depth, i = 0, start
    while True:
        if text[i] in "\"'":
            quote, i = text[i], i + 1
            while text[i] != quote:
                i += 2 if text[i] == "\\" else 1
        depth += (text[i] == pair[0]) - (text[i] == pair[1])
        i += 1
        if depth == 0:
            return i


def split(text, by):
    """Return the operands of an operator that stand outside of brackets."""
    parts, depth, begin, i = [], 0, 0, 0
    while i < len(text):
        depth += (text[i] in "([") - (text[i] in ")]")
        if depth == 0 and text.startswith(by, i):
            parts.append(text[begin:i])
            begin = i = i + len(by)
        else:
            i += 1
    return [*parts, text[begin:]]


def simplify(text):
    """Return a condition without what is known of it."""
    text = text.strip()
    for by, ends, neutral in (("||", "1", "0"), ("&&", "0", "1")):
        parts = split(text, by)
        if len(parts) > 1:
            parts = [simplify(part) for part in parts]
            if ends in parts:
                return ends
            parts = [part for part in parts if part != neutral]
            return f" {by} ".join(parts) if parts else neutral
    if text.startswith("(") and closing(text, 0) == len(text):
        inner = simplify(text[1:-1])
        return inner if re.fullmatch(r"\w+", inner) else f"({inner})"
    if text in ("!0", "!1"):
        return "1" if text == "!0" else "0"
    return text


def statement_end(text, start):
    """Return the place after the statement that begins at `start`."""
    i = start + re.match(r"(?:\s|/\*.*?\*/)*", text[start:], re.S).end()
    if text[i] == "{":
        return closing(text, i, "{}")
    head = re.match(r"(if|for|while|switch) \(", text[i:])
    if not head:
        while text[i] != ";":
            i = closing(text, i, "()") if text[i] == "(" else closing(text, i, "{}") if text[i] == "{" else i + 1
        return i + 1
    end = statement_end(text, closing(text, i + head.end() - 1))
    other = re.match(r"\s*else\b", text[end:])
    return statement_end(text, end + other.end()) if head[1] == "if" and other else end


def unwrap(body):
    """Return a block without its braces, unless it declares something."""
    bare = body.strip()
    return bare[1:-1].rstrip() + "\n" if bare.startswith("{") and not re.search(r"^\s+[\w ]+ \**\w+ = ", bare, re.M) else bare


def fold(text):
    """Take each `if` away whose condition is known."""
    at = 0
    while found := re.compile(r"\bif \(").search(text, at):
        opening = found.end() - 1
        end = closing(text, opening)
        condition = simplify(text[opening + 1:end - 1])
        body_end = statement_end(text, end)
        body, other, whole = text[end:body_end], "", body_end
        follows = re.match(r"\s*else\b", text[body_end:])
        if follows:
            whole = statement_end(text, body_end + follows.end())
            other = text[body_end + follows.end():whole]
        if condition == "1":
            text = text[:found.start()] + unwrap(body) + text[whole:]
        elif condition == "0" and re.search(r"\belse\s*$", text[:found.start()]) and not other:
            text = text[:found.start()] + ";" + text[whole:]
        elif condition == "0":
            text = text[:found.start()] + unwrap(other) + text[whole:]
        else:
            text = text[:opening + 1] + condition + text[end - 1:]
            at = opening + 1
    return text


def fold_switches(text, row):
    """Put the one case of the row in the place of each `switch` over an axis."""
    known = set(row.values())
    for found in reversed(list(re.finditer(r"^( *)switch \((?:\(enum \w+\))?(\w+)\) \{\n", text, re.M))):
        end = closing(text, found.end() - 2, "{}")
        label = re.search(rf"^ *case {found[2]}:\n(?: *case \w+:\n)*", text[found.end():end], re.M)
        if found[2] not in known or not label:
            continue
        body = text[found.end() + label.end():end]
        last = re.search(r"^ {8}(break;|return\b)", body, re.M)
        stop = last.start() if last[1] == "break;" else statement_end(body, last.start())
        text = text[:found.start()] + re.sub(r"^    ", "", body[:stop], flags=re.M).rstrip() + text[end:]
    return text


# ---- one file of many ----

def localise(path, text):
    """Give the file's own functions, variables and constants names that no other file has."""
    own = set(re.findall(r"^static [^;={(]*?\b(\w+)(?:\(|\[| = |;)", text, re.M)) if path.suffix == ".c" else set()
    if path.suffix == ".c":
        own |= set(re.findall(r"^#define (\w+)", text, re.M))
        own |= {name for names in re.findall(r"^static minted ([^;({]*);", text, re.M) for name in re.findall(r"\w+", names)}
    for name in own:
        text = re.sub(rf"(?<![\w.>\"]){name}\b(?!\")", f"{name}_of_{path.stem}", text)
    return text


def without_unused(text):
    """Leave out the functions without a caller, with their prototypes and comments, again and again."""
    while True:
        words = collections.Counter(re.findall(r"\w+", re.sub(r"/\*.*?\*/", "", text, flags=re.S)))
        prototypes = collections.Counter(re.findall(r"^[a-zA-Z][\w *()]*?\b(\w+)\([^;{}]*\);$", text, re.M))
        unused = {found[1] for found in FUNCTION.finditer(text)
                  if words[found[1]] - prototypes[found[1]] == len(re.findall(rf"\b{found[1]}\b", found[0]))} - {"main"}
        if not unused:
            return text
        text = FUNCTION.sub(lambda found: "" if found[1] in unused else found[0], text)
        names = "|".join(unused)
        text = re.sub(rf"^[a-zA-Z][\w *()]*?\b(?:{names})\([^;{{}}]*\);\n", "", text, flags=re.M)
        text = re.sub(r"^/\*(?:(?!\*/).)*\*/\n(?=\n)", "", text, flags=re.M | re.S)


def make(row_text):
    """Return the program of a row."""
    row = read_row(row_text)
    includes, parts = [], []
    for path in SOURCES:
        text = path.read_text().replace("/* SPDX-License-Identifier: Apache-2.0 */\n", "")
        includes += re.findall(r"^#include <[^>]+>", text, re.M)
        text = re.sub(r"^#include .*\n", "", text, flags=re.M)
        if path.suffix == ".c":
            text = fold(fold_switches(put_values(localise(path, text), row), row))
        parts.append(text)
    includes = [one for one in dict.fromkeys(includes)] + ["#include <string.h>", "#include <stdio.h>", "#include <stdlib.h>"]
    values = ", ".join(row[name] for name, _, _ in axes())
    body = "\n".join(parts) + MAIN % {"values": values}
    body = re.sub(r"\bextern const axis axes\[AXES\];\n", "", body)
    return HEAD % {"row": row_text} + "\n".join(dict.fromkeys(includes)) + "\n" + re.sub(r"\n{3,}", "\n\n", without_unused(body))


if __name__ == "__main__":
    if sys.argv[1] == "--failures":
        log = Path(sys.argv[2])
        for number, found in enumerate(re.findall(r"^\d+ times [\w ]+: (.*)$", log.read_text(), re.M)):
            log.with_suffix(f".{number}.c").write_text(make(found))
            print(f"{log.with_suffix(f'.{number}.c')}: {found}")
    else:
        print(make(sys.argv[1]))
