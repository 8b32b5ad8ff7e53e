"""What no application is made for, whoever understands the prompt: rules or a language model.

A prompt is refused for what it sets out to do, not for a word: an incident register may list phishing mails, and a museum weapons. So a
rule names a harm together with the act, and a prompt about preventing, reporting or studying the same harm is none.
"""

from __future__ import annotations

import re
from bisect import bisect_left

# What is kept, tracked or removed is not made: "I want to track scam mails".
_NOT_KEPT = r"(?:(?!\b(?:keep|track|log|list|register|catalogue|collect|block|remove|manage)(?:s|ing)?\b)[^.;\n])"
_MAKES = rf"\b(?:write|build|make|create|develop|code|generate|program|give me|i want|i need|need|want)\b{_NOT_KEPT}{{0,60}}?\b"
_SENDS = rf"\b(?:send|sends|sending|host|hosts|hosting|spread|spreads|spreading)\b{_NOT_KEPT}{{0,40}}?\b"
# Behind the name of a harm these words make it something that is written down, fought or taught.
_RECORDS = (
    r"\b(?! (?:incidents?|samples?|reports?|cases?|removals?|infections?|attacks?|alerts?|filters?|lists?|registers?|logs?|protection|"
    r"scans?|scanners?|blockers?|cleanups?|analys\w+|lessons?|labs?|quiz\w*|disposal|shelters?|squads?|war|horse)\b)"
)
_SPIES = r"(?:track|record|monitor|film|watch|follow|photograph|locate|spy|spie|read)(?:s|es|d|ed|ing)?"
_KNOWING = r"\bwithout (?:her|his|their) (?:knowing|knowledge|consent)\b"
# No weapons, though called bombs.
_HARMLESS = "".join(
    rf"(?<!{what}[ -])"
    for what in ("bath", "smoke", "cream", "seed", "fake", "stink", "water", "glitter", "photo", "chocolate", "cocoa", "tea")
)
_HARMS: tuple[tuple[str, re.Pattern[str]], ...] = tuple(
    (what, re.compile(pattern, re.I))
    for what, pattern in (
        (
            "getting at other people's passwords, cards or accounts",
            rf"(?:^(?:an? )?|{_MAKES}|{_SENDS})(?:(?:phishing|scam) (?:page|site|website|kit|form|mail|email)s?|fake (?:login|bank|sign-?in)){_RECORDS}(?! ?:)"
            r"|\b(?:steal|steals|stealing|harvest|harvests|harvesting|skim|skims|skimming)\b[^.;\n]{0,40}\b(?:passwords?|credentials?|logins?|credit cards?|card numbers?|identit(?:y|ies)|accounts?)\b"
            r"|\bstolen (?:credit )?(?:cards?|card numbers?|passwords?|credentials?|identities)\b|\bstolen (?:credit|debit) card\b",
        ),
        (
            "software that harms or spies on others",
            rf"(?:^(?:an? |some |my )?(?:new )?|{_MAKES})(?:keylogger|ransomware|spyware|malware|botnet|trojan|computer virus|ddos tool){_RECORDS}"
            rf"|\b(?:secretly|covertly)\b[^.;\n]{{0,30}}\b{_SPIES}\b"
            rf"|(?<!not )(?<!never )\b{_SPIES}\b[^.;:()\n]{{0,40}}{_KNOWING}|{_KNOWING}[^.;:()\n]{{0,20}}\b{_SPIES}\b",
        ),
        (
            "dealing in what must not be sold",
            r"\b(?:sell|selling|deal(?! with)|dealing(?! with)|trade|trading|traffic|trafficking|smuggle|smuggling)\b[^.;\n]{0,30}\b"
            r"(?:cocaine|heroin|meth|fentanyl|illegal drugs|stolen goods|counterfeit|fake (?:passports?|ids?|money)|human (?:beings|organs)|slaves(?!'))\b",
        ),
        (
            "weapons against people",
            rf"\b(?:build|make|making|assemble)\b[^.;\n]{{0,20}}\b(?:{_HARMLESS}bombs?|explosives?|nerve gas|bioweapons?){_RECORDS}",
        ),
        (
            "the abuse of children",
            r"\b(?:child|minor|underage)s?['\w]{0,9} (?:porn\w*|nudes?|sexual\w*)\b|\bchild abuse (?:images?|material|videos?)\b",
        ),
    )
)
_AGAINST = re.compile(
    r"\b(?:prevent\w*|reported|reporting|reports? (?:of|on|about)|(?:to|can) report|incidents?|awareness|training|detect\w*|protect\w*|"
    r"investigat\w*|police|evidence|victims?|museum|research|studies|insurance|simulat\w*)\b",
    re.I,
)
_CLAUSE_END = re.compile(r"[.;:!?(\n]|, (?:and|also|plus|with)\b", re.I)


def forbidden(text: str) -> str | None:
    """What a prompt asks for that no application is made for; None where it asks for no such thing.

    All of the text is looked at, as it is seen: without what is invisible, and wrapped lines joined. What is done against a harm excuses
    only the clause in which it is said. The time grows linearly with the text, also where all of it is made of harms and excuses.
    """
    seen = "".join(c for c in text if c.isprintable() or c.isspace()).replace("\u2019", "'")
    seen = re.sub(r"\s+", lambda blank: "\n" if "\n" in blank[0] else " ", seen).strip()
    seen = re.sub(r"(?<=[a-z,])\n(?=[a-z])", " ", seen)
    ends = [match.start() for match in _CLAUSE_END.finditer(seen)]
    against = [match.start() for match in _AGAINST.finditer(seen)]
    for what, pattern in _HARMS:
        for match in pattern.finditer(seen):
            first, last = bisect_left(ends, match.start()), bisect_left(ends, match.end())
            begin = ends[first - 1] if first else 0
            end = ends[last] if last < len(ends) else len(seen)
            if bisect_left(against, begin) == bisect_left(against, end):
                return what
    return None
