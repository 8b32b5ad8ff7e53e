"""What no application is made for, whoever understands the prompt: rules or a language model.

A prompt is refused for what it sets out to do, not for a word: an incident register may list phishing mails, and a museum weapons. So a
rule names a harm together with the act, and a prompt about preventing, reporting or studying the same harm is none.
"""

from __future__ import annotations

import re

_MAKES = r"(?:write|build|make|create|develop|code|generate|program|give me|i want|i need|need|want)\b[^.;\n]{0,60}?"
_HARMS: tuple[tuple[str, re.Pattern[str]], ...] = tuple(
    (what, re.compile(pattern, re.I))
    for what, pattern in (
        (
            "getting at other people's passwords, cards or accounts",
            r"\b(?:phishing|scam) (?:page|site|website|kit|form|mail|email)s?\b|\bfake (?:login|bank|sign-?in)\b"
            r"|\b(?:steal|steals|stealing|harvest|harvests|harvesting|skim|skims|skimming)\b[^.;\n]{0,40}\b(?:passwords?|credentials?|logins?|credit cards?|card numbers?|identit(?:y|ies)|accounts?)\b"
            r"|\bstolen (?:credit )?(?:cards?|card numbers?|passwords?|credentials?|identities)\b|\bstolen (?:credit|debit) card\b",
        ),
        (
            "software that harms or spies on others",
            rf"(?:^|{_MAKES})(?:an? |some |my )?(?:new )?(?:keylogger|ransomware|spyware|malware|botnet|trojan|computer virus|ddos tool)\b(?! (?:incidents?|samples?|reports?|cases?))"
            r"|\b(?:secretly|covertly)\b[^.;\n]{0,30}\b(?:track|record|monitor|read|watch|film|follow|spy)|\bwithout (?:her|his|their) (?:knowing|knowledge|consent)\b",
        ),
        (
            "dealing in what must not be sold",
            r"\b(?:sell|selling|deal|dealing|trade|trading|traffic|trafficking|smuggle|smuggling)\b[^.;\n]{0,30}\b(?:cocaine|heroin|meth|fentanyl|illegal drugs|stolen goods|"
            r"counterfeit|fake (?:passports?|ids?|money)|human beings|slaves|organs)\b",
        ),
        ("weapons against people", r"\b(?:build|make|making|assemble)\b[^.;\n]{0,20}\b(?:bombs?|explosives?|nerve gas|bioweapons?)\b"),
        (
            "the abuse of children",
            r"\b(?:child|minor|underage)s?['\w]* (?:porn\w*|nudes?|sexual\w*)\b|\bchild abuse (?:images?|material|videos?)\b",
        ),
    )
)
_AGAINST = re.compile(
    r"\b(?:prevent\w*|report(?:s|ed|ing)?|incidents?|awareness|training|detect\w*|protect\w*|investigat\w*|police|evidence|victims?|museum|research|studies|insurance|simulat\w*)\b",
    re.I,
)


def forbidden(text: str) -> str | None:
    """What a prompt asks for that no application is made for; None where it asks for no such thing."""
    if _AGAINST.search(text):
        return None
    return next((what for what, pattern in _HARMS if pattern.search(text)), None)
