"""Units, so that 5 cm is not 5 m: where both answers have one, it is the same one."""

import re

__all__ = ["same_unit", "unit_of"]

_UNITS = {
    "$": "$ USD US$ dollar dollars bucks",
    "¢": "¢ cent cents",
    "€": "€ EUR euro euros",
    "£": "£ GBP sterling",
    "¥": "¥ yen yuan RMB 元",
    "₹": "₹ Rs Rs. rupee rupees INR",
    "°": "° deg degree degrees",
    "°C": "°C celsius Celsius",
    "°F": "°F fahrenheit Fahrenheit",
    "rad": "rad radian radians",
    "nm": "nm nanometer nanometers nanometre nanometres",
    "μm": "μm micrometer micrometers micrometre micrometres micron microns",
    "mm": "mm millimeter millimeters millimetre millimetres",
    "cm": "cm centimeter centimeters centimetre centimetres 厘米",
    "m": "m meter meters metre metres 米",
    "km": "km kilometer kilometers kilometre kilometres 千米 公里",
    "in": "in. inch inches",
    "ft": "ft ft. foot feet",
    "yd": "yd yd. yard yards",
    "mi": "mi mi. mile miles",
    "mg": "mg milligram milligrams",
    "g": "g gram grams 克",
    "kg": "kg kilogram kilograms kilo kilos 千克 公斤",
    "lb": "lb lbs lb. lbs.",
    "pound": "pound pounds",
    "oz": "oz oz. ounce ounces",
    "t": "ton tons tonne tonnes",
    "ml": "ml mL milliliter milliliters millilitre millilitres",
    "l": "l L liter liters litre litres",
    "gal": "gal gallon gallons",
    "s": "s sec secs sec. second seconds 秒",
    "ms": "ms millisecond milliseconds",
    "min": "min mins min. minute minutes 分钟",
    "h": "h hr hrs hr. hour hours 小时",
    "d": "day days 天",
    "wk": "week weeks",
    "mo": "month months",
    "y": "yr yrs year years",
    "N": "N newton newtons",
    "J": "J joule joules",
    "kJ": "kJ kilojoule kilojoules",
    "eV": "eV electronvolt electronvolts",
    "cal": "cal calorie calories",
    "kcal": "kcal kilocalorie kilocalories",
    "kWh": "kWh kilowatt-hour kilowatt-hours",
    "W": "W watt watts",
    "kW": "kW kilowatt kilowatts",
    "V": "V volt volts",
    "mA": "mA milliampere milliamperes",
    "A": "A amp amps ampere amperes",
    "Ω": "Ω ohm ohms",
    "Hz": "Hz hertz",
    "kHz": "kHz kilohertz",
    "MHz": "MHz megahertz",
    "GHz": "GHz gigahertz",
    "K": "K kelvin kelvins",
    "mol": "mol mole moles",
    "Pa": "Pa pascal pascals",
    "kPa": "kPa kilopascal kilopascals",
    "MPa": "MPa megapascal megapascals",
    "atm": "atm atmosphere atmospheres",
    "bar": "bar bars",
    "ha": "ha hectare hectares",
    "acre": "acre acres",
}
_SHORT = {"mph": "mi/h", "kph": "km/h", "kmh": "km/h", "kmph": "km/h", "fps": "ft/s"}
_EITHER = ({"pound", "£"}, {"pound", "lb"})
_NAMES = {name: unit for unit, names in _UNITS.items() for name in names.split()}
_POWERS = {"square": 2, "sq": 2, "sq.": 2, "cubic": 3, "cu": 3, "cu.": 3, "squared": 2, "cubed": 3}
_FACTOR = re.compile(r"(\D+?)\s*\^?\{?(-?[1-4])\}?")


def unit_of(text: str) -> str | None:
    r"""The one name of a unit, its factors in order; None for what is none, such as apples.

    >>> unit_of("square feet"), unit_of("ft^2"), unit_of("km/h"), unit_of("mph"), unit_of("apples")
    ('ft^2', 'ft^2', 'km/h', 'mi/h', None)
    >>> unit_of("m s^{-1}"), unit_of(r"kg\cdot m/s^2"), unit_of("N m")
    ('m/s', 'kg m/s^2', 'N m')
    """
    text = text.strip().strip(".")
    text = _SHORT.get(text, text)
    above, *below = re.split(r"\s*/\s*|\s+per\s+|\s+an?\s+(?=hour|day|week|month|year|minute)", text)
    powers: dict[str, int] = {}
    for sign, part in ((1, above), *((-1, part) for part in below)):
        factors = _factors(part.strip().strip("()").strip())
        if not factors:
            return None
        for unit, power in factors:
            powers[unit] = powers.get(unit, 0) + sign * power
    written = [
        " ".join(unit + (f"^{abs(n)}" if abs(n) > 1 else "") for unit, n in sorted(powers.items()) if n * sign > 0)
        for sign in (1, -1)
    ]
    return "/".join(part for part in written if part) or None if written[0] else None


def same_unit(one: str, other: str) -> bool:
    """Whether two units, as `unit_of` names them, may be the same: pounds are money or weight."""
    return one == other or {one, other} in _EITHER


def _factors(text: str) -> list[tuple[str, int]] | None:
    """Units and their powers, None where one of the words is none."""
    factors: list[tuple[str, int]] = []
    power: int | None = None
    words = re.split(r"\s+|\\cdot\s*|\*", text)
    if words[0].casefold() in ("degree", "degrees", "deg") and len(words) == 2:
        words = words[1:]
    for word in filter(None, words):
        if (named := _POWERS.get(word.casefold())) is not None:
            if word.casefold().endswith("d"):
                if not factors:
                    return None
                factors[-1] = (factors[-1][0], named)
            else:
                power = named
            continue
        found = _FACTOR.fullmatch(word)
        name, exponent = (found[1], int(found[2])) if found else (word, 1)
        unit = _NAMES.get(name) or _NAMES.get(name + ".") or (_NAMES.get(name.casefold()) if len(name) > 2 else None)
        if unit is None:
            return None
        factors.append((unit, power or exponent))
        power = None
    return None if power else factors
