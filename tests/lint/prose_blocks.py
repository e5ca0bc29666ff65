# SPDX-License-Identifier: Apache-2.0
"""Find the prose of a file: the comments, docstrings, error texts and paragraphs that prose.py checks."""
import ast
import collections
import io
import pathlib
import re
import tokenize

ROOT = pathlib.Path(__file__).resolve().parents[2]
FOLDERS = ["store", "provider", "cli", "tests", "doc", "tools", "examples", "packaging", ".github", ".ci"]
LEFT_OUT = ("tests/corpus/", "tests/lint/prose.py", "doc/cost/", "tests/consul/go.")

# A paragraph: (line number, text) pairs, and whether it is what stands above a function.
Block = collections.namedtuple("Block", "pieces of_function")


def files():
    """Return the paths of all files with prose of ours, relative to the root."""
    found = [*ROOT.glob("*"), *ROOT.glob("debian/*"), *(path for name in FOLDERS for path in ROOT.glob(name + "/**/*"))]
    paths = sorted(str(path.relative_to(ROOT)) for path in found if path.is_file())
    return [path for path in paths if not path.startswith(LEFT_OUT) and blocks_of(path)]


def blocks_of(path):
    """Return the function that finds a file's prose, or None for a file without prose of ours."""
    name = pathlib.Path(path).name
    if path.startswith("tools/") and "python" in (ROOT / path).open().readline():
        return python_blocks
    if name.endswith((".c", ".h", ".go")):
        return c_blocks
    if name.endswith(".py"):
        return python_blocks
    if name.endswith((".md", ".1.in", ".5.in", ".7.in")):
        return page_blocks
    if name.endswith((".sh", ".yml", ".spec", ".example", ".conf", ".supp")) or name.startswith("meson"):
        return script_blocks
    return script_blocks if path.startswith(("tools/", "debian/rules", ".ci/", "examples/")) else None


def paragraphs(lines, of_function=False):
    """Cut (line number, text) pairs at blank lines, list items, tables and examples (four columns in)."""
    pieces = []
    for line, text in [*lines, (0, "")]:
        item = re.match(r"\s*(?:[-*+•]|\d+\.)\s+(?=\S)", text)
        left_out = not text.strip() or text.lstrip().startswith("|") or (not item and re.match(r" {4}|\t", text))
        if (item or left_out) and pieces:
            yield Block(pieces, of_function)
            pieces, of_function = [], False
        if not left_out:
            pieces.append((line, text[item.end():] if item else text.strip()))


def c_blocks(text, path):
    """Yield the comments of C or Go, and the string literals of the module's sources."""
    comment = r"/\*.*?\*/|(?://[^\n]*\n[ \t]*)*//[^\n]*"
    literal = r'"(?:\\.|[^"\\\n])*"(?:\s*"(?:\\.|[^"\\\n])*")*'
    for match in re.finditer(rf"{comment}|{literal}|'(?:\\.|[^'\\\n])*'|`[^`]*`", text, re.DOTALL):
        line = text.count("\n", 0, match.start()) + 1
        rows = match[0].split("\n")
        if match[0].startswith("/") and not re.search(r"----|clang-format", match[0]):
            rows = [re.sub(r"^\s*(?:/\*+|\*(?!/)|//)?|\*/\s*$", "", row) for row in rows]
            yield from paragraphs(enumerate(rows, line), is_of_function(text, match) and not path.endswith(".go"))
        elif match[0][0] == '"' and path.startswith(("store/", "provider/", "cli/")) and path.endswith(".c"):
            yield Block([(line + n, re.sub(r'\\[nt"]', " ", row.strip()[1:-1])) for n, row in enumerate(rows)], False)


def is_of_function(text, comment):
    """Tell whether a comment in the first column stands right above a function that is not a test."""
    after = re.split(r"[;{=]", text[comment.end():])[0]
    signature = re.match(r"\n(?!typedef)[A-Za-z_](?:[\w\s*]|STACK_OF\(\w+\))*?\b(\w+)\(", after)
    return bool(signature) and text[:comment.start()][-1:] in ("", "\n") and not signature[1].startswith("test_")


def python_blocks(text, path):
    """Yield the docstrings and comments of a Python file."""
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    for node in ast.walk(ast.parse(text, path)):
        if isinstance(node, documented) and ast.get_docstring(node):
            first = node.body[0].value.value.split("\n", 1)[0].strip()
            rest = ast.get_docstring(node).split("\n")[1:]
            yield from paragraphs(enumerate([first, *rest], node.body[0].lineno))
    yield from hash_comments([(token.start[0], token.line, token.string) for token in
                              tokenize.generate_tokens(io.StringIO(text).readline) if token.type == tokenize.COMMENT])


def script_blocks(text, _):
    """Yield the comments of shell, meson, YAML and configuration files, without settings commented out."""
    found = ((line, whole, re.search(r"^\s*(#.*)|\s(# .*)", whole)) for line, whole in enumerate(text.split("\n"), 1))
    yield from hash_comments([(line, whole, match[1] or match[2]) for line, whole, match in found
                              if match and not re.match(r"#[a-z_]+ =", match[1] or "")])


def hash_comments(comments):
    """Yield the blocks of (line number, the whole line, comment). Comments on lines of their own are joined."""
    run = []
    for line, whole, comment in [*comments, (-1, "", "")]:
        alone = whole.lstrip().startswith("#")
        if run and not (alone and joins and line == run[-1][0] + 1):
            yield from paragraphs(run)
            run = []
        run.append((line, "" if comment.startswith("#!") else comment.lstrip("#")))
        joins = alone


def page_blocks(text, path):
    """Yield the paragraphs, headings and list items of Markdown or of a man page, without code and tables."""
    code = r"^\s*```.*?^\s*```|<!--.*?-->|^---\n.*?^---\n" if path.endswith(".md") else r"^\.nf.*?^\.fi"
    text = re.sub(code, lambda m: "\n" * m[0].count("\n"), text, flags=re.DOTALL | re.MULTILINE)
    lines = []
    for line, row in enumerate(text.split("\n"), 1):
        if not path.endswith(".md"):
            row = re.sub(r"\\f\[?[A-Z]+\]?|\\&|^\.(?:B|I|BR|RB|IR|RI|BI|IB) |\\\".*", "", row).replace(r"\-", "-")
            row = "" if row.startswith(".") else row
        heading = re.match(r"#+ ", row)
        lines += [(line, ""), (line, row[heading.end():]), (line, "")] if heading else [(line, row)]
    yield from paragraphs(lines)
