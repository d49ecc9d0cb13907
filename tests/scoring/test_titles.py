"""Job titles in many languages and spellings: what they are read as, and that another spelling changes nothing."""

import re
import subprocess
import sys
import tomllib
import unicodedata
from collections import Counter
from datetime import UTC
from importlib.resources import files

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crmsync.config.conditions import DEPARTMENTS, SENIORITIES
from crmsync.config.model import Titles
from crmsync.lint import lint_with_data
from crmsync.model import KINDS
from crmsync.scoring import columns_of, score
from crmsync.scoring.title_lexicon import load_lexicon, wording_of
from crmsync.scoring.titles import TitleReader, title_reader
from crmsync.scoring.values import make_column
from crmsync.scoring.whatif.candidates import candidate_values
from crmsync.scoring.wording import explain_title
from tests.support.scoring import NOW, fit_rule, model, one, person

READER = title_reader(Titles())
LEXICON = tomllib.loads(files("crmsync.scoring").joinpath("titles.toml").read_text(encoding="utf-8"))

CASES = {
    "T01_blanks_and_dashes_within_a_title": {
        "vp": ["Vice  President", "Vice\u00a0President", "Vice\nPresident", "Vice - President Sales", "Vice–President"],
    },
    "T02_abbreviations_with_dots_and_blanks": {
        "c_level": ["C.E.O.", "C.F.O"],
        "vp": ["V.P. Sales", "V.P.", "Sr. V.P., Operations", "V P Sales", "Vice Pres. Marketing"],
    },
    "T04_leaders_of_teams_and_projects_are_managers": {
        "manager": ["Teamleiter", "Gruppenleiter", "Projektleiter", "Bauleiter", "Filialleiter"],
        "director": ["Abteilungsleiter", "Bereichsleiter", "Vertriebsleiter"],
    },
    "T05_compounds_by_their_last_part": {
        "director": [
            "Vertriebsdirektor",
            "Verkoopdirecteur",
            "Verkaufsdirektor",
            "Abteilungsdirektor",
            "Bezirksdirektor",
            "Projektdirektor",
            "Landesdirektor",
            "Spitaldirektor",
        ],
        "manager": ["Qualitätsmanager", "Eventmanager", "Projektmanagerin", "Teamleader Sales"],
    },
    "T07_owners_and_heads_of_firms": {
        "c_level": [
            "Unternehmensinhaber",
            "Krankenhausgeschäftsführer",
            "Geschaeftsfuehrer",
            "Agenturinhaber",
            "Geschäftsinhaber",
            "Gesellschafter",
            "Mitgründerin",
            "Gründer",
            "Finanzvorstand",
            "Alleinvorstand",
            "Vorsitzender",
            "Präsident",
            "Geschäftsleiter",
            "Mitglied der Geschäftsleitung",
        ],
    },
    "T08_whoever_serves_a_boss_is_none": {
        "staff": [
            "Assistenz der Geschäftsführung",
            "Vorstandsassistent",
            "Assistant COO",
            "Executive Administrator to the CEO",
            "CFO Office",
            "Founder's Associate",
        ],
        "manager": ["Office Manager for CEO", "Business Manager to the CEO"],
        "director": ["Chief of Staff to the CEO"],
    },
    "T09_who_works_with_partners_is_none": {
        "director": ["Director Partner Development"],
        "staff": [
            "Business Developer & Partner Management",
            "Global Lead Account Partner",
            "Finance Partner",
            "Partner Solutions Architect",
            "Talent Acquisition Partner",
            "Investor Relations Partner",
        ],
        "manager": ["Partner Account Manager", "Partner Development Manager"],
        "c_level": ["Managing Partner", "Equity Partner", "Partner"],
    },
    "T12_international_is_no_intern": {
        "director": ["Head of intern. Fairs and Exhibitions"],
        "manager": ["Key Account Manager Vertrieb national / intern..."],
    },
    "T13_juniors_are_entry": {
        "entry": [
            "Junior Marketing Manager",
            "Jr. Product Manager",
            "Junior Account Manager",
            "Junior Project Manager",
            "Junior Consultant",
        ],
    },
    "T14_principals_of_a_craft_are_staff": {
        "staff": [
            "Principal Software Engineer",
            "Principal RF Design Engineer",
            "Principal Inbound Consultant",
            "Principal Advisor",
            "Principal Developer",
            "Principal Scientist",
        ],
        "director": ["School Principal", "Principal"],
    },
    "T15_what_is_over_is_over": {
        "staff": ["Retired CEO", "Former CTO", "Ex-CFO", "Past President"],
        "vp": ["Ex CTO currently VP Engineering"],
        "director": ["Former CEO now Sales Director"],
    },
}

