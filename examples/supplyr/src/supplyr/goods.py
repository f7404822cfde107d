"""What suppliers of each trade offer, for generated directories: products and a few sentences."""

from collections.abc import Mapping, Sequence

# Code -> goods; a number is put in where it says {}.
GOODS: Mapping[str, Sequence[str]] = {
    "10.71": (
        "Rye loaf {} g",
        "Frozen croissant, {} pieces",
        "Pretzel dough {} kg",
        "Panettone {} g",
    ),
    "13.30": (
        "Reactive dyeing, {} m",
        "Flame-retardant finish, {} m",
        "Digital textile print {} cm",
    ),
    "16.10": (
        "Spruce batten {} mm",
        "Oak plank {} mm",
        "Glulam beam {} mm",
        "Larch cladding {} mm",
    ),
    "17.21": (
        "Corrugated box {} mm",
        "Pallet wrap {} my",
        "Die-cut insert no. {}",
        "Carton {} mm, double wall",
    ),
    "18.12": (
        "Brochure, {} pages",
        "Folding carton print, {} sheets",
        "Label roll, {} pieces",
    ),
    "20.30": (
        "Powder coating RAL {}",
        "Epoxy primer {} l",
        "Wood varnish {} l",
        "Anti-corrosion paint {} l",
    ),
    "22.29": (
        "Injection-moulded cap {} mm",
        "PA6 spacer {} mm",
        "Cable duct {} mm",
        "Polycarbonate sheet {} mm",
    ),
    "23.70": (
        "Granite slab {} mm",
        "Marble tile {} mm",
        "Window sill, sandstone {} cm",
    ),
    "25.11": (
        "Steel beam HEA {}",
        "Spiral staircase {} cm",
        "Galvanised railing {} cm",
        "Platform grating {} mm",
    ),
    "25.62": (
        "Turned shaft {} mm",
        "Milled housing no. {}",
        "Titanium bushing {} mm",
        "Threaded insert M{}",
    ),
    "25.73": (
        "Progressive die no. {}",
        "Carbide end mill {} mm",
        "Injection mould, {} cavities",
        "Reamer {} mm",
    ),
    "26.51": (
        "Pressure gauge {} bar",
        "Flow meter DN{}",
        "Load cell {} kg",
        "Thermocouple {} mm",
    ),
    "27.12": (
        "Switch cabinet {} A",
        "Circuit breaker {} A",
        "Busbar {} mm",
        "Contactor {} A",
    ),
    "28.13": (
        "Centrifugal pump {} kW",
        "Screw compressor {} kW",
        "Diaphragm pump {} l/min",
        "Pump seal {} mm",
    ),
    "28.22": (
        "Belt conveyor {} m",
        "Chain hoist {} kg",
        "Roller track {} mm",
        "Lifting table {} kg",
    ),
    "31.01": (
        "Height-adjustable desk {} cm",
        "Filing cabinet, {} drawers",
        "Conference table {} cm",
    ),
    "32.50": (
        "Infusion set {} ml",
        "Surgical forceps {} mm",
        "Examination couch no. {}",
        "Bone screw {} mm",
    ),
    "33.12": (
        "Gearbox overhaul, type {}",
        "Spindle repair {} kW",
        "Hydraulic service, {} h",
    ),
    "38.32": (
        "Aluminium scrap {} kg",
        "PET flakes {} kg",
        "Copper granulate {} kg",
    ),
    "43.21": (
        "Photovoltaic installation {} kWp",
        "Lightning protection {} m",
        "Wallbox {} kW",
    ),
    "46.69": (
        "Hex bolt M{}",
        "Ball bearing {}",
        "Cutting disc {} mm",
        "Safety gloves, size {}",
        "Hydraulic hose DN{}",
    ),
    "46.73": (
        "Cement, {} kg bag",
        "Insulation board {} mm",
        "Plasterboard {} mm",
        "Roof tile no. {}",
    ),
    "49.41": (
        "Full load, {} km",
        "Refrigerated transport, {} pallets",
        "Express delivery, {} kg",
    ),
    "71.12": (
        "Structural analysis, {} h",
        "FEM simulation, {} h",
        "CE conformity file no. {}",
    ),
}

_OPENINGS = (
    "Family-run since {year}, with {people} people in {city}.",
    "{people} specialists in {city}; founded in {year}.",
    "Supplies industry from {city} since {year}.",
    "Independent manufacturer in {city} with {people} employees.",
)
_STRENGTHS = (
    "Small series and single pieces are welcome, samples within a week.",
    "Framework contracts, consignment stock and EDI on request.",
    "Own design department; drawings in STEP and DXF.",
    "Works with stainless steel, aluminium and titanium.",
    "Short ways: most customers are within a day's drive.",
    "Delivers just in time to automotive and railway customers.",
    "Recycled material wherever the specification allows it.",
    "Round-the-clock service for breakdowns.",
    "Cleanroom assembly, full traceability of batches.",
    "Runs on its own solar power since the hall was rebuilt.",
)
CERTIFICATES = ("ISO 9001", "ISO 14001", "IATF 16949", "ISO 13485", "EN 1090", "ISO 45001")


def goods_of(codes: Sequence[str]) -> list[str]:
    """Return the goods of all trades that a supplier is filed under."""
    return [good for code in codes for good in GOODS.get(code, ())]


def openings() -> Sequence[str]:
    """Return first sentences, with places for {year}, {people} and {city}."""
    return _OPENINGS


def strengths() -> Sequence[str]:
    """Return sentences about what a supplier is good at."""
    return _STRENGTHS
