"""The classification that suppliers are filed under: NACE-like codes, titles, other words."""

from supplyr.normalise import fold
from supplyr.wordlists import TRADES

# Divisions by their first two digits, after NACE Rev. 2.
DIVISIONS: dict[str, str] = {
    "10": "Food products", "13": "Textiles", "16": "Wood products", "17": "Paper and packaging",
    "18": "Printing", "20": "Chemicals and coatings", "22": "Rubber and plastics",
    "23": "Stone, glass and ceramics", "25": "Metal products", "26": "Electronics and optics",
    "27": "Electrical equipment", "28": "Machinery", "31": "Furniture",
    "32": "Medical and other goods", "33": "Repair and installation", "38": "Recycling",
    "43": "Building trades", "46": "Wholesale", "49": "Road transport",
    "71": "Engineering services",
}  # fmt: skip

TITLES: dict[str, str] = {
    "10.71": "Bakery goods", "13.30": "Textile finishing", "16.10": "Sawmilling",
    "17.21": "Corrugated packaging", "18.12": "Commercial printing",
    "20.30": "Paints and varnishes", "22.29": "Plastic parts", "23.70": "Natural stone",
    "25.11": "Steel structures", "25.62": "Precision machining", "25.73": "Tools and dies",
    "26.51": "Measuring instruments", "27.12": "Switchgear", "28.13": "Pumps and compressors",
    "28.22": "Lifting and conveying", "31.01": "Office furniture",
    "32.50": "Medical devices", "33.12": "Machine maintenance", "38.32": "Material recovery",
    "43.21": "Electrical installation", "46.69": "Industrial supplies",
    "46.73": "Building materials", "49.41": "Freight by road", "71.12": "Engineering offices",
}  # fmt: skip


def every_code() -> list[tuple[str, str | None, str, str]]:
    """Return (code, parent, title, other words) for all codes, parents first.

    The other words are folded names in German, French and Italian, each behind a bar.
    """
    divisions = [(code, None, title, "") for code, title in DIVISIONS.items()]
    classes = [
        (code, code[:2], TITLES[code], "".join(f"|{fold(word)}" for word in words))
        for code, *words in TRADES
    ]
    return [*divisions, *classes]
