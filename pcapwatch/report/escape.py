"""Text from the wire made safe, once for each medium. A header value, a file name and a tunnel name are all hostile.

Sources: ECMA-48 (C0 and C1 controls), Unicode UAX #9 (bidirectional controls), GitHub Flavored Markdown, OWASP "CSV
Injection".
"""

from __future__ import annotations

import re

#: C0, DEL, C1, bidirectional marks and overrides, line and paragraph separators, surrogates, and whatever is drawn as
#: nothing (Unicode's Default_Ignorable_Code_Point: zero-width characters, variation selectors, fillers, tags, BOM).
_UNSEEN = re.compile(
    "[\x00-\x1f\x7f-\x9f\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u2028-\u202e\u2060-\u206f"
    "\u3164\ud800-\udfff\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb\ufffe\uffff"
    "\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
)
#: Always markup; an underscore at the edge of a word (inside one it is none).
_MARKUP = re.compile(r"[\\`*{}\[\]<>#|~$&@]|(?<![^\W_])_|_(?![^\W_])")
#: Before a word: a mention, an issue (GH-1 and GL-1 as well), a merge request, a label, a milestone, a snippet, an epic
#: (GitHub, GitLab); a link; an emoji. IPv6 addresses are left alone: of names made of hex digits only :a: :b: :ab:
#: :100: :1234: are emoji.
_REFERENCE = re.compile(
    r"@(?=\S)|[#!~%$&](?=\w)|:(?=//|(?:ab?|b|100|1234|[a-z0-9_+-]*[g-z_+-][a-z0-9_+-]*):)|(?<=www)\."
    r"|(?<=g[hl])-(?=\d)",
    re.IGNORECASE,
)
#: Trackers look for references in the text that entities have already become, so a word must not follow at once.
_APART = "&#8203;"
_FORMULA = tuple("=+-@\t\r\n＝＋－＠")  # the last four are full-width: spreadsheets fold them
_BEHIND_SEMICOLON = re.compile(r";(?=[ \"]*[=+\-@＝＋－＠])")
_ENTITY = {"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#39;"}


def terminal(text: str) -> str:
    r"""For a terminal or a text file: one line, control and invisible characters written as ``\x1b`` or ``\u202e``."""
    return _UNSEEN.sub(_visible, text)


def _visible(found: re.Match[str]) -> str:
    code = ord(found[0])
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def markdown(text: str) -> str:
    """For running Markdown and table cells: nothing in it is markup, a mention, a reference, a link, an emoji or HTML.

    Punctuation that is markup becomes a numeric entity, which GitHub and GitLab show as the character; where it would
    make a reference an invisible space follows it. So ``@name`` and ``#123`` notify nobody, and ``|`` does not split a
    cell.
    """
    safe = terminal(text)
    apart = {found.start() for found in _REFERENCE.finditer(safe)}
    markup = {found.start() for found in _MARKUP.finditer(safe)}
    return "".join(
        (f"&#{ord(character)};" if at in markup or at in apart else character) + (_APART if at in apart else "")
        for at, character in enumerate(safe)
    )


def markdown_code(text: str) -> str:
    """For the inside of a fenced block: one line that cannot end the fence."""
    return terminal(text).replace("```", "`\u02cb`").replace("~~~", "~\u02dc~")


def html(text: str) -> str:
    """For HTML text and quoted attributes."""
    return "".join(_ENTITY.get(character, character) for character in terminal(text))


def csv(text: str) -> str:
    """For a CSV field: no formula to a spreadsheet, and as harmless as by `terminal`. Quoting is the CSV writer's.

    Where ``;`` parts cells, as in spreadsheets of many countries, quotes within a cell do not: no formula begins there.
    """
    safe = _BEHIND_SEMICOLON.sub(";'", terminal(text))
    return f"'{safe}" if text.lstrip(" ").startswith(_FORMULA) else safe
