"""Word lists for the generator: places, streets, surnames, trades, legal forms.

Coordinates are those of the city centres, rounded to two decimals. Changing any list changes the
golden hash in the tests, so append only with a new hash.
"""

from typing import NamedTuple


class Place(NamedTuple):
    """A city with the leading digits that its postcodes share."""

    city: str
    postcode_prefix: str
    region: str
    latitude_deg: float
    longitude_deg: float


class Country(NamedTuple):
    """What the generator needs to write a plausible address in one country."""

    code: str
    dialling_code: str
    postcode_digits: int
    number_first: bool  # "12 rue Pasteur" rather than "Gartenstraße 12"
    places: tuple[Place, ...]
    streets: tuple[str, ...]
    surnames: tuple[str, ...]
    legal_forms: tuple[str, ...]
    trade_column: int


_GERMAN_STREETS = (
    "Hauptstraße", "Bahnhofstraße", "Gartenstraße", "Industriestraße", "Am Alten Hafen",
    "Lindenallee", "Schillerstraße", "Goethestraße", "Mühlweg", "Kirchgasse", "Ziegeleiweg",
    "Robert-Koch-Straße", "Gewerbepark Nord", "Werkstraße", "Feldstraße", "Marktplatz",
    "Rosenweg", "Siemensstraße", "Dieselstraße", "Untere Au", "Bergstraße", "Holzmarkt",
    "Zum Güterbahnhof", "Königsallee",
)  # fmt: skip
_GERMAN_SURNAMES = (
    "Müller", "Schmidt", "Schneider", "Fischer", "Weber", "Wagner", "Becker", "Hoffmann",
    "Schäfer", "Koch", "Bauer", "Richter", "Klein", "Wolf", "Schröder", "Neumann", "Zimmermann",
    "Krüger", "Hartmann", "Lange", "Krause", "Lehmann", "Köhler", "Maier", "Huber", "Kaiser",
    "Fuchs", "Peters", "Scholz", "Möller", "Weiß", "Jung", "Vogel", "Keller", "Günther", "Berger",
    "Winkler", "Lorenz", "Baumann", "Albrecht",
)  # fmt: skip

GERMANY = Country(
    code="DE", dialling_code="49", postcode_digits=5, number_first=False, trade_column=0,
    places=(
        Place("Hamburg", "20", "Hamburg", 53.55, 9.99),
        Place("Berlin", "10", "Berlin", 52.52, 13.40),
        Place("München", "80", "Bayern", 48.14, 11.58),
        Place("Köln", "50", "Nordrhein-Westfalen", 50.94, 6.96),
        Place("Stuttgart", "70", "Baden-Württemberg", 48.78, 9.18),
        Place("Leipzig", "04", "Sachsen", 51.34, 12.37),
        Place("Nürnberg", "90", "Bayern", 49.45, 11.08),
        Place("Bremen", "28", "Bremen", 53.08, 8.80),
        Place("Ravensburg", "88", "Baden-Württemberg", 47.78, 9.61),
        Place("Osnabrück", "49", "Niedersachsen", 52.28, 8.05),
        Place("Frankfurt am Main", "60", "Hessen", 50.11, 8.68),
        Place("Würzburg", "97", "Bayern", 49.79, 9.95),
    ),
    streets=_GERMAN_STREETS,
    surnames=_GERMAN_SURNAMES,
    legal_forms=("GmbH", "GmbH & Co. KG", "AG", "KG", "OHG", "e. K.", "UG", ""),
)  # fmt: skip

AUSTRIA = Country(
    code="AT", dialling_code="43", postcode_digits=4, number_first=False, trade_column=0,
    places=(
        Place("Wien", "1", "Wien", 48.21, 16.37),
        Place("Graz", "80", "Steiermark", 47.07, 15.44),
        Place("Linz", "40", "Oberösterreich", 48.31, 14.29),
        Place("Salzburg", "50", "Salzburg", 47.81, 13.06),
        Place("Innsbruck", "60", "Tirol", 47.27, 11.40),
        Place("Klagenfurt", "90", "Kärnten", 46.62, 14.31),
    ),
    streets=_GERMAN_STREETS,
    surnames=_GERMAN_SURNAMES,
    legal_forms=("GmbH", "GesmbH", "KG", "OG", "AG", "e. U.", ""),
)  # fmt: skip

