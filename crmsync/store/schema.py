"""The tables of the state database, the same for SQLite and PostgreSQL.

Instants are integers, milliseconds since 1970 in UTC, but for activities, which are seconds as scoring reads them.
Text columns that hold JSON are written with sorted keys, so that equal values are equal texts.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ColumnElement,
    Double,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    Table,
    Text,
    UniqueConstraint,
    and_,
    false,
    literal_column,
    text,
    true,
)

from crmsync.model import ADDRESS, DOMAIN, REFERENCE

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(column_0_label)s",
        "uq": "uq_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
    }
)

Id = BigInteger().with_variant(Integer, "sqlite")
"""SQLite only numbers rows by itself in a column that is exactly INTEGER."""

OPEN = text("state IN ('planned', 'sent')")
"""Changes still to be made, in the very words of their index: a database uses it for nothing else."""

ON_HOLD = text("on_hold <> ''")
"""Contacts with a change that the CRM will not take, in the very words of their index, too."""

UNOWNED = text("waiting <> ''")
"""People who wait for an owner, in the very words of their index."""

TAGGED = text("feedback <> ''")
"""People whom users gave a tag, in the very words of their index."""

UNDONE = text("undone <> ''")
"""Records of which something was undone, in the very words of their index."""

INCLUDED, LEFT_OUT = text("excluded = ''"), text("excluded <> ''")
"""People who are scored and those who are not, in the very words of their indexes."""

REPLACED = text("(gone OR ambiguous OR merged_into <> '' OR converted_into <> '')")
"""Records that are neither scored nor written, in the very words of their index."""

OVERRIDDEN = text("overrides <> '{}'")
"""Records of which a user changed what crmsync writes, in the very words of their index."""

WAKING = text("wake_at IS NOT NULL")
"""Contacts that time alone makes due, in the very words of their index."""

LINKED, ADDRESSED = "company <> ''", "domain <> ''"
"""Records with a company, and with an address of an organisation, in the very words of their indexes."""

BY_BYTES = {"key": "text_pattern_ops", "word": "text_pattern_ops"}
"""How PostgreSQL orders indexes in which beginnings are looked up, whatever its language."""

writer = Table(
    "writer",  # one row: whose turn it is to write
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("epoch", BigInteger, nullable=False),  # one more with each turn; compared in each transaction that writes
    Column("holder", Text, nullable=False, server_default=""),
    Column("config", Text, nullable=False, server_default=""),  # of a daemon: the hash of the config it works by
    Column("left_at", BigInteger),  # when the last turn ended by itself, by the database's clock
)

pause = Table(
    "pause",  # one row, from the first pause on; it is over where `until` has passed
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("since", BigInteger, nullable=False),
    Column("until", BigInteger),  # NULL: until somebody resumes
    Column("why", Text, nullable=False, server_default=""),
)

account = Table(
    "account",
    metadata,
    Column("crm", Text, primary_key=True),
    Column("account", Text, nullable=False),
)

cursor = Table(
    "cursor",
    metadata,
    Column("crm", Text, nullable=False),
    Column("stream", Text, nullable=False),
    Column("value", Text, nullable=False),
    PrimaryKeyConstraint("crm", "stream"),
)

note = Table(
    "note",
    metadata,
    Column("crm", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("value", Text, nullable=False),
    PrimaryKeyConstraint("crm", "name"),
)

record = Table(
    "record",
    metadata,
    Column("id", Id, primary_key=True, autoincrement=True),
    Column("crm", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("ref_id", Text, nullable=False),
    Column("known", Boolean, nullable=False, server_default=false()),  # false: only its activities were seen so far
    Column("changed_at", BigInteger, nullable=False, server_default="0"),
    Column("name", Text, nullable=False, server_default=""),
    Column("emails", Text, nullable=False, server_default="[]"),
    Column("fields", Text, nullable=False, server_default="{}"),
    Column("links", Text, nullable=False, server_default="[]"),
    Column("company", Text, nullable=False, server_default=""),  # the id of their company in this CRM
    Column("domain", Text, nullable=False, server_default=""),  # registrable; of the first address that is no free mail
    Column("created_at", BigInteger),  # when the CRM got the record, where it says
    Column("seen_at", BigInteger),  # since when its fields are known: the first pull that read it
    Column("crm_group", Text, nullable=False, server_default=""),
    Column("stage", Text),
    Column("owner", Text),
    Column("current", Text, nullable=False, server_default="{}"),  # our score fields as the CRM has them
    Column("band", Text, nullable=False, server_default=""),  # the band among these, for counting
    Column("last_written", Text, nullable=False, server_default="{}"),  # what we last wrote, stage and owner too
    Column("overrides", Text, nullable=False, server_default="{}"),  # field → when a person's change was noticed
    Column("on_hold", Text, nullable=False, server_default=""),  # the change the CRM will not take, and why
    Column("gone", Boolean, nullable=False, server_default=false()),
    Column("merged_into", Text, nullable=False, server_default=""),
    Column("converted_into", Text, nullable=False, server_default=""),
    Column("ambiguous", Boolean, nullable=False, server_default=false()),
    Column("person", Id),
    Column("dirty", Boolean, nullable=False, server_default=false()),
    Column("edited", Boolean, nullable=False, server_default=false()),  # since it was last planned for: fields changed
    Column("wake_at", BigInteger),  # when a manual override or the patience with a refusal ends
    Column("attempts", Integer, nullable=False, server_default="0"),
    Column("seen_run", Text, nullable=False, server_default=""),
    Column("undone", Text, nullable=False, server_default=""),  # field → the value that waits since it was undone
    Column("forgotten", Boolean, nullable=False, server_default=false()),  # of somebody forgotten: never known
    UniqueConstraint("crm", "kind", "ref_id"),
    Index("ix_record_person", "person"),
    Index("ix_record_dirty", "id", sqlite_where=text("dirty = 1"), postgresql_where=text("dirty")),
    Index("ix_record_seen_run", "seen_run", "id"),
    Index("ix_record_replaced", "id", sqlite_where=REPLACED, postgresql_where=REPLACED),
    Index("ix_record_on_hold", "id", sqlite_where=ON_HOLD, postgresql_where=ON_HOLD),
    Index("ix_record_overrides", "id", sqlite_where=OVERRIDDEN, postgresql_where=OVERRIDDEN),
    Index("ix_record_undone", "id", sqlite_where=UNDONE, postgresql_where=UNDONE),
    Index("ix_record_wake_at", "wake_at", sqlite_where=WAKING, postgresql_where=WAKING),
    Index("ix_record_company", "company", sqlite_where=text(LINKED), postgresql_where=text(LINKED)),
    Index("ix_record_domain", "domain", sqlite_where=text(ADDRESSED), postgresql_where=text(ADDRESSED)),
)

NOTHING: ColumnElement[str] = literal_column("''")
"""The empty text in a statement's own words: an index that is for a part of a table is not used for a parameter."""

