"""Every sentence that an artist reads goes through `tr`; whoever has a Qt says how it is translated.

Without one (in tests, in the backend) the sentences stay as they are written.
"""

from typing import Callable

CONTEXT = "Painterly"


def _as_written(context: str, text: str) -> str:
    return text


_translate: Callable[[str, str], str] = _as_written


def translate_with(translate: Callable[[str, str], str]) -> None:
    """From now on sentences are `translate(context, sentence)`, as QCoreApplication.translate is called."""
    global _translate
    _translate = translate


def tr(sentence: str, **values: object) -> str:
    """`sentence` in the artist's language, its {placeholders} filled with `values`."""
    translated = _translate(CONTEXT, sentence)
    return translated.format(**values) if values else translated
