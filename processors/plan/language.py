"""Whether a text is English: the grammar knows no other language, and half-understood is worse than refused."""

from __future__ import annotations

import re
import unicodedata

from processors.plan.lexicon import lexicon

_ENGLISH = lexicon("""a an the and or with of for to in on by from that which who where each every it is are be has have we i you my our their its
    as at this app application tool system track manage keep list name date price number title status email phone address whether
    can should must want need build make create please has having contain include""")
_FOREIGN = lexicon("""eine einen einer eines der das und mit für unsere unser ist sind wir ich nicht zum zur auf von den dem ein soll sollen
    une des les avec pour et dans nous notre gérer qui sur aux du le la est sont un je mon mes ses nom
    una uno los las con para y nuestra nuestro gestionar que por del el es son aplicación nombre mi
    um uma os dos das com nosso nossa gerenciar aplicativo nome são em
    gli della delle per nostro nostra gestire che applicazione nome il lo di
    een het voor met onze ons beheren van op zijn naam wij
    och för med vår hantera ett som är att namn
    i z dla oraz aplikacja nasz nazwa
    и для с на приложение""")


def is_english(text: str) -> bool:
    """True unless most letters are of another script, or more of its small words are foreign than English."""
    letters = [c for c in text if c.isalpha()]
    latin = sum("LATIN" in unicodedata.name(c, "") for c in letters)
    if latin * 10 < len(letters) * 8:
        return False
    words = [w.casefold() for w in re.findall(r"[^\W\d_]+", text)]
    english = sum(w in _ENGLISH for w in words)
    foreign = sum(w in _FOREIGN and w not in _ENGLISH for w in words)
    return foreign <= english or foreign < 2