KINDS_OF_TITLES = {
    "vp": """
        Exec. Vice President | V. President | Senior-VP
        Assistant Vice President | Sales, VP | Genel Müdür Yardımcısı | Vizepräsidentin | AVP
        Vice President, President's Office | AVP Marketing | Senior VP | Vice-President Finance
        Vice Pres. Operations | VP-Sales | V.P | Assoc. Vice President | Assistant Vice President, IT
        Deputy Vice President | Vizepräsident | Directeur Général Adjoint | DG Adjoint | Vice-président
        Vicepresidenta | Vice-presidente | Vicepresidente | Vice VD | Varatoimitusjohtaja | Genel Müdür Yrd.
        Başkan Yardımcısı
    """,
    "c_level": """
        Geschäftsführer/in | Geschäftsführer*in (m/w/d) | GESCHÄFTSFÜHRERIN | Geschäfts-Führer | Owner
        Business Owner | Co-Owner | Chief Marketing Officer | Chief Digital & Media Officer (CDO) | Kurucu Ortak
        toimitusjohtaja | VD | daglig leder | adm. dir. | Administrerende direktør | eigenaar | DGA | titolare
        Amministratore Unico | Sócio-Gerente | Administrador único | PDG | Président-Directeur Général | Gérante
        Lawyer (Partner) | CEO & Founder | Prokurist | Verkställande direktör | YÖNETİM KURULU BAŞKANI
        Chairman of the Board | Member of the Executive Board | Sprecher der Geschäftsführung
        Mitglied des Vorstands | Sprecherin des Vorstands | Senior Partner | Founding Partner & CEO
        Restaurant Owner | Owner/Operator | Inhaber | Geschäftsführender Gesellschafter | Styrelseordförande
        General Counsel | Genel Müdür | CEO at Partner Networks GmbH | Officer, Chief Financial
        Chief Procurement Officer | Chief Revenue Officer | Chief Nursing Officer | Interim CFO | Fractional CMO
        CEO/Founder | Co-CEO | Deputy CEO | Group CFO | Acting CIO | Chief Product & Technology Officer
        CTO & Co-Founder | Chief People Officer | Chairman and CEO | Executive Chairman | Vice Chairman
        Non-Executive Director | Trustee | President & CEO | President, EMEA | Regional President | EVP & CFO
        Mng Director | Managing Dir. | Small Business Owner | Owner-Operator | Proprietor | Store Owner
        Salon Owner | Franchise Owner | Co-owner & Chef | Partner & CEO | Partner, Tax | Tax Partner | Audit Partner
        Founding Partner | Founder & Managing Partner | Member of the Board | Board of Directors | Entrepreneur
        Serial Entrepreneur | Mayor | General Manager, Sales | GM | Managing Director, Head of IT
        CPO (Chief Procurement Officer) | Geschäftsführende Gesellschafterin | Geschäftsf. | GF
        Stv. Geschäftsführer | Mitglied der Geschäftsführung | Mitglied des Aufsichtsrates
        Mitglied der erweiterten Geschäftsleitung | Prokuristin | Mitinhaber | Firmeninhaberin | Eigentümer
        Unternehmerin | Gründer & CEO | Mitgründer | Vorstand Finanzen | Vorständin | Vorstandsvorsitzender
        Sprecher des Vorstands | Präsidentin | Generaldirektor | Obmann | Prokurist, Leiter Einkauf
        Inhaberin Ingenieurbüro | Président | Présidente-Directrice Générale | Gérant associé | Co-gérant | Associé
        Avocat associé | Chef d'entreprise | DAF | Secrétaire général | Consejero Delegado | Director General
        Gerente General | Presidente | Dueño | Propietaria | Socio fundador | Socia | Administradora única
        Diretor-Geral | Diretor Executivo | Sócia-gerente | Sócio | Gerente Geral | Presidente do Conselho
        Proprietária | Amministratore Delegato | Presidente del CdA | Direttore Generale | Titolare | Socio
        Titolare di farmacia | Algemeen Directeur | Directeur-eigenaar | Eigenaar | Mede-eigenaar | Bestuurder
        Voorzitter | Styrelseledamot | Ägare | Delägare | Grundare | Adm. dir. | Daglig leder | Bestyrelsesformand
        Styreleder | Eier | Ejer | Indehaver | Stifter | Toimitusjohtaja | Hallituksen puheenjohtaja
        Hallituksen jäsen | Omistaja | Yrittäjä | Perustaja | Yönetim Kurulu Başkanı | Yönetim Kurulu Üyesi | Kurucu
        Ortak | Şirket Sahibi
    """,
    "director": """
        FD | Graduate Admissions Director | Hoofd v.d. afdeling
        Direktör | Leiter Einkauf | Leiter:in Marketing | Marketing-Leiterin | Stellv. Leiter Vertrieb
        Deputy Director | Assistant Director | Associate Director | Satış Direktörü | Directrice commerciale
        Försäljningschef | myyntijohtaja | Hoofd Inkoop | Direttore Vendite | Diretora de Marketing
        Head of Student Services | Director of Internships | Chief of Staff | Head of Sales Assistants
        Directeur/rice Marketing | Director(a) de Ventas | Leiterin Vorstandsbüro | Head of Partner Management
        Director, Art | Director of Product Owners | Chief of Police | Sr Director | Sr. Director, Procurement
        Director-IT | Dir. of Sales | Head, Corporate IT | Global Head of HR | Headmaster | Head of Dept.
        Dept Head | Department Head | Assistant Head of Marketing | Assistant Director of Nursing
        Assistant General Manager | Chief of Staff, Office of the CEO | Junior Partner | Head of Partnerships
        Vice Principal | Assistant Principal | Engineering Principal | Director of Student Affairs
        Head of Apprenticeships | Dean | Associate Dean | Account Director | Art Director | Creative Director
        Editor-in-Chief | Regional Director | Global Procurement Director | Leiter der Geschäftsstelle
        Geschäftsstellenleiter | Geschäftsbereichsleiter | Hauptabteilungsleiter Einkauf | Abt.-Leiter
        Abteilungsleitung | Stabsstellenleiter | Leiterin Controlling | Ltg. Einkauf | IT-Leiter | EDV-Leiter
        Kaufmännischer Leiter | Techn. Leiter | Werkleiter | Standortleiter | Niederlassungsleiter
        Produktionsleiter | Personalleiterin | Marketingleiter | Verkaufsleiter | Regionalverkaufsleiter
        Schulleiter | Pflegedienstleitung | Chefarzt | Chefredakteurin | Leiter Vorstandsbüro | Landesdirektorin
        Bankdirektor | Filialdirektor | Leiter Studierendenservice | Leiter Ausbildung | Leitung interne Revision
        Directeur des achats | Directrice Marketing & Communication | Directeur d'agence | DSI | DRH
        Chef des ventes | Directora de Recursos Humanos | Subdirector | Diretor | Diretora Comercial
        Direttore Acquisti | Direttrice Marketing | Dirigente | Vicedirettore | Directeur | Adjunct-directeur
        Hoofd HR | Afdelingshoofd | Financieel directeur | Commercieel directeur | Ekonomichef | Inköpschef
        IT-chef | HR-chef | Marknadschef | Försäljningsdirektör | Säljchef | Direktør | Salgsdirektør
        Økonomidirektør | IT-direktør | Salgschef | Indkøbschef | Innkjøpssjef | Markedssjef | Avdelingsleder
        Afdelingschef | Talousjohtaja | Myyntijohtaja | Markkinointijohtaja | Hankintajohtaja | Tietohallintojohtaja
        Henkilöstöjohtaja
    """,
    "manager": """
        Leiter Team Einkauf | Domainlead CRM | Büroleiterin der Geschäftsführung
        Sachbearbeiterin und stellvertretende Teamleiterin | Teamleiter Sachbearbeitung | Apprenticeship Manager
        Team-Leiter | Projekt-Leiter | Team Leitung | Lead Engineer | Tech Lead | Project Manager | Jefe de ventas
        Responsable Achats | Capo reparto | Satış Müdürü | myyntipäällikkö | Projektledare | Prosjektleder
        Teamleder | Teamleider | Gerente de Vendas | Assistant Manager | Product Manager | Student Records Manager
        Principal Product Manager | Partner Manager | Principal Consultant & Team Lead
        Marketing Manager und Assistenz der Geschäftsleitung | Chief Accountant | Chef de projet | Proje Müdürü
        Chief Engineer | Head Coach | Head Chef | Head Nurse | Team Head | Asst. Manager - Sales | Office Manager
        Office Manager to the CEO | Investor Relations Manager | Channel Partner Manager | Partner Success Manager
        Partner Marketing Manager | Lead Developer | Sales Lead | Lead - Procurement | Team Lead, Support
        Lead Generation Manager | Leads Manager | Leader of the Sales Team | Project Leader | Product Lead
        Lead Data Scientist | Program Manager | PMO Lead | Shift Supervisor | Foreman | Superintendent
        School Superintendent | International Sales Manager | Managing Editor | Plant Manager | Referatsleiter
        Leitender Ingenieur | Küchenchef | Oberarzt | Teamleitung Einkauf | Schichtleiter | Marktleiter
        Lagerleiter | Vorarbeiter | Handlungsbevollmächtigter | Büroleiterin Vorstand | Senior-Projektleiterin
        Bezirksleiter | Gebietsverkaufsleiter | Produktmanagerin | Key-Account-Managerin | Ausbildungsleiter
        Responsable informatique | Responsable des ressources humaines | Chef comptable | Gerente
        Gerente de Compras | Jefe de Compras | Jefa de Marketing | Responsable de Ventas | Encargado de almacén
        Gerente de TI | Coordenadora de RH | Supervisor | Chefe de Compras | Responsabile IT
        Responsabile Ufficio Acquisti | Capo Area | Projectleider | Inkoopmanager | Accountmanager | Bedrijfsleider
        Produktchef | Gruppchef | Enhetschef | Projektleder | Hankintapäällikkö | Myyntipäällikkö | IT-päällikkö
        Projektipäällikkö | Tiimivetäjä | Satın Alma Müdürü | İK Müdürü | Bilgi İşlem Müdürü | Pazarlama Müdürü
        Muhasebe Müdürü | Müdür Yardımcısı | Şef | Takım Lideri | Bölge Satış Müdürü | Proje Yöneticisi
    """,
    "staff": """
        Referentin der Geschäftsführung | Medewerker directie | Internship Coordinator | CEO, former | Director (Retd.)
        Executive Assistant to CEO & Founder | PA to the Managing Director | Assistentin der Geschäftsführung
        CEO Assistant | Product Owner | Process Owner | Data Owner | Assistentin Geschäftsführung / Vorstand
        Assistante de direction | Asistente de Dirección | Referentin der Geschäftsleitung
        Sekretariat Geschäftsführung | Directiesecretaresse | VD-assistent | Toimitusjohtajan assistentti
        Genel Müdür Asistanı | Yönetici Asistanı | Secretaria del Director General | Assistente do Diretor
        Assistente di direzione | HR Business Partner | ehem. Geschäftsführer | Geschäftsführer a.D.
        Geschäftsführer i.R. | Ancien directeur | Software Engineer, Principal | Account Executive
        Lead Generation Specialist | Mitarbeiter der Geschäftsleitung | Office of the CEO | Secretary to the Board
        Advisor to the CEO | Halbleiterphysiker | Scrum Product Owner | Head Office Receptionist
        Assistant to Head of Sales | Emekli Genel Müdür | Voormalig directeur | Board Advisor | Assistant to Manager
        Manager's Assistant | Executive Assistant | Executive Assistant to the Chief Financial Officer | EA to CEO
        EA/PA to Managing Director | PA to Chairman | Personal Assistant to CEO | Admin Assistant to VP Sales
        Administrative Assistant to the President | Secretary to the Board of Directors | Company Secretary
        Corporate Secretary | Office of the CFO | CEO's Office | Office of the President
        Special Assistant to the President | Advisor to the Board | Consultant to CEOs | Coach for CEOs
        Recruiter for C-level executives | Executive Recruiter | Home Owner | Technical Product Owner
        Data Product Owner | Business Process Owner | Service Owner | Business Partner Finance
        Strategic Partner Lead | Partner Relations | Technology Partner | Delivery Partner | Venture Partner
        Operating Partner | Founding Engineer | Founder's Office | Founders Associate | Member of Technical Staff
        Principal Architect | Principal Investigator | Scrum Master | Coordinator | Marketing Coordinator
        Internal Auditor | Student Advisor | Internship Coordinator | Former CEO | ex CFO at Siemens | Ex-Google
        Former VP, now Advisor | Previously CTO | Retired | Retired Director | CEO (retired) | Professor Emeritus
        Past Chair | Aspiring Data Scientist | Future CEO | Looking for new opportunities as CTO | Unemployed
        Freelance Consultant | Self-employed | Investor | Assistant General Counsel | Legal Counsel | Controller
        Financial Controller | Minister | Reiseleiter | Halbleiterentwickler | Meister | Vorstandsassistentin
        Assistent des Vorstands | Assistent GF | Assistentin der GL | Sekretärin der Geschäftsleitung
        Referent des Vorstands | Sachbearbeiter Einkauf | Mitarbeiter Vertrieb | Einkäuferin
        Strategische Einkäuferin | Einkaufssachbearbeiterin | Vertriebsmitarbeiter/in im Außendienst
        Außendienstmitarbeiter | Kundenberater | Kundenbetreuerin | Servicetechniker | Personalreferentin
        Buchhalterin | Bilanzbuchhalter | Steuerberater | Rechtsanwältin | Datenschutzbeauftragter
        Softwareentwicklerin | Fachinformatiker | Systemadministrator | Geschäftsführer in Ruhe
        Geschäftsführer i. R. | Bürgermeister a. D. | Betriebsrat | Betriebsratsvorsitzende | Direktionsassistentin
        Interne Kommunikation | Chargée de recrutement | Assistant du directeur | Ancien PDG | Retraité
        Conseiller clientèle | Acheteuse | Ingénieur commercial | Cadre commercial | Asistente de Gerencia
        Secretaria de Dirección | Ex director | Comercial | Técnico de soporte | Analista de datos
        Assistente Administrativo | Auxiliar de compras | Analista de suporte | Impiegato | Impiegata amministrativa
        Assistente alla Direzione | Buyer | Addetto vendite | Inkoper | Medewerker klantenservice
        Directieassistente | Oud-directeur | Säljare | Inköpare | Systemutvecklare | Sælger | Selger
        Kundeservicemedarbejder | Direktionssekretær | Direktørassistent | Myyjä | Ohjelmistokehittäjä
        Johdon assistentti | Satınalma Uzmanı | İnsan Kaynakları Uzmanı | Uzman | Emekli | CEO Asistanı
    """,
    "entry": """
        Geschäftsführer - Junior | Junior Head of Sales | Consultant (Junior) | Marketing Manager, Junior
        Junior Director | Junior Developer | Jr Accountant | Graduate Engineer | Juniorberater
        Junior-Projektleiter | Chef de produit junior | Uzman Yardımcısı
    """,
    "student": """
        Intern | Werkstudent Marketing | Praktikantin | Stajyer | Stagiaire | Estagiário | Becario de marketing
        Tirocinante | Praktikant Vertrieb | Azubi | Trainee Sales | Opiskelija | Marketing Intern | Graduate Trainee
        Management Trainee | Summer Intern | Marketing Internship | Intern - Finance | PhD Student | Student
        PhD Candidate | Apprentice Electrician | Auszubildende zur Kauffrau | Werkstudentin
        Praktikantin im Marketing | Trainee Einkauf | Stagiaire RH | Apprenti | Alternante communication | Becaria
        Estudiante | Stagista | Stagiair | Praktikant | Lærling | Harjoittelija
    """,
}
"""More titles of the same kinds, in other words and languages."""


