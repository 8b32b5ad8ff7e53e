"""The closed classes of words that the grammar goes by."""

from __future__ import annotations

from processors.plan.lexicon import lexicon

DETERMINERS = lexicon("""a an the its their his her our your my this that these those some any another one every each all both several many multiple various
    different no own such zero two three four five six seven eight nine ten""")
# Words before a field that say nothing of its name.
MODIFIERS = lexicon(
    "own optional required mandatory unique short brief optionally possibly maybe free-text single separate simple also additionally"
)
PRONOUNS = lexicon("we i you they it he she one who that which there")
MODALS = lexicon("should must can will would may might could shall do does to also always usually normally typically each all only")

HAS = lexicon("""have has having had contain contains containing include includes including comprise comprises comprising store stores storing record
    records recording track tracks hold holds holding need needs require requires get gets carry carries feature features specify
    specifies capture captures show shows list lists keep keeps save saves""")
# Of HAS, those that a thing never does to its parts but a person does to things ("it tracks orders").
HAS_OF_PARTS = lexicon(
    "have has having had contain contains containing include includes including comprise comprises comprising hold holds holding carry carries"
)
# What one does to the things an application keeps.
KEEP = lexicon("""manage manages managing keep keeps keeping track tracks tracking store stores storing record records recording handle handles handling
    organise organises organising organize organizes organizing maintain maintains maintaining register registers registering log logs
    logging list lists listing catalogue catalogues cataloguing catalog catalogs cataloging collect collects collecting save saves saving
    administer administers administering monitor monitors monitoring hold holds holding schedule schedules scheduling
    contain contains containing include includes including have has having need needs want wants cover covers covering
    create creates creating add adds adding edit edits editing enter enters entering delete deletes deleting remove removes removing
    view views viewing browse browses browsing update updates updating capture captures capturing remember remembers remembering
    submit submits submitting upload uploads uploading propose proposes proposing suggest suggests suggesting publish publishes publishing""")
# Those that alone are reason enough to keep a thing of which nothing else is said.
CURATE = lexicon("""manage manages managing keep keeps keeping track tracks tracking store stores storing record records recording handle handles handling
    organise organises organising organize organizes organizing maintain maintains maintaining register registers registering log logs
    logging list lists listing catalogue catalogues cataloguing catalog catalogs cataloging administer administers administering""")
# Verbs among these that are as often nouns: they count as verbs only where a verb can stand.
AMBIGUOUS = lexicon(
    "view views update updates track tracks store stores record records register registers log logs list lists catalogue catalogues catalog catalogs schedule schedules needs wants need want covers cover holds hold monitor monitors saves handles"
)

GENERIC_APPS = lexicon("""app apps application applications tool tools system systems software website site webapp web-app platform program programme portal
    solution page interface service product prototype mvp thing something ui frontend""")
APPS = GENERIC_APPS | lexicon("""crm erp cms tracker manager planner dashboard organiser organizer database db catalogue catalog register directory log logbook
    journal diary board inventory list registry administration management booking scheduler desk archive backend back-office intranet
    shop store library clinic collection bookkeeping spreadsheet helpdesk""")
BUILD = lexicon("build make create design develop write give need want would like help generate please can could let set get show do")

# Words that are no part of a noun phrase.
FUNCTION = (
    DETERMINERS
    | PRONOUNS
    | lexicon("""belongs belong belonging refers with and or of for to in on by from at as into onto about than then but so if whether when where who whom whose what how while
        because is are was were be been being has have had having contain contains containing include includes including consist consists
        should must can will would may might could shall do does did not just like plus along well also per via through without within
        between against during before after until please me us them him let here there too very more most other others
        build make makes design develop want wants would""")
)
# Nouns that name nothing one could keep a list of without more being said.
VAGUE = lexicon("""something anything everything nothing thing things stuff data information info detail details life lives business work money time
    progress process processes question questions content contents feature features page pages user users visitor visitors friend friends
    idea ideas people everyone kind kinds sort sorts way ways need needs thought thoughts lot lots value values goal mood moods
    day days world moment dream dreams memory memories experience experiences website websites app apps tool tools system systems
    result results field fields property column columns entity entities table tables record records list lists entry entries row rows
    type types form forms screen screens view views sound sounds graphic graphics animation animations payment-method map maps look looks
    following example examples part parts section sections module modules area areas tab tabs requirement requirements color colors colour colours option options update updates change changes
    operation operations step steps activity minute minutes hour hours place""")
# Parts of the screen and ways to use it: never things with fields of their own.
CHROME = lexicon("""dashboard dashboards chart charts graph graphs homepage header headers footer sidebar menu menus navbar navigation button buttons login
    logo theme layout design interface ui ux export exports search filter filters sorting pagination permission permissions statistics overview""")
# Applications that are named after what they keep: "movie tracker", "product catalogue".
KEEPERS = lexicon("""tracker catalogue catalog list register directory database inventory log logbook collection registry archive manager planner organiser
    organizer app application tool diary journal""")
# Headings over fields or over anything, which name nothing themselves.
HEADINGS = lexicon("""fields data info information details columns attributes values following features entities tables records requirements
    functions functionality relationships relationship relations rules sections modules screens pages tabs lists goals notes things""")
# What can be done with any record; "orders can be edited" says nothing of an order.
DONE_TO_RECORDS = lexicon("""edited deleted added created viewed exported sorted filtered searched updated removed managed printed assigned shared downloaded
    uploaded marked linked changed entered listed seen found tracked recorded stored imported accessed used able saved attached selected
    displayed shown placed made""")
# What no form over tables is: prompts with these and without any fields need a model.
BEYOND = (
    r"\b(?:games?|gaming|ai|chat ?bots?|chat app|chatting|messenger|clone|copy of|landing page|portfolio|blog post|social (?:network|media)|"
    r"machine learning|neural|assistant|3d|vr|ar|augmented|virtual reality|real[- ]?time|live (?:maps?|stream\w*)|video (?:call\w*|editor)|"
    r"uber|airbnb|facebook|instagram|twitter|tiktok|youtube|netflix|spotify|tinder|whatsapp|tetris|poem|song about|story|essay|translate|translator|"
    r"calculator|compiler|how (?:do|can|to|does|would)|why|explain|difference between|convert|summari[sz]e|draw|picture of|compose|refactor|debug|python|javascript|regex|algorithm|like (?:spotify|notion|trello|slack|amazon|ebay|google)|browser|operating system|animation|animated|recommend\w*|predict\w*|generat(?:e|es|or) \w+ (?:images?|text)|dating)\b"
)
