#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Check that doc/troubleshooting.md has each error text of the sources, and no other.

    error_texts.py            check, as the lint suite does
    error_texts.py --list     print the texts of the sources, by reason
    error_texts.py --update   put reworded texts in the place of the earlier ones, the nearest first

A text of the page has an ellipsis for each value. The texts in one row have the same cause and cure.
"""
import difflib
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
PAGE = ROOT / "doc" / "troubleshooting.md"

# The arguments with the reason and the text, of each function that takes an error text.
FUNCTIONS = {"consul_error_set": (1, 2), "prov_peer_refuse": (3, 4), "prov_tls_stop": ("CONSUL_R_NOT_AUTHORIZED", 1),
             "config_file_refuse": ("CONSUL_R_SETTING_INVALID", 3)}
BEFORE = {"config_file_refuse": "[…] …: "}  # a section and a row; its text may end with a space, and a value behind it
WITHOUT_ROWS = {"OUT_OF_MEMORY", "INTERNAL"}  # one cause and one cure for all texts of the reason
NEAR = 0.5  # of a text and its earlier wording

TOKEN = re.compile(r'/\*.*?\*/|"(?:\\.|[^"\\])*"|\'(?:\\.|[^\'\\])*\'|\w+|.', re.DOTALL)


def arguments(code, start):
    """Return the arguments of a call, each as a list of tokens. The call's bracket opens before `start`."""
    found, depth = [[]], 0
    for match in TOKEN.finditer(code, start):
        token = match[0]
        if token in "([{":
            depth += 1
        elif token in ")]}":
            if depth == 0:
                break
            depth -= 1
        if token == "," and depth == 0:
            found.append([])
        elif not token.startswith("/*"):
            found[-1].append(token)
    return found


def literals(tokens, macros):
    """Return the texts of an argument, one for each side of a condition."""
    texts, joined = [], None
    for token in [*tokens, "end"]:
        piece = macros.get(token, token)
        if piece.startswith('"'):
            joined = (joined or "") + "".join(re.findall(r'"((?:\\.|[^"\\])*)"', piece))
        elif not token.isspace() and joined is not None:
            texts.append(joined)
            joined = None
    return [re.sub(r"\\(.)", r"\1", text) for text in texts]


def shown(text):
    """Return a format as the page shows it."""
    return re.sub(r"%(?:[-+ 0-9.*]*(?:l|ll|z|h)?[a-z])", "…", text).replace("%%", "%")


def texts_of(code):
    """Yield (line, reason or None, text) for each error text of a source."""
    macros = {name: " ".join(value.replace("\\\n", " ").split()) for name, value in
              re.findall(r'^#define (\w+)\s+((?:\\\n\s*)?"(?:\\\n|[^\n])*)$', code, re.MULTILINE)}
    for match in re.finditer(r"\b(" + "|".join(FUNCTIONS) + r")\(", code):
        found = arguments(code, match.end())
        reason, text = FUNCTIONS[match[1]]
        if text >= len(found):
            continue
        named = reason if isinstance(reason, str) else "".join(found[reason]).strip()
        named = named.removeprefix("CONSUL_R_") if re.fullmatch(r"CONSUL_R_\w+", named) else None
        for literal in literals(found[text], macros):
            whole = literal
            if match[1] in BEFORE:
                whole = BEFORE[match[1]] + literal + ("…" if literal.endswith(" ") else "")
            if re.search(r"\w", shown(literal)):
                yield code.count("\n", 0, match.start()) + 1, named, shown(whole)


def of_sources():
    """Return {text: (reason or None, place)} of both halves."""
    found = {}
    for half in ("store", "provider"):
        for path in sorted((ROOT / half).rglob("*.c")):
            for line, reason, text in texts_of(path.read_text()):
                if reason not in WITHOUT_ROWS:
                    found[text] = (reason, f"{path.relative_to(ROOT)}:{line}")
    return found


def reasons():
    """Return {text: name} of the reasons."""
    code = (ROOT / "store" / "base" / "error.c").read_text()
    return {text: name for name, text in re.findall(r'\bTEXT\((\w+), "([^"]*)"\)', code)}


def of_page(page):
    """Return {text: heading} of the tables, and the headings, of the part about error texts."""
    headings, found, heading = [], {}, None
    for line in page.partition("\n## Error texts\n")[2].partition("\n## ")[0].splitlines():
        if line.startswith("### "):
            heading = line[4:]
            headings.append(heading)
        elif line.startswith("| `"):
            for text in re.findall(r"`([^`]*)`", line.split(" | ")[0]):
                found[text] = heading
    return found, headings


def faults(page):
    """Yield the faults of the page."""
    there, names = of_sources(), reasons()
    written, headings = of_page(page)
    for heading in sorted(names.keys() ^ set(headings)):
        yield f"the heading \"{heading}\" is {'missing' if heading in names else 'of no reason'}"
    for text, (reason, place) in there.items():
        if text not in written:
            yield f"{place}: the page lacks `{text}` ({reason})"
        elif reason is not None and names.get(written[text]) != reason:
            yield f"{place}: `{text}` is {reason}, and stands under \"{written[text]}\""
    for text in written.keys() - there.keys():
        yield f"no source has `{text}`"


def update(page):
    """Return the page with each text that no source has replaced by the nearest text that the page lacks."""
    there, (written, _) = of_sources(), of_page(page)
    pairs = [(difflib.SequenceMatcher(None, old, new).ratio(), old, new)
             for old in written.keys() - there.keys() for new in there.keys() - written.keys()]
    done = set()
    for ratio, old, new in sorted(pairs, reverse=True):
        if ratio >= NEAR and not {old, new} & done:
            page = page.replace(f"`{old}`", f"`{new}`")
            done |= {old, new}
    return page


def check_itself():
    """Fail where a text would be missed."""
    code = ('#define HOW "; do %d"\nf(err, x);\nconsul_error_set(err, CONSUL_R_URI_INVALID, /* , */ "a \\"%.*s\\" "\n'
            '"b" HOW, g(1, 2));\nprov_tls_stop(ssl, bad ? "c, d" : "e");\nconsul_error_set(err, why, "%s: %s", x);\n'
            'config_file_refuse(err, section, name, "in vain, for ", what);\n')
    assert [found[1:] for found in texts_of(code)] == [
        ("URI_INVALID", 'a "…" b; do …'), ("NOT_AUTHORIZED", "c, d"), ("NOT_AUTHORIZED", "e"),
        ("SETTING_INVALID", "[…] …: in vain, for …")]


def main():
    """Print the faults, or the list of the texts. Return 1 where there is a fault."""
    check_itself()
    page = PAGE.read_text()
    if "--list" in sys.argv:
        for text, (reason, place) in sorted(of_sources().items(), key=lambda one: (str(one[1][0]), one[1][1])):
            print(f"{reason}\t{place}\t{text}")
        return 0
    if "--update" in sys.argv:
        page = update(page)
        PAGE.write_text(page)
    found = list(faults(page))
    print("\n".join([f"{len(of_sources())} error texts", *found]))
    if found:
        print("Run tests/lint/error_texts.py --update after a rewording, and give each new text a row.")
    return 1 if found else 0


sys.exit(main())