@pytest.mark.parametrize(
    ("seniority", "titles"),
    [pytest.param(level, titles, id=name) for name, cases in CASES.items() for level, titles in cases.items()],
)
def test_titles_that_were_read_wrongly(seniority, titles):
    assert {title: READER.read(title).seniority for title in titles} == dict.fromkeys(titles, seniority)


@pytest.mark.parametrize("seniority", SENIORITIES)
def test_titles_of_each_level(seniority):
    titles = [each.strip() for each in re.split(r"[|\n]", KINDS_OF_TITLES[seniority]) if each.strip()]
    assert {title: READER.read(title).seniority for title in titles} == dict.fromkeys(titles, seniority)


@pytest.mark.parametrize("seniority", SENIORITIES)
def test_what_if_there_is_a_title_for_each_level_in_each_department(seniority):
    for department in DEPARTMENTS:
        when = {"all": [{"field": "title", "seniority": seniority}, {"field": "title", "department": department}]}
        titles = [
            READER.read(each) for each in candidate_values(model(fit=[{**fit_rule(1), "when": when}]), "title", 0)
        ]
        assert any(each.seniority == seniority and department in each.departments for each in titles)


@pytest.mark.parametrize(
    ("title", "departments"),
    [
        ("VP, IT Security", {"it", "security"}),
        ("Vertriebsleiterin", {"sales"}),
        ("Einkaufsdirektor", {"procurement"}),
        ("Directeur des Achats", {"procurement"}),
        ("Responsable RH", {"hr"}),
        ("Jefa de Compras", {"procurement"}),
        ("Gerente de Vendas", {"sales"}),
        ("Direttore Risorse Umane", {"hr"}),
        ("Hoofd Inkoop", {"procurement"}),
        ("Försäljningschef", {"sales"}),
        ("Markedschef", {"marketing"}),
        ("Markkinointipäällikkö", {"marketing"}),
        ("İnsan Kaynakları Müdürü", {"hr"}),
        ("SATIN ALMA MÜDÜRÜ", {"procurement"}),
        ("Kundenservice-Mitarbeiter/in", {"support"}),
        ("Head of Sales Support", {"sales"}),
        ("Leiter Personalentwicklung", {"hr"}),
        ("Fachkraft für Arbeitssicherheit", {"operations"}),
        ("Personal Assistant to the CEO", set()),
        ("Executive Assistant to the CFO", {"finance"}),
        ("Former VP Sales", set()),
        ("Product Owner", {"product"}),
        ("Owner", {"general_management"}),
        ("Vice President", set()),
        ("Sales Manager at Legal Partners", {"sales"}),
        ("Halbleiterphysiker", {"research"}),
        ("Hankintapäällikkö", {"procurement"}),
        ("Henkilöstöjohtaja", {"hr"}),
        ("Talousjohtaja", {"finance"}),
        ("Ekonomichef", {"finance"}),
        ("Innkjøpssjef", {"procurement"}),
        ("Kundeservicemedarbejder", {"support"}),
        ("Pazarlama Müdürü", {"marketing"}),
        ("Bilgi İşlem Müdürü", {"it"}),
        ("Medewerker klantenservice", {"support"}),
        ("Responsabile Ufficio Acquisti", {"procurement"}),
        ("Directora de Recursos Humanos", {"hr"}),
        ("Gerente de TI", {"it"}),
        ("Conseiller clientèle", {"support"}),
        ("Mktg Dir.", {"marketing"}),
        ("AE", {"sales"}),
        ("Senior AE, EMEA", {"sales"}),
        ("CSM", {"support"}),
        ("Head of CSM", {"support"}),
        ("Scrum Master, CSM", {"engineering"}),  # there it is a certificate
        ("Team Lead (CSM)", set()),
        ("Marketing Manager, AE", {"marketing"}),  # and here a country
        ("Leiter F+E", {"engineering", "research"}),
        # The head noun says what the person does.
        ("IT Project Manager", {"project_management"}),
        ("Projektleiter IT", {"project_management"}),
        ("Project Manager, Marketing & Sales", {"project_management"}),
        ("Chef de projet informatique", {"project_management"}),
        ("Jefa de Proyecto de TI", {"project_management"}),
        ("Capo Progetto Marketing", {"project_management"}),
        ("IT-projektledare", {"project_management"}),
        ("IT Proje Yöneticisi", {"project_management"}),
        ("IT Consultant", {"consulting"}),
        ("SAP-Berater", {"consulting"}),
        ("Consultante RH", {"consulting"}),
        ("Head of IT Consulting", {"consulting"}),
        ("Founder & IT Consultant", {"consulting", "general_management"}),
        ("Software Sales Manager", {"sales"}),
        ("Softwarevertrieb", {"sales"}),
        ("IT-Einkäufer", {"procurement"}),
        ("Product Marketing Manager", {"marketing"}),
        ("IT Recruiter", {"hr"}),
        ("Head of Technical Compliance", {"legal"}),
        ("Technical Director", {"engineering"}),
        ("Directeur technique", {"engineering"}),
        ("Director Comercial", {"sales"}),
        ("Business Development Manager", {"business_development"}),
        ("Leiter Geschäftsentwicklung", {"business_development"}),
        ("Responsable Desarrollo de Negocio", {"business_development"}),
        ("Affärsutvecklare", {"business_development"}),
        # What stands side by side, or is another job, counts as well.
        ("IT Manager", {"it"}),
        ("Sales & Marketing Manager", {"marketing", "sales"}),
        ("Sales and Business Development Manager", {"business_development", "sales"}),
        ("Head of IT and Project Management", {"it", "project_management"}),
        ("Head of Sales & Project Manager", {"project_management", "sales"}),
        ("Projektleiter und Vertrieb", {"project_management", "sales"}),
        ("Leiter Einkauf IT", {"it", "procurement"}),
        ("Product Owner Sales", {"product", "sales"}),
        # Consultants who sell, and advisers of a trade of their own.
        ("Sales Consultant", {"sales"}),
        ("Consultor Comercial", {"sales"}),
        ("Verkaufsberater", {"sales"}),
        ("Recruitment Consultant", {"hr"}),
        ("Steuerberater", {"finance"}),
        ("HR-konsulent", {"hr"}),
        ("Innovationsberater", {"consulting"}),
        ("Wirtschaftsprüfer", {"finance"}),
        # What is no department of a firm, or another one than its words say apart.
        ("Medical Technician", set()),
        ("Support Worker", set()),
        ("Lab Technician", {"research"}),
        ("Leiter Telekommunikation", {"it"}),
    ],
)
def test_departments(title, departments):
    assert READER.read(title).departments == departments


