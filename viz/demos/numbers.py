"""Write numbers as the demos show them; the same function, in JavaScript, is in viz/templates/numbers.js."""

import math
from collections.abc import Iterable
from decimal import ROUND_HALF_UP, Context, Decimal

__all__ = ["pack", "shown"]


def shown(x: float, digits: int = 4) -> str:
    """Return a number as text: `digits` significant digits, all of the integer part, no false zeros.

    Whole numbers below a million have no point, so that 1 is exactly 1 and 1.000 is rounded. Below 0.0001 and
    from a million on there is an exponent: 1.234e-5. Not finite: nan, inf, -inf. A negative zero is 0.
    """
    x = float(x)
    if math.isnan(x):
        return "nan"
    if math.isinf(x):
        return "inf" if x > 0 else "-inf"
    size, sign = abs(x), "-" if x < 0 else ""
    if size < 1e6 and size.is_integer():
        return f"{sign}{int(size)}"
    # a tie goes up, as in JavaScript; Python's own formats make it even
    rounded = Context(prec=digits, rounding=ROUND_HALF_UP).create_decimal_from_float(size)
    exponent = rounded.adjusted()
    if exponent < -4 or exponent >= 6:
        return f"{sign}{rounded.scaleb(-exponent):.{digits - 1}f}e{exponent}"
    places = max(0, digits - 1 - exponent)
    return f"{sign}{Decimal(size).quantize(Decimal(1).scaleb(-places), ROUND_HALF_UP):f}"


def pack(numbers: Iterable[float], digits: int = 6) -> list[float | str]:
    """Return numbers for a page's data: of `digits` significant digits, and still shown as they were.

    Where so few digits would be shown as another number (rounded twice), all of them stay. What is not finite
    comes as text, which `unpack` of numbers.js reads.
    """
    return [_pack(float(number), digits) for number in numbers]


def _pack(x: float, digits: int) -> float | str:
    if not math.isfinite(x):
        return shown(x)
    short = float(f"{x:.{digits}g}")
    if shown(short) != shown(x):
        return x
    return int(short) if short.is_integer() and abs(short) < 2**53 else short
