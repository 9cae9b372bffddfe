# ruff: noqa: RUF001 - letters of other alphabets are what this is about
"""TeX formulas as lines of plain text, for a terminal."""

from __future__ import annotations

import re
from typing import Final

_SYMBOLS: Final = {
    "alpha": "α", "beta": "β", "delta": "δ", "epsilon": "ε", "eta": "η", "gamma": "γ", "kappa": "κ", "lambda": "λ",
    "mu": "μ", "rho": "ρ", "sigma": "σ", "tau": "τ", "theta": "θ", "cdot": "·", "times": "×", "le": "≤", "ge": "≥",
    "leftarrow": "←", "odot": "⊙", "sum": "∑", "lVert": "‖", "rVert": "‖", "|": "‖", "lvert": "|", "rvert": "|",
    "max": "max", "min": "min", "left": "", "right": "", "big": "", "Big": "", ",": " ", ";": " ", "_": "_",
}  # fmt: skip
_ACCENTS: Final = {"hat": "\u0302", "tilde": "\u0303", "bar": "\u0304"}
_RAISED: Final = dict(zip("0123456789+-()tTnip", "⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁽⁾ᵗᵀⁿⁱᵖ", strict=True))
_LOWERED: Final = dict(zip("0123456789+-()tnikjls", "₀₁₂₃₄₅₆₇₈₉₊₋₍₎ₜₙᵢₖⱼₗₛ", strict=True))
_TOKEN: Final = re.compile(r"\\(?:[A-Za-z]+|.)|\s+|.", re.DOTALL)
# Commands before which a product has ended: signs, closing delimiters and words.
_BETWEEN: Final = (r"\cdot", r"\right", r"\rVert", r"\rvert", r"\|", r"\text", r"\quad", r"\le", r"\ge", r"\big)")
# Between two formulas of one line.
_NEXT: Final = re.compile(r",?\s*\\q?quad\b")


def plain_math(tex: str) -> list[str]:
    r"""Write formulas as plain text.

    Args:
        tex: Formulas in TeX, with empty lines or ``\qquad`` between them.

    Returns:
        A line for each; TeX itself where something in it has no plain form.

    Example:
        >>> plain_math(r"w_t = w_{t-1} - \eta \frac{m_t}{\sqrt{v_t}+\epsilon}, \qquad h = g_t^2")
        ['wₜ = wₜ₋₁ - η mₜ / (√vₜ+ε)', 'h = gₜ²']
    """
    text = re.sub(r"\\quad\s*\\text\{(.*?)\}\s*(?:\\quad)?", r" \\text{ \1 }", tex, flags=re.DOTALL)
    pieces = [" ".join(piece.split()) for part in re.split(r"\n\s*\n", text) for piece in _NEXT.split(part)]
    try:
        return [_Reader(piece).whole() for piece in pieces if piece]
    except NoPlainFormError:
        return [" ".join(line.split()) for line in tex.splitlines() if line.strip()]


class NoPlainFormError(ValueError):
    """A piece of TeX that is not known."""


class _Reader:
    """Reads one formula from left to right."""

    def __init__(self, tex: str) -> None:
        self._tokens = _TOKEN.findall(tex)
        self._place = 0

    def whole(self) -> str:
        """The formula; every token of it."""
        found = self._until(end="")
        found = re.sub(r"([‖|])\s*(.*?)\s*\1", r"\1\2\1", " ".join(found.split()))
        return found.replace("( ", "(").replace(" )", ")").replace(" ,", ",").strip(" ,")

    def _until(self, end: str) -> str:
        found = ""
        while self._place < len(self._tokens):
            token = self._take()
            if token == end:
                return found
            found = self._append(found, token)
        if end:
            raise NoPlainFormError(f"no {end}")
        return found

    def _take(self) -> str:
        if self._place >= len(self._tokens):
            raise NoPlainFormError("it ends too early")
        self._place += 1
        return str(self._tokens[self._place - 1])

    def _append(self, before: str, token: str) -> str:
        if token == "^":
            return before + _script(self._argument(), _RAISED, "^")
        if token == "_":
            return before + _script(self._argument(), _LOWERED, "_")
        return before + self._piece(token)

    def _factor_follows(self) -> bool:
        """Whether something is multiplied with what was read, so that a quotient needs parentheses."""
        rest = "".join(self._tokens[self._place :]).lstrip()
        return bool(rest) and not rest.startswith((*"+-=,.)}]", *_BETWEEN))

    def _argument(self) -> str:
        """What a command or a script applies to: a group in braces, or one token."""
        token = self._take()
        while token.isspace():
            token = self._take()
        return self._piece(token)

    def _piece(self, token: str) -> str:
        if token == "{":
            return self._until("}")
        if token in ("}", "&", "~"):
            raise NoPlainFormError(token)
        if not token.startswith("\\"):
            return token
        return self._command(token[1:])

    def _command(self, name: str) -> str:
        if name == "frac":
            quotient = f"{_grouped(self._argument())} / {_grouped(self._argument())}"
            return f"({quotient})" if self._factor_follows() else quotient
        if name == "sqrt":
            return f"√{_grouped(self._argument())}"
        if name in ("operatorname", "text", "mathrm"):
            return self._argument()
        if name in _ACCENTS:
            return self._argument() + _ACCENTS[name]
        if name not in _SYMBOLS:
            raise NoPlainFormError(name)
        return _SYMBOLS[name]


def _grouped(text: str) -> str:
    """A part in parentheses, unless it is one thing."""
    text = text.strip()
    single = re.fullmatch(r"√?\(?[^\s()+\-/·]*\)?|\([^()]*\)|‖[^‖]*‖|√\([^()]*\)", text)
    return text if single else f"({text})"


def _script(text: str, letters: dict[str, str], mark: str) -> str:
    text = text.strip()
    if all(letter in letters for letter in text):
        return "".join(letters[letter] for letter in text)
    return f"{mark}{text}" if len(text) == 1 else f"{mark}({text})"