# The same title in other letters

PARTS = st.tuples(
    st.sampled_from(
        [
            *("Geschäftsführer", "Vertriebsleiter", "Projektleiter", "Direktor", "Kaufmännischer Leiter", "Präsident"),
            *("VP", "Vice President", "CEO", "Head of", "Team Lead", "Product Owner", "Assistant to the CEO,"),
            *(
                "Directeur général",
                "Responsable",
                "Gérant",
                "Director de",
                "Jefe de",
                "Sócio-Gerente",
                "Amministratore Delegato",
            ),
            *(
                "Försäljningschef",
                "Økonomichef",
                "Genel Müdür",
                "Satış Müdürü",
                "Algemeen Directeur",
                "Toimitusjohtaja",
            ),
        ]
    ),
    st.sampled_from(
        ["", "Einkauf", "Sales", "IT-Sicherheit", "Büro", "Qualität", "Marketing & Sales", "R&D", "Achats"]
    ),
    st.sampled_from(["", "EMEA", "Süd", "Zürich"]),
)
DASHES = "-‐‑–—−"
BLANKS = [" ", "  ", "\u00a0", "\n", "\t", "\u2009", "\u202f"]
UMLAUTS = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue", "ß": "ss", "Ä": "Ae", "Ö": "Oe", "Ü": "Ue"})


