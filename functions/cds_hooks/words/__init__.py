"""What cards say, in the language of a tenant."""

from __future__ import annotations

from datetime import tzinfo

from functions.cds_hooks.words.english import English, Words
from functions.serving.names import speaks_chinese

__all__ = ["Words", "words_for"]


def words_for(locale: str, zone: tzinfo) -> Words:
    """Return the words for a language tag (BCP 47): Simplified Chinese, else English."""
    if speaks_chinese(locale):
        from functions.cds_hooks.words.chinese import Chinese

        return Chinese(zone)
    return English(zone)
