"""English nouns: singular and plural, labels and keys."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection

from processors.plan.lexicon import lexicon
from processors.spec import MAX_LABEL, RESERVED_KEYS

_IRREGULAR = {
    "people": "person",
    "children": "child",
    "grandchildren": "grandchild",
    "men": "man",
    "women": "woman",
    "feet": "foot",
    "teeth": "tooth",
    "geese": "goose",
    "mice": "mouse",
    "oxen": "ox",
    "dice": "die",
    "criteria": "criterion",
    "phenomena": "phenomenon",
    "curricula": "curriculum",
    "indices": "index",
    "vertices": "vertex",
    "matrices": "matrix",
    "appendices": "appendix",
    "analyses": "analysis",
    "diagnoses": "diagnosis",
    "theses": "thesis",
    "crises": "crisis",
    "hypotheses": "hypothesis",
    "alumni": "alumnus",
    "cacti": "cactus",
    "fungi": "fungus",
    "quizzes": "quiz",
    "buses": "bus",
    "gases": "gas",
    "lenses": "lens",
    "canvases": "canvas",
    "atlases": "atlas",
    "aliases": "alias",
    "passersby": "passerby",
    "shelves": "shelf",
    "bookshelves": "bookshelf",
    "knives": "knife",
    "wives": "wife",
    "lives": "life",
    "leaves": "leaf",
    "halves": "half",
    "calves": "calf",
    "wolves": "wolf",
    "loaves": "loaf",
    "thieves": "thief",
    "scarves": "scarf",
    "heroes": "hero",
    "potatoes": "potato",
    "tomatoes": "tomato",
    "echoes": "echo",
    "mangoes": "mango",
    "shoes": "shoe",
    "horseshoes": "horseshoe",
    "toes": "toe",
    "axes": "axe",
    "caches": "cache",
    "headaches": "headache",
    "movies": "movie",
    "cookies": "cookie",
    "calories": "calorie",
    "brownies": "brownie",
    "smoothies": "smoothie",
    "zombies": "zombie",
    "ties": "tie",
    "pies": "pie",
    "menus": "menu",
    "gurus": "guru",
    "emus": "emu",
}
_PLURALS = {singular: plural for plural, singular in _IRREGULAR.items()}
# The same in both numbers, and meant as many where it names what an application keeps.
COLLECTIVE = lexicon(
    "staff equipment homework feedback series species sheep fish deer aircraft spacecraft livestock inventory news furniture merchandise personnel"
)
# Singular nouns that look like plurals.
_SINGULAR_S = lexicon("""bus gas lens canvas atlas alias bias chess business address access process progress success class glass grass mass pass
    boss loss cross dress stress press status bonus campus virus census focus radius genius cactus syllabus analysis basis
    diagnosis thesis crisis axis oasis tennis news maths physics economics politics mathematics logistics analytics gps sms
    gymnastics athletics headquarters corps congress fitness wellness witness illness happiness weakness compass harness hostess
    actress waitress mattress fortress princess canvas texas christmas always perhaps this is was has its his as us yes
    various previous serious famous obvious famous anonymous continuous""")


def singular(word: str) -> str:
    """The singular of a lower-case noun; a word that is none already comes back as it is."""
    if word in _IRREGULAR:
        return _IRREGULAR[word]
    if "-" in word and word.split("-")[-1] in _IRREGULAR:
        head, tail = word.rsplit("-", 1)
        return f"{head}-{_IRREGULAR[tail]}"
    if word in COLLECTIVE or word in _SINGULAR_S or len(word) < 3 or not word.endswith("s") or word.endswith("ss"):
        return word
    if word.endswith("'s"):
        return word
    if word.endswith("ies") and len(word) > 4:
        return word[:-3] + "y"
    if re.search(r"(sh|ch|x|ss)es$", word):
        return word[:-2]
    if word.endswith("zzes"):
        return word[:-3]
    if word.endswith("uses") and not re.search(r"(^uses|ouses|auses|fuses|nurses|cuses|muses)$", word):
        return word[:-2]
    if word.endswith(("us", "is")):
        return word
    return word[:-1]


def plural(word: str) -> str:
    """The plural of a lower-case singular noun."""
    if word in _PLURALS:
        return _PLURALS[word]
    if word in COLLECTIVE or not word.isascii():
        return word  # a plural in another alphabet is not ours to make
    if re.search(r"[^aeiou]y$", word):
        return word[:-1] + "ies"
    if re.search(r"(s|sh|ch|x|z)$", word):
        return word + "es"
    return word + "s"


def is_plural(word: str) -> bool:
    """Whether a lower-case word reads as a plural noun, or as a collective that stands for many."""
    return word in COLLECTIVE or singular(word) != word


def singular_phrase(words: str) -> str:
    """The singular of a noun phrase: its last word, or the noun before "of"."""
    return _head(words, singular)


def plural_phrase(words: str) -> str:
    """The plural of a noun phrase in the singular."""
    return _head(words, plural)


def key(label: str, taken: Collection[str] = (), fallback: str = "field") -> str:
    """An identifier made from a label: ASCII, `[a-z][a-z0-9_]*`, at most 40 characters, not among `taken`."""
    folded = unicodedata.normalize("NFKD", label).encode("ascii", "ignore").decode().lower()
    base = re.sub(r"[^a-z0-9]+", "_", folded.replace("'", "")).strip("_")
    if not base:
        base = fallback
    elif not base[0].isalpha():
        base = f"{fallback}_{base}"
    base = base[:40].strip("_")
    if base in RESERVED_KEYS:
        base = f"{base}_value"
    candidate, number = base, 2
    while candidate in taken:
        candidate = f"{base}_{number}"
        number += 1
    return candidate


def label(text: str) -> str:
    """A phrase as a label: printable, single spaces, a capital at its start."""
    text = clean(text)[:MAX_LABEL].strip()
    return text[:1].upper() + text[1:]


def clean(text: str) -> str:
    """One line of printable text: white space as single spaces, everything invisible left out."""
    return " ".join("".join(c if c.isprintable() else " " if c.isspace() else "" for c in text).split())


def _head(words: str, change: object) -> str:
    assert callable(change)
    parts = words.split(" ")
    at = parts.index("of") - 1 if "of" in parts[1:] else len(parts) - 1
    parts[at] = _keep_case(parts[at], str(change(parts[at].lower())))
    return " ".join(parts)


def _keep_case(before: str, after: str) -> str:
    """Acronyms keep their capitals: CVs, SKUs."""
    if before.lower() == after:
        return before
    if before[:-1].isupper() and after == before.lower() + "s":
        return before + "s"
    if before.lower() == after + "s":
        return before[:-1]
    return (
        after.capitalize()
        if before[:1].isupper() and not before.isupper()
        else after.upper()
        if before.isupper() and len(before) > 1
        else after
    )
