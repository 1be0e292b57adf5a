"""Units, so that 5 cm is not 5 m: where both answers have one, it is the same one."""

import re

__all__ = ["unit_of"]

_UNITS = {
    "$": "$ USD US$ dollar dollars bucks",
    "¢": "¢ cent cents",
    "€": "€ EUR euro euros",
    "£": "£ GBP pound sterling",
    "¥": "¥ yen yuan RMB 元",
    "₹": "₹ Rs Rs. rupee rupees INR",
    "°": "° deg degree degrees",
    "°C": "°C celsius",
    "°F": "°F fahrenheit",
    "rad": "rad radian radians",
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
    "lb": "lb lbs lb. lbs. pound pounds",
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
    "W": "W watt watts",
    "kW": "kW kilowatt kilowatts",
    "V": "V volt volts",
    "A": "A amp amps ampere amperes",
    "Ω": "Ω ohm ohms",
    "Hz": "Hz hertz",
    "K": "K kelvin kelvins",
    "mol": "mol mole moles",
    "Pa": "Pa pascal pascals",
    "mph": "mph",
    "ha": "ha hectare hectares",
    "acre": "acre acres",
}
_NAMES = {name: unit for unit, names in _UNITS.items() for name in names.split()}
_POWERS = {"square": "2", "sq": "2", "sq.": "2", "cubic": "3", "cu": "3", "cu.": "3"}


def unit_of(text: str) -> str | None:
    """The one name of a unit; None for what is none, such as apples.

    >>> unit_of("square feet"), unit_of("ft^2"), unit_of("km/h"), unit_of("miles per hour"), unit_of("apples")
    ('ft^2', 'ft^2', 'km/h', 'mi/h', None)
    """
    parts = re.split(r"\s*/\s*|\s+per\s+|\s+an?\s+(?=hour|day|week)", text.strip().strip("."))
    units = [_single(part.strip()) for part in parts]
    return "/".join(unit for unit in units if unit) if all(units) else None


def _single(text: str) -> str | None:
    words = text.split()
    power = ""
    if len(words) == 2 and words[0].casefold() in _POWERS:
        power, text = _POWERS[words[0].casefold()], words[1]
    elif len(words) == 2 and words[1] in ("squared", "cubed"):
        power, text = {"squared": "2", "cubed": "3"}[words[1]], words[0]
    elif found := re.fullmatch(r"(\D+?)\s*\^?\{?([23])\}?", text):
        text, power = found[1], found[2]
    unit = _NAMES.get(text) or _NAMES.get(text + ".") or (_NAMES.get(text.casefold()) if len(text) > 2 else None)
    return unit and unit + (f"^{power}" if power else "")
