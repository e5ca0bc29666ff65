# SPDX-License-Identifier: Apache-2.0
"""Check the pages: links name a file and a heading, and the architecture names the folders in their order."""
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]


def without_code(text):
    """Return the text of a page without its blocks of code."""
    return re.sub(r"^\s*```.*?^\s*```", "", text, flags=re.DOTALL | re.MULTILINE)


def anchors(page):
    """Return the anchors that GitHub makes of the headings of a page."""
    found = set()
    for title in re.findall(r"^#+ (.*)", without_code(page.read_text()), re.MULTILINE):
        kept = "".join(letter for letter in title.lower() if letter.isalnum() or letter in " -_")
        found.add(kept.strip().replace(" ", "-"))
    return found


def faults(page):
    """Yield the links of a page that lead nowhere."""
    for target in re.findall(r"\]\(([^)\s]+)\)", without_code(page.read_text())):
        if re.match(r"\w+:", target):
            continue
        name, _, anchor = target.partition("#")
        file = page.parent / name if name else page
        if not file.exists() or anchor and anchor not in anchors(file):
            yield target


def folders_in_meson(half):
    """Return the folders of a half, the lowest first, as the floors are checked."""
    sources = re.findall(r"'([\w/]+)\.c'", (ROOT / half / "meson.build").read_text())
    return list(dict.fromkeys(source.rpartition("/")[0] or "the top" for source in sources))


def folders_in_page(half):
    """Return the folders in the table of a half in doc/architecture.md."""
    page = (ROOT / "doc" / "architecture.md").read_text()
    table = page[page.index(f"| `{half}/` | knows |"):].split("\n\n")[0]
    return [name.strip("`/") for name in re.findall(r"^\| (`[a-z]+/`|the top) \|", table, re.MULTILINE)][1:]


def main():
    """Print the faults. Return 1 where there is one."""
    pages = [*ROOT.glob("*.md"), *ROOT.glob("doc/*.md"), *ROOT.glob("tests/**/*.md"), *ROOT.glob(".github/**/*.md")]
    found = [f"{page.relative_to(ROOT)}: {target}" for page in sorted(pages) for target in faults(page)]
    for half in ("store", "provider", "cli"):
        if folders_in_page(half) != folders_in_meson(half):
            found.append(f"doc/architecture.md: {folders_in_page(half)}, meson.build: {folders_in_meson(half)}")
    print("\n".join([f"{len(pages)} pages", *found]))
    return 1 if found else 0


sys.exit(main())