LIVE = and_(
    record.c.known,
    ~record.c.gone,
    ~record.c.ambiguous,
    record.c.merged_into == NOTHING,
    record.c.converted_into == NOTHING,
)
"""Records that are scored and may be written."""

EVENTS = record.c.kind.in_((ADDRESS, REFERENCE, DOMAIN))
"""Rows that are no records of a CRM and hold events from outside; never live."""

GONE = "gone:"
"""How the identity keys of events begin that say whose they were before the record was deleted; they match nothing."""

SCORED = record.c.current != literal_column("'{}'")
"""Records that carry score fields of ours."""

# Each in the very words of the statements that it serves.
Index(
    "ix_record_live",
    record.c.person,
    record.c.band,
    record.c.crm,
    record.c.owner,
    sqlite_where=LIVE,
    postgresql_where=LIVE,
)
Index("ix_record_scored", record.c.crm, sqlite_where=and_(LIVE, SCORED), postgresql_where=and_(LIVE, SCORED))

tombstone = Table(
    "tombstone",  # what somebody forgotten was known by, as HMAC-SHA256 (hex) under a key among the notes
    metadata,
    Column("hash", Text, primary_key=True),
)

alias = Table(
    "alias",
    metadata,
    Column("crm", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("old_id", Text, nullable=False),
    Column("record", Id, nullable=False, index=True),
    PrimaryKeyConstraint("crm", "kind", "old_id"),
)

identity = Table(
    "identity",
    metadata,
    Column("record", Id, nullable=False),
    Column("key", Text, nullable=False),
    PrimaryKeyConstraint("record", "key"),
    Index("ix_identity_key", "key", postgresql_ops=BY_BYTES),
)

name_word = Table(
    "name_word",  # what people are found by: the words of the names of their records, as `identity.names` makes them
    metadata,
    Column("record", Id, nullable=False),
    Column("word", Text, nullable=False),
    PrimaryKeyConstraint("record", "word"),
    Index("ix_name_word_word", "word", "record", postgresql_ops=BY_BYTES),
    sqlite_with_rowid=False,
)

counter = Table(
    "counter",
    metadata,
    Column("record", Id, nullable=False),
    Column("kind", Text, nullable=False),
    Column("count", Integer, nullable=False),
    PrimaryKeyConstraint("record", "kind"),
)

past_field = Table(
    "past_field",
    metadata,
    Column("record", Id, nullable=False),
    Column("field", Text, nullable=False),
    Column("until", BigInteger, nullable=False),
    Column("value", Text, nullable=False),
    PrimaryKeyConstraint("record", "field", "until"),
)

mapped_field = Table(
    "mapped_field",  # since when our own pulls tell of each mapped field (milliseconds; 0 means since the first sight)
    metadata,
    Column("crm", Text, nullable=False),
    Column("field", Text, nullable=False),
    Column("spelled", Text, nullable=False),  # JSON: how the CRM calls it
    Column("since", BigInteger, nullable=False),
    PrimaryKeyConstraint("crm", "field"),
)

field_history = Table(
    "field_history",  # since when the CRM's own history of a field misses nothing, of the records that it was read of
    metadata,
    Column("crm", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("field", Text, nullable=False),
    Column("since", BigInteger, nullable=False),  # milliseconds; 0: since a record exists
    Column("read_at", BigInteger, nullable=False),  # of the records that were seen first by then
    PrimaryKeyConstraint("crm", "kind", "field"),
)

fact = Table(
    "fact",
    metadata,
    Column("id", Id, primary_key=True, autoincrement=True),
    Column("kind", Text, nullable=False),
    Column("attributes", Text, nullable=False),
    UniqueConstraint("kind", "attributes"),
)

activity = Table(
    "activity",
    metadata,
    Column("crm", Text, nullable=False),
    Column("id", Text, nullable=False),
    Column("record", Id, nullable=False),
    Column("at", BigInteger, nullable=False),
    Column("fact", Id, nullable=False),
    Column("owner", Id),  # the row of `activity_owner`; NULL where the CRM does not say who made it
    PrimaryKeyConstraint("crm", "id", "record"),
    Index("ix_activity_record", "record", "at", "fact"),
    sqlite_with_rowid=False,
)

shared_id = Table(
    "shared_id",  # of the activities that carry an id beyond their CRM, such as the Message-ID of an e-mail: its hash
    metadata,
    Column("record", Id, nullable=False),
    Column("activity", Text, nullable=False),
    Column("hash", BigInteger, nullable=False),
    PrimaryKeyConstraint("record", "activity"),
    sqlite_with_rowid=False,
)

activity_owner = Table(
    "activity_owner",  # a number for each owner of activities, since these are many
    metadata,
    Column("id", Id, primary_key=True, autoincrement=True),
    Column("crm", Text, nullable=False),
    Column("owner", Text, nullable=False),  # the CRM's id
    UniqueConstraint("crm", "owner"),
)

feed_day = Table(
    "feed_day",  # on which days (since 1970, UTC) each kind of activity happened, and how often
    metadata,
    Column("crm", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("day", Integer, nullable=False),
    Column("activities", BigInteger, nullable=False),
    PrimaryKeyConstraint("crm", "kind", "day"),
)

seen_activity = Table(
    "seen_activity",  # what a full pull under way has brought: the rest is no more
    metadata,
    Column("crm", Text, nullable=False),
    Column("id", Text, nullable=False),
    PrimaryKeyConstraint("crm", "id"),
    sqlite_with_rowid=False,
)

score_input = Table(
    "score_input",  # what scoring reads of a person; gone as soon as one of their records changes
    metadata,
    Column("person", Id, primary_key=True, autoincrement=False),
    Column("made_for", Text, nullable=False),  # the order of the CRMs and the names of the fields
    Column("known", Text, nullable=False),  # the fields' values, stage, e-mail address: JSON values, by commas
    Column("events", LargeBinary, nullable=False),  # (at, fact) pairs of uint32, little-endian, ascending
)

line_name = Table(
    "line_name",  # what ledgers call a line, once for all of them
    metadata,
    Column("id", Id, primary_key=True, autoincrement=True),
    Column("name", Text, nullable=False),
    UniqueConstraint("name"),
)

person = Table(
    "person",
    metadata,
    Column("id", Id, primary_key=True, autoincrement=False),
    Column("fit", BigInteger, nullable=False),  # hundredths of a point, as are the next two
    Column("behavior", BigInteger, nullable=False),
    Column("total", BigInteger, nullable=False),
    Column("band", Text, nullable=False),
    Column("due", BigInteger, nullable=False),  # seconds: when time alone will next change the score
    Column("model", Text, nullable=False),  # hashes of what the score rests on, and the plan
    Column("plan", Text, nullable=False),
    Column("scored_at", BigInteger, nullable=False),
    Column("scored_run", Text, nullable=False),
    Column("ledger", LargeBinary),  # packed: see `ledgers`; sums to total
    Column("ledger_before", LargeBinary),  # for "what changed"; NULL where there was none, or it was erased
    Column("stage_why", Text, nullable=False, server_default=""),  # what was decided of the stage, and of the owner
    Column("owner_why", Text, nullable=False, server_default=""),
    Column("waiting", Text, nullable=False, server_default=""),  # why they wait for an owner
    Column("waiting_since", BigInteger),
    Column("excluded", Text, nullable=False, server_default=""),  # why they are neither scored nor written
    Column("stage", Text, nullable=False, server_default=""),  # by its name in the config; "" before any was decided
    Column("stage_since", BigInteger),
    Column("stage_reason", Text, nullable=False, server_default=""),  # why they came into it
    Column("stage_entered", BigInteger),  # when they did, by whomever
    Column("stage_left", Text, nullable=False, server_default=""),  # where records may still be that go back
    Column("cool_downs", Text, nullable=False, server_default="{}"),  # stage → until when it is not entered again
    Column("track", Text, nullable=False, server_default=""),
    Column("destination", Text, nullable=False, server_default=""),  # owned, nurture or waiting, as of the last run
    Column("route", Text, nullable=False, server_default=""),  # the one that decided that
    Column("feedback", Text, nullable=False, server_default=""),  # the tag that users gave them, as of the last run
    Column("feedback_since", BigInteger),  # when a run first saw it
    Column("feedback_left", Text),  # the stage that they left for it; NULL before they did
    Index("ix_person_due", "due"),
    Index("ix_person_band", "band", "total", "id", sqlite_where=INCLUDED, postgresql_where=INCLUDED),
    Index("ix_person_total", "total", "id", sqlite_where=INCLUDED, postgresql_where=INCLUDED),
    Index("ix_person_excluded", "id", sqlite_where=LEFT_OUT, postgresql_where=LEFT_OUT),
    Index("ix_person_destination", "destination", "waiting", "excluded"),
    Index("ix_person_model", "model"),
    Index("ix_person_plan", "plan"),
    Index("ix_person_waiting", "waiting", sqlite_where=UNOWNED, postgresql_where=UNOWNED),
    Index("ix_person_feedback", "feedback", sqlite_where=TAGGED, postgresql_where=TAGGED),
)

distribution = Table(
    "distribution",  # how many people had how many points on a day (since 1970, UTC), as its first run left them
    metadata,
    Column("day", Integer, nullable=False),
    Column("points", Integer, nullable=False),  # the lower end of `queries.SCORE_STEP` points
    Column("people", Integer, nullable=False),
    PrimaryKeyConstraint("day", "points"),
)

company = Table(
    "company",  # companies and Salesforce accounts, as far as records point to them
    metadata,
    Column("crm", Text, nullable=False),
    Column("id", Text, nullable=False),
    Column("name", Text, nullable=False, server_default=""),
    Column("domain", Text, nullable=False, server_default=""),  # registrable; "" where others are on the site, too
    Column("owner", Text, nullable=False, server_default=""),
    PrimaryKeyConstraint("crm", "id"),
    Index("ix_company_domain", "domain", sqlite_where=text(ADDRESSED), postgresql_where=text(ADDRESSED)),
)

turn = Table(
    "turn",
    metadata,
    Column("pool", Text, nullable=False),
    Column("member", Text, nullable=False),
    Column("turns", Integer, nullable=False),  # since the beginning, lifted after times outside hours or at a cap
    Column("value", BigInteger, nullable=False),  # hundredths, of what `value_balanced` balances
    Column("made_up", Boolean, nullable=False, server_default=false()),  # the pool's last turn was theirs to catch up
    PrimaryKeyConstraint("pool", "member"),
)

open_turn = Table(
    "open_turn",  # whom a run gave to somebody, until it is known whether a CRM took that
    metadata,
    Column("id", Id, primary_key=True, autoincrement=True),
    Column("run", Text, nullable=False),
    Column("at", BigInteger, nullable=False),
    Column("person", Id, nullable=False),  # 0 once they are forgotten
    Column("pool", Text, nullable=False),  # "" where it was nobody's turn
    Column("member", Text, nullable=False),  # an address, or a queue
    Column("worth", BigInteger, nullable=False),  # hundredths, as in `value` of `turn`
    Column("records", Text, nullable=False),  # JSON: the owner's id and the one before, by the record's row id
)

hand_off = Table(
    "hand_off",  # each time somebody got an owner
    metadata,
    Column("id", Id, primary_key=True, autoincrement=True),
    Column("person", Id, nullable=False, index=True),
    Column("run", Text, nullable=False),
    Column("at", BigInteger, nullable=False),
    Column("owner", Text, nullable=False),  # an address
    Column("route", Text, nullable=False),
    Column("pool", Text, nullable=False),  # "" where it was nobody's turn
    Column("stage", Text, nullable=False),
    Column("band", Text, nullable=False),
    Column("total", BigInteger, nullable=False),  # hundredths
    Column("model", Text, nullable=False),
    Column("why", Text, nullable=False, server_default=""),
    Column("rerouted", Boolean, nullable=False, server_default=false()),  # since the owner before was not in touch
    Column("overridden_at", BigInteger),  # when it was noticed that a user gave the person to somebody else
    Index("ix_hand_off_owner", "owner", "at"),
)

stage_entry = Table(
    "stage_entry",  # each time that a run saw somebody come into a stage, or up into the band of the hand-off
    metadata,
    Column("id", Id, primary_key=True, autoincrement=True),
    Column("person", Id, nullable=False, index=True),
    Column("run", Text, nullable=False),
    Column("at", BigInteger, nullable=False),
    Column("stage", Text, nullable=False),  # "" where they have none
    Column("band", Text, nullable=False),
    Column("total", BigInteger, nullable=False),  # hundredths, as are the next two
    Column("fit", BigInteger, nullable=False),
    Column("behavior", BigInteger, nullable=False),
    Column("ledger", LargeBinary),  # packed: see `ledgers`; sums to total; NULL once it is erased
    Column("model", Text, nullable=False),
    Column("owner", Text, nullable=False),  # an address; "" without one
)

task = Table(
    "task",  # what an owner is asked to do in the CRM
    metadata,
    Column("key", Text, primary_key=True),  # ours, on the CRM's task too
    Column("person", Id, nullable=False, index=True),
    Column("event", Text, nullable=False),
    Column("owner", Text, nullable=False),  # an address
    Column("run", Text, nullable=False),
    Column("at", BigInteger, nullable=False),
    Column("due", BigInteger, nullable=False),
    Column("body", Text, nullable=False, server_default=""),
    Column("crm", Text, nullable=False, server_default=""),  # "" until it was sent to one
    Column("task_id", Text, nullable=False, server_default=""),
    Column("state", Text, nullable=False),  # planned, sent, created, dropped, closed
    Column("reason", Text, nullable=False, server_default=""),
    Column("try_at", BigInteger, nullable=False, server_default="0"),
    Index("ix_task_open", "at", sqlite_where=OPEN, postgresql_where=OPEN),
)

owner = Table(
    "owner",  # who records can belong to, as of the last run
    metadata,
    Column("crm", Text, nullable=False),
    Column("id", Text, nullable=False),
    Column("email", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("active", Boolean, nullable=False),
    PrimaryKeyConstraint("crm", "id"),
)

member_list = Table(
    "member_list",  # the lists whose members the config leaves out, as they were last read
    metadata,
    Column("crm", Text, nullable=False),
    Column("asked", Text, nullable=False),  # how the config names it
    Column("list_id", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("version", Text, nullable=False),
    Column("read_at", BigInteger, nullable=False),
    PrimaryKeyConstraint("crm", "asked"),
)

membership = Table(
    "membership",
    metadata,
    Column("crm", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("ref_id", Text, nullable=False),
    Column("asked", Text, nullable=False),
    PrimaryKeyConstraint("crm", "kind", "ref_id", "asked"),
    Index("ix_membership_list", "crm", "asked"),
)

opportunity = Table(
    "opportunity",  # Salesforce opportunities and HubSpot deals
    metadata,
    Column("crm", Text, nullable=False),
    Column("id", Text, nullable=False),
    Column("state", Text, nullable=False),  # open, won, lost: what the CRM itself says
    Column("stage", Text, nullable=False),
    Column("pipeline", Text, nullable=False),
    Column("created_at", BigInteger),
    Column("closed_at", BigInteger),
    Column("changed_at", BigInteger, nullable=False),
    Column("value", Double),
    Column("currency", Text, nullable=False),
    Column("owner", Text, nullable=False),  # the CRM's id; "" without one
    Column("company", Text, nullable=False),  # the CRM's id; "" without one
    Column("lost_reason", Text, nullable=False),
    Column("source", Text, nullable=False),
    Column("campaign", Text, nullable=False),
    Column("came", Boolean, nullable=False, server_default=true()),  # since the last pull of everything began
    PrimaryKeyConstraint("crm", "id"),
)

opportunity_record = Table(
    "opportunity_record",  # which records an opportunity is about, as its CRM names them
    metadata,
    Column("crm", Text, nullable=False),
    Column("opportunity", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("ref_id", Text, nullable=False),
    PrimaryKeyConstraint("crm", "opportunity", "kind", "ref_id"),
    Index("ix_opportunity_record_ref_id", "ref_id", "kind"),
)

opportunity_stage = Table(
    "opportunity_stage",  # when an opportunity came into which stage, as far as its CRM keeps that
    metadata,
    Column("crm", Text, nullable=False),
    Column("id", Text, nullable=False),
    Column("stage", Text, nullable=False),
    Column("at", BigInteger, nullable=False),
    PrimaryKeyConstraint("crm", "id", "at", "stage"),
)

protected = Table(
    "protected",  # what a run or plan left as it is, though it wanted something else
    metadata,
    Column("run", Text, nullable=False),
    Column("record", Id, nullable=False),
    Column("field", Text, nullable=False),
    Column("why", Text, nullable=False),  # a word that is counted in the run
    Column("present", Text, nullable=False),  # JSON values
    Column("wanted", Text, nullable=False),
    Column("until", BigInteger),  # when a manual override ends
    PrimaryKeyConstraint("run", "record", "field"),
    Index("ix_protected_record", "record"),
)

model = Table(
    "model",
    metadata,
    Column("hash", Text, primary_key=True),
    Column("text", Text, nullable=False),
    Column("first_used", BigInteger, nullable=False),
)

model_version = Table(
    "model_version",  # each time that another config than before was adopted
    metadata,
    Column("id", Id, primary_key=True, autoincrement=True),
    Column("at", BigInteger, nullable=False),
    Column("hash", Text, nullable=False, server_default=""),  # of the config, whose text is in `model`
    Column("author", Text, nullable=False, server_default=""),
    Column("approver", Text, nullable=False, server_default=""),
    Column("reason", Text, nullable=False, server_default=""),
    Column("commit_id", Text, nullable=False, server_default=""),  # of the work tree that the file lies in
    Column("noted_at", BigInteger),  # when author or reason were noted
)

verdict = Table(
    "verdict",  # what a reviewer said of the score of somebody in a sample
    metadata,
    Column("person", Id, nullable=False),
    Column("sample", Text, nullable=False),  # its seed
    Column("at", BigInteger, nullable=False),
    Column("verdict", Text, nullable=False, server_default=""),  # right, too_high, too_low; "" for a note alone
    Column("note", Text, nullable=False, server_default=""),
    Column("band", Text, nullable=False, server_default=""),  # as it was in the sample
    PrimaryKeyConstraint("person", "sample"),
)

run = Table(
    "run",
    metadata,
    Column("id", Text, primary_key=True),
    Column("command", Text, nullable=False),
    Column("started", BigInteger, nullable=False),
    Column("ended", BigInteger),
    Column("model", Text, nullable=False),
    Column(
        "verdict", Text, nullable=False
    ),  # running, ok, partial, held, failed; of plans: preview, waiting, approved, superseded
    Column("result", Text, nullable=False, server_default="{}"),
    Column("config", Text, nullable=False, server_default=""),  # the hash of all that its decisions rest on
    Column("plan", Text, nullable=False, server_default="{}"),  # of a preview or held plan: its numbers and reasons
    Column("approved_at", BigInteger),
    Column("approved_by", Text, nullable=False, server_default=""),
    Index("ix_run_started", "started"),
)

alert = Table(
    "alert",  # what was told to be wrong (instants in milliseconds)
    metadata,
    Column("key", Text, primary_key=True),
    Column("title", Text, nullable=False),
    Column("began", BigInteger, nullable=False),
    Column("told", BigInteger, nullable=False),
    Column("ended", BigInteger),
    Column("quiet", BigInteger),  # since when it is back without being told
)

unsent_alert = Table(
    "unsent_alert",  # what an address of alerts has not heard yet
    metadata,
    Column("sink", Text, primary_key=True),  # a hash: the address is a secret
    Column("name", Text, nullable=False),
    Column("lines", Text, nullable=False),  # JSON
    Column("down_since", BigInteger),
)

change = Table(
    "change",
    metadata,
    Column("id", Id, primary_key=True, autoincrement=True),
    Column("run", Text, nullable=False),
    Column("record", Id, nullable=False),
    Column("crm", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("ref_id", Text, nullable=False),
    Column("crm_group", Text, nullable=False, server_default=""),
    Column("before", Text, nullable=False),
    Column("after", Text, nullable=False),
    Column("because", Text, nullable=False),  # "" where it is the reason that is written, in `after`
    Column("state", Text, nullable=False),  # planned, sent, updated, partly, rejected, edited, unknown
    Column("refused", Text, nullable=False, server_default="{}"),  # of a partly updated record: field → reason
    Column("reason", Text, nullable=False, server_default=""),
    Column("at", BigInteger, nullable=False),
    Column("overridden_at", BigInteger),  # when it was noticed that a user moved the stage of it back
    Column("is_move", Boolean, nullable=False, server_default=false()),  # into another stage or band
    Index("ix_change_move", "run", sqlite_where=text("is_move = 1"), postgresql_where=text("is_move")),
    Index("ix_change_run", "run", "crm", "state", "id"),
    Index("ix_change_record", "record"),
    Index(
        "ix_change_open",
        "crm",
        "id",
        sqlite_where=OPEN,
        postgresql_where=OPEN,
    ),
)