def drop_accents(text):
    return "".join(each for each in unicodedata.normalize("NFD", text) if not unicodedata.combining(each))


REWRITINGS = {
    "upper": str.upper,
    "lower": str.lower,
    "accents apart": lambda text: unicodedata.normalize("NFD", text),
    "full width": lambda text: "".join(chr(ord(each) + 0xFEE0) if "!" <= each <= "~" else each for each in text),
    "no accents": drop_accents,
    "ASCII umlauts": lambda text: text.translate(UMLAUTS),
    "gender in brackets": lambda text: f"{text} (m/w/d)",
    "gender before": lambda text: f"(f/m/x) {text}",
    "genders": lambda text: f"{text} - all genders (w/m/d)",
    "soft hyphen": lambda text: text[:3] + "\u00ad" + text[3:],
    "dots": lambda text: text.replace("VP", "V.P.").replace("CEO", "C. E. O."),
    "wrapped": lambda text: f"\u200b {text}. ",
}


@given(
    PARTS,
    st.lists(st.sampled_from([*REWRITINGS]), min_size=1, max_size=3, unique=True),
    st.sampled_from(DASHES),
    st.sampled_from(BLANKS),
)
def test_another_spelling_reads_the_same(parts, rewritings, dash, blank):
    title = " ".join(filter(None, parts))
    rewritten = title
    for name in rewritings:
        rewritten = REWRITINGS[name](rewritten)
    rewritten = rewritten.replace("-", dash).replace(" ", blank)
    assert READER.read(rewritten) == READER.read(title), rewritten


