"""Check the links of the pages: each names a file of the tree, and a heading of it."""
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


def main():
    """Print what leads nowhere. Return 1 where anything does."""
    pages = [*ROOT.glob("*.md"), *ROOT.glob("doc/*.md"), *ROOT.glob("tests/**/*.md"), *ROOT.glob(".github/**/*.md")]
    found = [f"{page.relative_to(ROOT)}: {target}" for page in sorted(pages) for target in faults(page)]
    print("\n".join([f"{len(pages)} pages", *found]))
    return 1 if found else 0


sys.exit(main())
