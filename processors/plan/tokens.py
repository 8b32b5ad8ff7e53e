"""From a text to clauses of tokens: lines, bullets and sentences first, then words and the few marks that carry structure."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass, field
from typing import NamedTuple

from processors.plan.lexicon import lexicon


class Token(NamedTuple):
    """A word, or a mark: one of `, ; : ( ) / - ?` and the arrow of an option list. `low` is the word in lower case."""

    text: str
    low: str
    mark: bool


Clause = list[Token]

_REPLACEMENTS = (
    (re.compile(r"[\u2018\u2019\u201b\u2032`\u00b4]"), "'"),
    (re.compile(r"[\u2013\u2014\u2015\u2212]"), " - "),
    (re.compile(r"[\u2022\u25aa\u25cf\u25e6\u2023\u00b7]"), "\u2022"),
    (re.compile(r"\be\.\s?g\.,?", re.I), "such as"),
    (re.compile(r"\bi\.\s?e\.,?", re.I), "that is"),
    (re.compile(r",?\s*(?:and so on|and so forth|\betc\b\.?(?=\s*[).,;]|\s*$))", re.I), ""),
    (re.compile(r"\bit's\b", re.I), "it is"),
    (re.compile(r"\bthey're\b", re.I), "they are"),
    (re.compile(r"\b(\w+)'ve\b", re.I), r"\1 have"),
    (re.compile(r"\bI'd\b"), "I would"),
    (re.compile(r"\bwe'd\b", re.I), "we would"),
    (re.compile(r"\s\|\s(?=[\w' -]{1,40}:\s)"), ". "),
    (re.compile(r"\ba\.k\.a\.?", re.I), "aka"),
    (re.compile(r"(?<!/)\b([Nn]o)\.(?=\s+[^A-Z\s])"), r"\1"),
    (re.compile(r"\s&\s|\s\+\s|\b(?:as well as|along with|together with|in addition to)\b", re.I), " and "),
    (re.compile(r"\band/or\b", re.I), "and"),
    (re.compile(r"(?<=\w)\.(?=\s?[,;)])"), ""),
    (re.compile(r"\b((?i:dept|qty|tel|approx|max|min|nr|incl|mgr|addr|acc|inv|ref|desc|avg|est|cat|pct|vol|temp))\.(?=\s[a-z(])"), r"\1"),
    (re.compile(r"\b\d{1,2} ?= ?(?=[A-Za-z])"), ""),
    (
        re.compile(r"\bwhat [\w' ]{1,40}? (?:about|for|of) (?:a|an|each|every|the) ([\w-]{1,30}(?: [\w-]{1,30})?) (?:is|are) ", re.I),
        r"each \1 has ",
    ),
    (re.compile(r"(?<=\w) = (?=[^=\n]{1,200},)"), ": "),
    (re.compile(r"\bper ([\w-]{2,30}),? (?=(?:I|we|you|it)\b)", re.I), r"for each \1 "),
    (
        re.compile(
            r"\b(?!(?:the|following|these|those|required|all|its|their|with|mandatory|basic|main|and|for|of|two|three|four|five|six)\b)([\w-]{3,30})"
            r" (?:fields|columns|attributes|properties)(?: are| include)? ?(?::| - )",
            re.I,
        ),
        r"\1: ",
    ),
    # "the attributes of a species are" says what every one of them has.
    (
        re.compile(
            r"\b(?:the )?(?:attributes|fields|columns|properties|details) (?:of|for) (?:a|an|each|every|the|our|all) ([\w-]+(?: [\w-]+)?) ?(?:are|is|should be|include|includes|:)",
            re.I,
        ),
        r"each \1 has",
    ),
    (re.compile(r"\b(?:write|note|jot|take) down\b", re.I), "record"),
    # "an enrolment links a student to a course" has both of them.
    (
        re.compile(r"\b((?:links?|connects?|joins?) (?:a|an|one) [\w-]{1,30}(?: [\w-]{1,30})?) (?:to|with) (?=(?:a|an|one) )", re.I),
        r"\1 and ",
    ),
    (re.compile(r"\b((?:links?|connects?|joins?|assigns?|matches) [^.;:()\n]{3,80}) on (?:a|the) (date|day)\b", re.I), r"\1 and a \2"),
    # "1) Locations: code. 2) Items: name" within a line
    (re.compile(r"(?<=\S)[.:;,] ?\(?\d{1,2}[.)] (?=[A-Z])"), ". "),
    # "the first table is called clients", "a customers table with", 'a "Tools" list' all name what is kept.
    (
        re.compile(
            r"\b(?:(?:the|a|an) )?(?:(?:first|second|third|fourth|other|last|one) )?(?:table|entity|list|section|sheet|collection|object|model)"
            r"(?: is| should be)? (?:called|named) ([\"\u201c']?)([\w-]+)\1",
            re.I,
        ),
        r"\2",
    ),
    (
        re.compile(
            r"[\"\u201c]([\w -]{1,40})[\"\u201d] (?:table|list|section|page|screen|tab|sheet|collection|entity|module)\b(?=,? (?:with|has|having|containing|where|\(|:))",
            re.I,
        ),
        r"\1",
    ),
    (
        re.compile(
            r"\b([a-z-]{2,30}s) (?:table|list|section|page|screen|tab|sheet|entity|module)\b(?=,? ?(?:with|has|having|containing|:|\() )",
            re.I,
        ),
        r"\1",
    ),
    (
        re.compile(r"\bthe following(?: \w{1,20})? (?:for|about|of|on) (?:each|every|all|our|the|any|a|an) ([\w -]{1,40}?) ?:", re.I),
        r"for each \1:",
    ),
)
_TOKEN = re.compile(
    r"""(?P<number>\d+(?:[.,]\d+)*%?)(?![^\W_])
    |(?P<word>[€$£¥₹%°]?[^\W_]+(?:['’_.\-][^\W_]+)*(?:'(?=\s|$))?|[€$£¥₹])
    |(?P<arrow>->|=>|→)
    |(?P<dash>(?<=\s)--?(?=\s))
    |(?P<mark>[,;:()/?|=\[\]{}<>.!])
    |(?P<rest>\S)""",
    re.X,
)
_MARKS = {"[": "(", "{": "(", "<": "", "]": ")", "}": ")", ">": "", "|": "/", "=": "", "!": "."}
_BULLET = re.compile(
    r"^(?P<indent>\s*)(?P<mark>[-*+\u2022]|\d{1,2}(?:\.\d{1,2}){0,3}[.)]|\d{1,2}(?:\.\d{1,2}){1,3}|[a-z]\))\s+(?P<text>.*)$"
)
_HEADING = re.compile(r"^(?P<indent>\s*)#{1,6}\s+(?P<text>.*)$")
_STARTS_LIST = re.compile(r"^\s*[\w' ]{1,48}(?::(?:\s|$)|\s*\(|\s-\s)")
_MOST_DEPTH = 4  # brackets in brackets; what lies deeper is read as if it stood at this depth
_WORD = re.compile(r"\b[a-z]{3,12}\b")
_HINGES = lexicon("with have manage managing track tracking keep store want need build create each every their")
_ASKING = lexicon("can could would will do does is are may might should please what which how who where when why i we")
# Names that are one word although they look like camelCase.
_BRANDS = lexicon(
    "LinkedIn GitHub GitLab YouTube PayPal WhatsApp JavaScript TypeScript PowerPoint FaceTime WordPress QuickBooks TikTok OpenStreetMap AirTag"
)


@dataclass
class Line:
    """A line of the text with the lines that belong under it."""

    text: str
    indent: int
    bullet: bool
    children: list[Line] = field(default_factory=list)


def _meant(word: str) -> str:
    """The word that a sentence hangs on, where two of its letters changed places or one too many slipped into it: "wiht", "manange"."""
    if word in _HINGES or word in ("teh", "adn", "nad"):
        return {"teh": "the", "adn": "and", "nad": "and"}.get(word, word)
    swapped = (word[:i] + word[i + 1] + word[i] + word[i + 2 :] for i in range(len(word) - 1))
    spared = (word[:i] + word[i + 1 :] for i in range(1, len(word) - 1)) if len(word) >= 6 else ()
    return next((meant for meant in (*swapped, *spared) if meant in _HINGES), word)


def normalise(text: str) -> str:
    """One spelling for quotes, dashes, bullets and abbreviations; nothing invisible."""
    text = unicodedata.normalize("NFC", text).replace("\r\n", "\n").replace("\r", "\n").replace("\t", "    ")
    text = "".join(c if c == "\n" or c.isprintable() else " " if c.isspace() else "" for c in text)
    # Bounded runs keep every pattern below fast on texts that are made to be slow.
    text = re.sub(r"(?<=\S) {2,}", " ", re.sub(r"(?m)^ {40,}", " " * 40, text))
    text = re.sub(r"\n{3,}", "\n\n", re.sub(r"(?m) +$", "", text))
    text = re.sub(r"(\S{80})\S+", r"\1", text)
    text = _WORD.sub(lambda match: _meant(match[0]), text)
    for pattern, replacement in _REPLACEMENTS:
        text = pattern.sub(replacement, text)
    return re.sub(r"(?<=\w)\*\*|\*\*(?=\w)|__(?=\w)|(?<=\w)__(?=\s|:)", "", text)


def outline(text: str) -> list[Line]:
    """The lines of a normalised text as a tree: bullets under the line that introduces them, wrapped lines joined."""
    flat: list[Line] = []
    blank = True
    for raw in text.split("\n"):
        if not raw.strip():
            blank = True
            continue
        bullet, heading = _BULLET.match(raw), _HEADING.match(raw)
        match = bullet or heading
        content = (match["text"] if match else raw).strip()
        indent = len(match["indent"] if match else raw) - (0 if match else len(raw.lstrip()))
        continues = flat and not blank and not match and not _breaks(flat[-1], raw, indent)
        if continues:
            flat[-1].text += f" {content}"
        elif content:
            if heading and not content.endswith(":"):
                content += ":"
            flat.append(Line(content, -1 if heading else indent, bool(bullet)))
        blank = False
    return _nest(flat)


def _breaks(before: Line, raw: str, indent: int) -> bool:
    """Whether a line without a bullet begins something new instead of going on with the line before it."""
    if before.text.endswith((".", "!", "?", ":", ";")):
        return True
    if before.bullet:
        return indent <= before.indent
    return bool(_STARTS_LIST.match(raw)) and before.text.count("(") == before.text.count(")") and not before.text.endswith(",")


def _nest(flat: list[Line]) -> list[Line]:
    roots: list[Line] = []
    path: list[Line] = []
    for line in flat:
        while path and not _under(line, path[-1]):
            path.pop()
        (path[-1].children if path else roots).append(line)
        path.append(line)
    return roots


def _under(line: Line, parent: Line) -> bool:
    if line.indent > parent.indent and (line.bullet or parent.bullet or parent.text.endswith(":")):
        return True
    return line.bullet and not parent.bullet and line.indent >= parent.indent


def tokenise(text: str) -> list[Token]:
    """Words and marks of a normalised text. Brackets are all round; snake_case and camelCase words become phrases."""
    tokens: list[Token] = []
    text = re.sub(r'["\u201c\u201d\u00ab\u00bb]', " ", text)
    for match in _TOKEN.finditer(text):
        kind, value = match.lastgroup, match[0]
        if kind == "mark":
            mark = _MARKS.get(value, value)
            if mark:
                tokens.append(Token(mark, mark, True))
        elif kind in ("dash", "arrow"):
            tokens.append(Token("-", "->" if kind == "arrow" else "-", True))
        elif kind in ("word", "number"):
            word = value.rstrip(".'").replace("_", " ")
            if word not in _BRANDS:
                word = re.sub(r"(?<=[a-z])(?=[A-Z][a-z])", " ", word)
            tokens.append(Token(word, word.casefold(), False))
    return tokens


def clauses(tokens: list[Token]) -> list[Clause]:
    """Split at the ends of sentences, outside brackets. A closing bracket that nobody opened, and one never closed, do no harm."""
    found: list[Clause] = [[]]
    depth = deeper = 0
    for index, token in enumerate(tokens):
        if token.mark and token.text == "(":
            if depth == _MOST_DEPTH:
                deeper += 1
                continue
            depth += 1
        elif token.mark and token.text == ")" and deeper:
            deeper -= 1
            continue
        elif token.mark and token.text == ")":
            if depth == 0:
                continue
            depth -= 1
        if depth == 0 and token.mark and token.text == "?" and found[-1] and index + 1 == len(tokens) and _ends_a_list(found[-1]):
            found[-1].append(token)  # the last of "date, inspector, passed?"
            continue
        ends = token.mark and (token.text == "." or (token.text == "?" and _sentence_follows(tokens, index)))
        if ends and depth == 0:
            found.append([])
        elif not (ends and token.text == "."):
            found[-1].append(token)
    for _ in range(depth):
        found[-1].append(Token(")", ")", True))
    return [clause for clause in found if clause]


def _ends_a_list(clause: Clause) -> bool:
    return (
        clause[0].low not in _ASKING
        and any(t.mark and t.text in (":", "-") for t in clause)
        and any(t.mark and t.text == "," for t in clause[-4:])
    )


def _sentence_follows(tokens: list[Token], index: int) -> bool:
    """A question mark ends a sentence unless a list goes on behind it ("favourite?, rating")."""
    after = tokens[index + 1] if index + 1 < len(tokens) else None
    return after is None or not after.mark