@given(
    st.sampled_from(
        ["Leiter", "Geschäftsführer", "Projektleiter", "Einkäufer", "Inhaber", "Präsident", "Vertriebsdirektor"]
    )
)
def test_every_form_of_gender_reads_the_same(noun):
    forms = [
        f"{noun}{end}" for end in ("in", ":in", "*in", "/in", "/-in", "_in", "(in)", "In", "innen", "Innen", "·in")
    ]
    assert {form: READER.read(f"{form} Marketing") for form in forms} == dict.fromkeys(
        forms, READER.read(f"{noun} Marketing")
    )


@pytest.mark.parametrize(
    ("one_way", "other"),
    [
        ("VP Sales", "Sales, VP"),
        ("Director of Marketing", "Marketing Director"),
        ("Director of Marketing", "Director, Marketing"),
        ("Leiter Einkauf", "Einkauf (Leitung)"),
        ("Product Owner", "Owner, Product"),
        ("Principal Software Engineer", "Software Engineer, Principal"),
        ("Vice President", "President, Vice"),
        ("Junior Sales Manager", "Sales Manager, Junior"),
        ("Teamleiter Support", "Support Team-Leiter"),
        ("Geschäftsführer", "Geschäfts-Führer"),
        ("Geschäftsführer", "Gesch.-führer"),
        ("Geschäftsführerin", "Gesch. Führerin"),
        ("Stv. Geschäftsführer", "stv. Gesch.-Führer"),
        ("Mitglied der Geschäftsleitung", "Mitglied der Gesch.-Leitung"),
        ("Assistenz der Geschäftsführung", "Assistenz der Gesch.-führung"),
        ("Directeur Marketing", "Directeur/rice Marketing"),
        ("Director de Ventas", "Director(a) de Ventas"),
        ("Chargé de clientèle", "Chargé(e) de clientèle"),
        ("Sales Manager", "Sales-Managers"),
        ("Angestellter", "Angestellte/r"),
    ],
)
def test_another_order_or_form_reads_the_same(one_way, other):
    assert READER.read(one_way) == READER.read(other)