FRANCE = Country(
    code="FR", dialling_code="33", postcode_digits=5, number_first=True, trade_column=1,
    places=(
        Place("Paris", "75", "Île-de-France", 48.86, 2.35),
        Place("Lyon", "69", "Auvergne-Rhône-Alpes", 45.76, 4.84),
        Place("Marseille", "13", "Provence-Alpes-Côte d'Azur", 43.30, 5.37),
        Place("Toulouse", "31", "Occitanie", 43.60, 1.44),
        Place("Nantes", "44", "Pays de la Loire", 47.22, -1.55),
        Place("Strasbourg", "67", "Grand Est", 48.57, 7.75),
        Place("Lille", "59", "Hauts-de-France", 50.63, 3.06),
        Place("Besançon", "25", "Bourgogne-Franche-Comté", 47.24, 6.02),
        Place("Saint-Étienne", "42", "Auvergne-Rhône-Alpes", 45.44, 4.39),
    ),
    streets=(
        "rue de la République", "avenue Victor Hugo", "rue Pasteur", "boulevard Voltaire",
        "rue des Tanneurs", "place du Marché", "rue du Moulin", "avenue de la Gare",
        "chemin des Vignes", "rue Jean Jaurès", "allée des Platanes", "impasse du Four",
        "rue de l'Industrie", "quai de la Fosse", "route de Lyon", "rue des Écoles",
    ),
    surnames=(
        "Martin", "Bernard", "Dubois", "Thomas", "Robert", "Petit", "Durand", "Leroy", "Moreau",
        "Lefèvre", "Girard", "Mercier", "Dupont", "Lambert", "Bonnet", "François", "Fontaine",
        "Rousseau", "Chevalier", "Gauthier", "Perrin", "Marchand", "Noël", "Barbier",
    ),
    legal_forms=("SARL", "SAS", "SA", "EURL", "SNC", ""),
)  # fmt: skip

ITALY = Country(
    code="IT", dialling_code="39", postcode_digits=5, number_first=False, trade_column=2,
    places=(
        Place("Milano", "20", "Lombardia", 45.46, 9.19),
        Place("Torino", "10", "Piemonte", 45.07, 7.69),
        Place("Bologna", "40", "Emilia-Romagna", 44.49, 11.34),
        Place("Verona", "37", "Veneto", 45.44, 10.99),
        Place("Bolzano", "39", "Trentino-Alto Adige", 46.50, 11.35),
        Place("Roma", "00", "Lazio", 41.90, 12.50),
        Place("Napoli", "80", "Campania", 40.85, 14.27),
        Place("Firenze", "50", "Toscana", 43.77, 11.26),
    ),
    streets=(
        "Via Roma", "Via Garibaldi", "Corso Italia", "Via Dante Alighieri", "Viale dei Mille",
        "Piazza Mazzini", "Via dell'Artigianato", "Via Galileo Galilei", "Via San Marco",
        "Largo Augusto", "Via della Libertà", "Strada Provinciale", "Via Verdi", "Via Po",
    ),
    surnames=(
        "Rossi", "Russo", "Ferrari", "Esposito", "Bianchi", "Romano", "Colombo", "Ricci",
        "Marino", "Greco", "Bruno", "Gallo", "Conti", "De Luca", "Costa", "Giordano", "Mancini",
        "Rizzo", "Lombardi", "Moretti", "Barbieri", "Fontana",
    ),
    legal_forms=("S.r.l.", "S.p.A.", "S.n.c.", "S.a.s.", ""),
)  # fmt: skip

# Germany twice: about 40 % of the records, as in a directory that grew from one home market.
COUNTRIES: tuple[Country, ...] = (GERMANY, GERMANY, AUSTRIA, FRANCE, ITALY)

# (NACE-like code, German, French, Italian); the codes follow NACE Rev. 2 divisions.
TRADES: tuple[tuple[str, str, str, str], ...] = (
    ("10.71", "Backwaren", "Boulangerie", "Panificio"),
    ("13.30", "Textilveredlung", "Teintures", "Tintoria"),
    ("16.10", "Sägewerk", "Scierie", "Segheria"),
    ("17.21", "Verpackungen", "Emballages", "Imballaggi"),
    ("18.12", "Druckerei", "Imprimerie", "Tipografia"),
    ("20.30", "Lacke und Farben", "Peintures", "Vernici"),
    ("22.29", "Kunststofftechnik", "Plasturgie", "Materie Plastiche"),
    ("23.70", "Natursteine", "Pierres Naturelles", "Marmi"),
    ("25.11", "Stahlbau", "Constructions Métalliques", "Carpenteria Metallica"),
    ("25.62", "Zerspanungstechnik", "Mécanique de Précision", "Meccanica di Precisione"),
    ("25.73", "Werkzeugbau", "Outillage", "Utensileria"),
    ("26.51", "Messtechnik", "Métrologie", "Strumenti di Misura"),
    ("27.12", "Schaltanlagen", "Tableaux Électriques", "Quadri Elettrici"),
    ("28.13", "Pumpen und Kompressoren", "Pompes et Compresseurs", "Pompe e Compressori"),
    ("28.22", "Fördertechnik", "Manutention", "Sollevamento"),
    ("31.01", "Büromöbel", "Mobilier de Bureau", "Arredamenti"),
    ("32.50", "Medizintechnik", "Matériel Médical", "Apparecchi Medicali"),
    ("33.12", "Maschinenservice", "Maintenance Industrielle", "Manutenzioni"),
    ("38.32", "Recycling", "Recyclage", "Recuperi"),
    ("43.21", "Elektroinstallation", "Électricité Générale", "Impianti Elettrici"),
    ("46.69", "Industriebedarf", "Fournitures Industrielles", "Forniture Industriali"),
    ("46.73", "Baustoffhandel", "Matériaux de Construction", "Materiali Edili"),
    ("49.41", "Spedition", "Transports", "Autotrasporti"),
    ("71.12", "Ingenieurbüro", "Bureau d'Études", "Studio Tecnico"),
)

EXTRAS: tuple[str, ...] = ("", "", "", "", "2. OG", "Halle 4", "Gebäude B", "Tor 3", "Bâtiment C")
