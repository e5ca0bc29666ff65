#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Check the prose of the tree: comments, docstrings, error texts and pages (CONTRIBUTING.md, "Words").

    prose.py                 check the whole tree, as the lint suite does
    prose.py FILE...         check some files
"""
import collections
import pathlib
import re
import sys

from prose_blocks import ROOT, Block, blocks_of, c_blocks, files

LONGEST = 20  # words of a sentence

VERBS = ("is|are|was|were|be|has|have|had|can|cannot|could|may|might|must|will|would|shall|should|does|do|did|"
         "goes|comes|gets|makes|takes|knows|needs|says|holds|stands|happens|follows|counts|fails|works")
PRONOUNS = "who|what|whoever|whatever|those|these|which|whose"
JOINTS = "if|where|when|while|because|until|unless|since|although|whether|so that|than|as long as|and|but|or"
SUBJECTS = "|".join((
    rf"^(?:(?:and|but|so|then) )?(?:{PRONOUNS}|that)\b",
    rf"^one (?:of|that|who|which|whose|in|with|without|by|from|for|at|to|on|as|{VERBS})\b",
    rf", (?:and|but|or|so|nor) (?:{PRONOUNS})\b",
    rf"\b(?:{JOINTS}) (?:who|what|that|one|those|these) (?:{VERBS})\b",
    rf"\bwhoever\b|\bwhatever (?:{VERBS})\b",
))

# (name, pattern within a sentence, cure)
PATTERNS = [(name, re.compile(pattern, re.IGNORECASE), cure) for name, pattern, cure in (
    ("subject", SUBJECTS, "name the thing: a noun is the subject"),
    ("can not", r"\bcan not\b", 'write "cannot"'),
    ("none", r"\b(?:is|are|was|were|be) none\b|\bof none\b", 'say what is missing: "NULL without a leaf"'),
    ("of before", r"\bof before\b", '"the earlier ...", "the previous ..."'),
    ("his or her", r"\b(?:in|of|to|by|for|with) (?:his|her|hers)\b", 'a peer, an agent or a file is "it"'),
    ("person", r"\b(?:some|no|any|every)(?:body| ?one)\b(?! of)", "name the party: a user, a peer, a thread"),
    ("word", r"\b(?:where|there|here)(?:by|in|of|upon|to)\b|\b[wt]hence\b|\bnought\b", "use an everyday word"),
)]

NOT_VERBS = set("""a an the this that these those it its they he she we you i our their his her your my who whose whom
what which when where why how whether is are was were does did has had can could may might must will would should one
each every all any no none some both either neither only of in on at by for from to with without as after before if
unless until because so there here nothing something not also once about between under over now then two three four
like while within such another other same more most less least just even per""".split())


def sentences(block):
    """Yield (line, sentence) of a block, where a code span and a URL are one word each."""
    text, starts = "", []
    for line, piece in block.pieces:
        starts.append((len(text), line))
        text += piece + " "
    text = re.sub(r"`[^`]*`|\w+://\S+|consul:\S+", lambda m: "`".ljust(len(m[0]), "\0"), text)
    text = re.sub(r"(?<=\])\([^)\s]*\)", lambda m: "\0" * len(m[0]), text)  # where a link goes
    text = re.sub(r"\b(?:e\.g|i\.e|etc|vs)\.", lambda m: m[0].replace(".", "\1"), text)
    for match in re.finditer(r"(?:[^.!?;]|[.!?;](?![\s\0)\"*_]))+[.!?;]*", text):
        sentence = " ".join(match[0].replace("\0", "").replace("\1", ".").split())
        if re.search(r"\w", sentence):
            start = match.start() + len(match[0]) - len(match[0].lstrip())
            yield max(pair for pair in starts if pair[0] <= start)[1], sentence


def begins_with_verb(sentence):
    """Tell whether the first word may be a verb in the imperative."""
    first = re.match(r"[\w`'-]*", sentence)[0]
    third_person = re.search(r"[^s]s$", first)
    return re.fullmatch(r"[A-Z][a-z'-]+", first) and first.lower() not in NOT_VERBS and not third_person


def findings_of(block):
    """Yield (line, name, sentence, cure) for each fault of a block."""
    for number, (line, sentence) in enumerate(sentences(block)):
        plain = re.sub(r"^[^\w`]+|[*_](?=\w)|(?<=\w)[*_](?=\W)", "", sentence)
        words = [word for word in re.split(r"[\s—–]+", plain) if re.search(r"[\w`]", word)]
        if len(words) > LONGEST:
            yield line, f"{len(words)} words", sentence, f"{LONGEST} at most: one statement a sentence"
        if block.of_function and number == 0 and (not begins_with_verb(plain) or plain.endswith("?")):
            yield line, "verb", sentence, 'begin with a verb in the imperative: "Return true where ..."'
        for name, pattern, cure in PATTERNS:
            if pattern.search(plain):
                yield line, name, sentence, cure


def check_itself():
    """Fail where a sentence known to be bad passes, or a good one does not."""
    for text, of_function, expected in (
        ("The watch holds two queries.", False, []),
        ("Who has met this does not watch.", False, ["subject"]),
        ("A leaf is old; that is refused.", False, ["subject"]),
        ("The peer waits, and what it sends is lost.", False, ["subject"]),
        ("It waits where one is asked.", False, ["subject"]),
        ("One of the leaves.", False, ["subject"]),
        ("One thread asks.", False, []),
        ("It can not.", False, ["can not"]),
        ("NULL if there is none.", False, ["none"]),
        ("The verdicts of before.", False, ["of before"]),
        ("A client in his own right.", False, ["his or her"]),
        ("Nobody asks.", False, ["person"]),
        ("The proof thereof.", False, ["word"]),
        ("Is this a leaf?", True, ["verb"]),
        ("Returns a leaf.", True, ["verb"]),
        ("The leaf of a service.", True, ["verb"]),
        ("Return true where the leaf is live. NULL is refused.", True, []),
        ("See https://example.org/what.is?that, `code; that is`, [a page](who.md).", False, []),
        ("word " * 20, False, []),
        ("word " * 21, False, ["21 words"]),
    ):
        found = [finding[1] for finding in findings_of(Block([(1, text)], of_function))]
        assert found == expected, f"{text!r}: found {found}, expected {expected}"
    code = ('/* Is it? */\nint f(void);\nint x; /* what is it */\n/* Small. */\nint x = f();\n'
            '/* Small. */\nvoid test_f(void)\n{\n    error(err, "the leaf "\n"can not be read");\n')
    found = [finding[:2] for block in c_blocks(code, "store/a.c") for finding in findings_of(block)]
    assert found == [(1, "verb"), (3, "subject"), (9, "can not")], found


def check(path):
    """Return the findings of one file, in the order of their lines."""
    blocks = blocks_of(path)((ROOT / path).read_text(), path)
    return sorted(finding for block in blocks for finding in findings_of(block))


def main(arguments):
    """Print the findings, and a count. Return 1 where there are any."""
    check_itself()
    chosen = [str(pathlib.Path(path).resolve().relative_to(ROOT)) for path in arguments]
    found = {path: check(path) for path in chosen or files()}
    for path, findings in found.items():
        for line, name, sentence, cure in findings:
            print(f"{path}:{line}: {name}: {sentence} ({cure})")
    names = collections.Counter(re.sub(r"\d+ words", "long", name) for fs in found.values() for _, name, _, _ in fs)
    print(f"{names.total()} findings {dict(names)}")
    return 1 if names else 0


sys.exit(main(sys.argv[1:]))