@given(st.text(max_size=400))
def test_any_text_is_read(text):
    title = READER.read(text)
    assert title.seniority in SENIORITIES
    assert title.departments <= {*DEPARTMENTS}
    levels, departments = READER.explain(text)
    assert all(each.text in text for each in [*levels, *departments])
    assert {each.meaning for each in departments} == title.departments
    assert [each.meaning for each in levels] in ([], [title.seniority])


# Own words


def test_own_words_are_read_in_any_spelling_and_come_first():
    reader = title_reader(
        Titles(
            seniority={"vp": ["Hauptabteilungsleiter"], "staff": ["Assistenz der Geschäftsleitung", "Owner"]},
            department={"it": ["Rechenzentrum"], "legal": ["C. L. O."]},
        )
    )
    assert reader.read("HAUPTABTEILUNGSLEITERIN Sales").seniority == "vp"
    assert reader.read("Assistenz der\u00a0Geschaeftsleitung").seniority == "staff"
    assert reader.read("Owner").seniority == "staff"
    assert reader.read("Leiter Rechenzentrum").departments >= {"it"}
    assert reader.read("CLO").departments >= {"legal"}


def test_own_words_add_a_department_to_what_the_head_noun_says():
    reader = title_reader(Titles(department={"it": ["IT Project Manager", "IT-Projektleiter"]}))
    assert reader.read("Senior IT Project Manager").departments == {"it", "project_management"}
    assert reader.read("IT-Projektleiterin").departments == {"it", "project_management"}
    assert reader.read("Project Manager").departments == {"project_management"}


def test_the_highest_of_several_own_words_counts():
    reader = title_reader(Titles(seniority={"manager": ["Obmann"], "director": ["Amtmann"]}))
    assert reader.read("Obmann und Amtmann").seniority == "director"


def test_own_words_without_a_letter_say_nothing():
    assert title_reader(Titles(seniority={"vp": ["***"]})).read("Clerk ***").seniority == "staff"


# How it was read


@pytest.mark.parametrize(
    ("title", "said"),
    [
        ("V.P. of Sales", 'VP from "V.P."; sales from "Sales"'),
        ("VP, IT Security", 'VP from "VP"; IT and security from "IT Security"'),
        ("CEO", "C-level and general management"),
        ("Geschäftsführer/in (m/w/d)", 'C-level and general management from "Geschäftsführer"'),
        ("Assistentin der Geschäftsführung", 'staff from "Assistentin"'),
        ("Ｖ．Ｐ． IT", 'VP from "Ｖ．Ｐ"; IT from "IT"'),
        ("Wanderer", "staff"),
    ],
)
def test_an_explanation_quotes_the_words_of_the_title(title, said):
    assert explain_title(Titles(), title, True, True) == said


