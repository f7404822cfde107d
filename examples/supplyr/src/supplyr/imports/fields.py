"""What can be imported: for each kind the fields, their usual headings, and their readers."""

from typing import NamedTuple

from supplyr.imports import values
from supplyr.imports.values import Parse


class Field(NamedTuple):
    """A column that SUPPLYR knows.

    `headings` are what it is called in files (folded, see mapping.folded_heading), `key` that rows
    are told apart by it.
    """

    name: str
    label: str
    parse: Parse
    headings: tuple[str, ...]
    required: bool = False
    key: bool = False


SUPPLIERS: tuple[Field, ...] = (
    Field(
        "external_ref", "Your reference", values.text_of(0, 80),
        ("reference", "external ref", "supplier no", "supplier number", "supplier id", "id",
         "creditor", "kreditor", "kreditorennummer", "lieferantennummer", "code fournisseur",
         "numero fournisseur", "codice fornitore"), key=True,
    ),
    Field(
        "name", "Name", values.text_of(1, 200),
        ("name", "company", "company name", "supplier", "supplier name", "vendor", "vendor name",
         "firma", "firmenname", "lieferant", "raison sociale", "fournisseur", "nom",
         "ragione sociale", "fornitore"), required=True,
    ),
    Field(
        "description", "Description", values.text_of(0, 5000),
        ("description", "about", "profile", "beschreibung", "descrizione"),
    ),
    Field(
        "street", "Street", values.text_of(0, 120),
        ("street", "address", "address 1", "address line 1", "strasse", "adresse", "rue",
         "indirizzo", "via"),
    ),
    Field(
        "address_extra", "Address supplement", values.text_of(0, 120),
        ("address extra", "address 2", "address line 2", "adresszusatz", "complement",
         "complement d adresse"),
    ),
    Field(
        "postcode", "Postcode", values.text_of(0, 20),
        ("postcode", "postal code", "zip", "zip code", "plz", "postleitzahl", "code postal", "cap"),
    ),
    Field(
        "city", "City", values.text_of(0, 120),
        ("city", "town", "place", "ort", "stadt", "ville", "citta"),
    ),
    Field(
        "region", "Region", values.text_of(0, 120),
        ("region", "state", "province", "bundesland", "regione", "departement"),
    ),
    Field(
        "country", "Country", values.country,
        ("country", "country code", "land", "pays", "paese"), required=True,
    ),
    Field(
        "phone", "Telephone", values.phone,
        ("phone", "telephone", "phone number", "tel", "telefon", "telefono"),
    ),
    Field(
        "email", "E-mail", values.email,
        ("email", "e mail", "mail", "email address", "courriel"),
    ),
    Field(
        "website", "Website", values.website,
        ("website", "web", "homepage", "url", "internet", "site web", "sito", "sito web"),
    ),
    Field(
        "vat_number", "VAT number", values.vat_number,
        ("vat number", "vat", "vat id", "vat no", "ust id", "ust idnr", "umsatzsteuer id", "uid",
         "tva", "numero tva", "partita iva", "p iva", "tax id"), key=True,
    ),
    Field(
        "codes", "Classification codes", values.codes,
        ("codes", "categories", "category", "nace", "nace code", "classification", "branche",
         "kategorien"),
    ),
    Field(
        "employees", "Employees", values.whole_number(0, 10_000_000),
        ("employees", "headcount", "mitarbeiter", "effectif", "dipendenti"),
    ),
    Field(
        "founded_year", "Founded in", values.whole_number(1200, 2100),
        ("founded year", "founded", "founded in", "gegrundet", "gruendungsjahr", "fondee en"),
    ),
    Field(
        "latitude_deg", "Latitude", values.degrees(90.0),
        ("latitude deg", "latitude", "lat", "breitengrad"),
    ),
    Field(
        "longitude_deg", "Longitude", values.degrees(180.0),
        ("longitude deg", "longitude", "lon", "lng", "long", "langengrad"),
    ),
)  # fmt: skip

PRODUCTS: tuple[Field, ...] = (
    Field(
        "sku", "Article number", values.sku,
        ("sku", "article", "article number", "article no", "item", "item number", "artikelnummer",
         "art nr", "reference", "codice articolo"), required=True, key=True,
    ),
    Field(
        "description", "Description", values.text_of(1, 200),
        ("description", "name", "bezeichnung", "designation", "descrizione"), required=True,
    ),
    Field("unit", "Unit", values.unit, ("unit", "einheit", "unite", "unita"), required=True),
    Field(
        "price_cents", "Price", values.price_cents,
        ("price", "net price", "preis", "nettopreis", "prix", "prezzo"), required=True,
    ),
    Field(
        "currency", "Currency", values.currency,
        ("currency", "wahrung", "waehrung", "devise", "valuta"), required=True,
    ),
    Field(
        "min_quantity", "Minimum quantity", values.quantity,
        ("min quantity", "minimum quantity", "minimum order", "moq", "mindestmenge",
         "quantite minimale"),
    ),
)  # fmt: skip

KINDS: dict[str, tuple[Field, ...]] = {"suppliers": SUPPLIERS, "products": PRODUCTS}


def fields_of(kind: str) -> tuple[Field, ...]:
    """Return the fields of an import; ValueError for an unknown kind."""
    if kind not in KINDS:
        raise ValueError(f"{kind!r} cannot be imported; choose one of {', '.join(KINDS)}")
    return KINDS[kind]