def test_explain_says_how_the_title_was_read():
    of = model(
        fit=[
            fit_rule(2, "level", field="title", seniority_at_least="vp"),
            fit_rule(3, "team", field="title", department=["sales"]),
            fit_rule(4, "known", field="title", exists=True),
        ]
    )
    said = {line["rule"]: line["why"] for line in one(of, title="Sr. V.P., Sales")["lines"]}
    assert said == {
        "level": 'title is "Sr. V.P., Sales" (VP from "V.P.")',
        "team": 'title is "Sr. V.P., Sales" (sales from "Sales")',
        "known": 'title is "Sr. V.P., Sales"',
    }


@pytest.mark.parametrize(
    ("title", "seniority"),
    [
        ("CEO Coach", "staff"),
        ("Founder Relations", "staff"),
        ("CFO Search Consultant", "staff"),
        ("C-Level Recruiter", "staff"),
        ("Owner Success Specialist", "staff"),
        ("Coach of CEOs", "staff"),
        ("Coach für Geschäftsführer", "staff"),
        ("Coach de dirigeants", "staff"),
        ("Unternehmer-Coach", "staff"),
        ("Head of Founder Relations", "director"),
        ("Founder Relations Manager", "manager"),
        ("Founder Community Manager", "manager"),
        # The person's own level, and what such a boss manages.
        ("CEO, Coach", "c_level"),
        ("Coach & CEO", "c_level"),
        ("Founder and Recruiter", "c_level"),
        ("Founder Community", "c_level"),
        ("Owner Photographer", "c_level"),
        ("Managing Director Recruitment", "c_level"),
        ("Geschäftsführer Vertrieb", "c_level"),
        ("President Investor Relations", "c_level"),
        ("Founder of Coach", "c_level"),
    ],
)
def test_a_boss_whom_a_craft_is_about_is_no_level_of_the_person(title, seniority):
    read = READER.read(title)
    assert read.seniority == seniority
    assert ("general_management" in read.departments) is (seniority == "c_level")


def test_titles_of_which_no_word_is_known_are_listed_to_be_pasted():
    of = model(fit=[fit_rule(1, field="title", seniority="vp")])
    titles = ["Wanderer"] * 3 + ['Fee  "Morgana"'] * 2 + ["CEO", None, "Engineer", "x" * 80]
    columns = columns_of([person(title=title) for title in titles])
    (found,) = lint_with_data(of, score(of, columns, NOW, UTC), columns, KINDS, int(NOW.timestamp()))
    sentence, *lines = found.sentence.splitlines()
    assert sentence.startswith("title: no word is known of the titles of 6 of 9 people")
    pasted = "\n".join(lines)
    assert tomllib.loads(pasted) == {"titles": {"seniority": {"staff": ["Wanderer", 'Fee "Morgana"']}}}
    assert "# 3" in pasted
    known = model(fit=of.fit, titles=tomllib.loads(pasted)["titles"])
    (left,) = lint_with_data(known, score(known, columns, NOW, UTC), columns, KINDS, int(NOW.timestamp()))
    assert left.sentence.startswith("title: no word is known of the titles of 1 of 9 people")


def test_a_column_of_titles_is_read_once():
    reader = TitleReader((), ())
    column = make_column(["CEO", "Clerk", 5, None])
    assert [each and each.seniority for each in reader.read_column(column)] == ["c_level", "staff", None, None]
    assert reader.read_column(column) is reader.read_column(column)
    assert reader.read_column(make_column(["VP"])) is not reader.read_column(column)


# The lexicon


def entries(table):
    for name, languages in LEXICON[table].items():
        for language, texts in languages.items():
            yield from ((name, language, text) for text in texts)


def test_no_word_has_two_roles():
    named = {}
    for name, _, text in entries("role"):
        named.setdefault(wording_of(text.strip("*")), set()).add(name)
    assert {text: names for text, names in named.items() if len(names) > 1} == {}


def test_no_word_stands_twice_in_one_list():
    assert [
        each for table in ("level", "role", "department") for each, n in Counter(entries(table)).items() if n > 1
    ] == []


def test_a_star_stands_at_one_long_word_only():
    tables = ("level", "role", "department", "beside")
    stars = [text for table in tables for _, _, text in entries(table) if "*" in text]
    assert [text for text in stars if len(wording_of(text.strip("*"))) != 1 or len(text) < 5] == []


def test_every_language_of_the_lexicon_has_endings():
    assert {language for table in ("level", "role", "beside") for _, language, _ in entries(table)} <= {
        *LEXICON["endings"]
    }
    assert {*LEXICON["level"]} == {*SENIORITIES}
    assert {*LEXICON["department"]} == {*DEPARTMENTS, "none"}


def test_help_does_not_load_the_lexicon():
    code = "import sys; from crmsync.cli import main; from crmsync.scoring.title_lexicon import load_lexicon as load; "
    code += "sys.exit(load.cache_info().currsize)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_every_department_word_of_the_lexicon_reads_as_its_department():
    wrong = [
        (name, text)
        for name, _, text in entries("department")
        if name not in ("none", "general_management") and name not in READER.read(text.strip("*")).departments
    ]
    assert wrong == []


def test_the_lexicon_is_read_once():
    assert load_lexicon() is load_lexicon()
