-- Records as the journals keep them, and those of each day (UTC) in a table of their own.
CREATE TABLE consentry.record (
    writer bytea NOT NULL CHECK (octet_length(writer) = 16),
    seq bigint NOT NULL CHECK (seq > 0),
    day date NOT NULL,
    at bigint NOT NULL,
    site text NOT NULL,
    event text NOT NULL,
    link bytea CHECK (octet_length(link) = 16),
    epoch text,
    core bytea NOT NULL,
    prev bytea NOT NULL CHECK (octet_length(prev) = 32),
    hash bytea NOT NULL CHECK (octet_length(hash) = 32),
    salt bytea CHECK (octet_length(salt) = 16),
    visitor bytea CHECK (octet_length(visitor) = 16),
    object bytea CHECK (octet_length(object) = 16),
    agent_name text,
    country text,
    referrer text,
    consent bytea CHECK (octet_length(consent) = 16),
    PRIMARY KEY (day, writer, seq)
) PARTITION BY RANGE (day);
CREATE INDEX record_link ON consentry.record (site, link, at) WHERE link IS NOT NULL;
CREATE INDEX record_visitor ON consentry.record (epoch, visitor) WHERE visitor IS NOT NULL;
CREATE INDEX record_writer ON consentry.record (writer, seq);
-- Holds, erasures and the like are few among many.
CREATE INDEX record_life ON consentry.record (event, writer, seq)
    WHERE event IN ('genesis', 'erased', 'retention.purged', 'hold.placed', 'hold.released');

CREATE TABLE consentry.checkpoint (
    writer bytea NOT NULL CHECK (octet_length(writer) = 16),
    seq bigint NOT NULL CHECK (seq > 0),
    at bigint NOT NULL,
    hash bytea NOT NULL CHECK (octet_length(hash) = 32),
    day text,
    root bytea CHECK (octet_length(root) = 32),
    signature bytea NOT NULL,
    key bytea NOT NULL CHECK (octet_length(key) = 32),
    PRIMARY KEY (writer, seq)
);

-- The last record of each journal that is here, and where what was purged of it ended.
CREATE TABLE consentry.writer (
    writer bytea PRIMARY KEY CHECK (octet_length(writer) = 16),
    seq bigint NOT NULL CHECK (seq >= 0),
    hash bytea NOT NULL CHECK (octet_length(hash) = 32),
    at timestamptz NOT NULL,
    cut_seq bigint,
    cut_hash bytea CHECK (octet_length(cut_hash) = 32),
    cut_key bytea CHECK (octet_length(cut_key) = 32)
);

-- Where two journals say to be the same: the first is in `record`, what the second has instead is here.
CREATE TABLE consentry.conflict (
    writer bytea NOT NULL CHECK (octet_length(writer) = 16),
    seq bigint NOT NULL,
    hash bytea NOT NULL CHECK (octet_length(hash) = 32),
    core bytea NOT NULL,
    seen_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (writer, seq, hash)
);

-- What a replica is asked to erase from its own journal.
CREATE TABLE consentry.erasure (
    id bigserial PRIMARY KEY,
    writer bytea NOT NULL CHECK (octet_length(writer) = 16),
    seqs bigint[] NOT NULL,
    why text NOT NULL,
    asked_at timestamptz NOT NULL DEFAULT now(),
    applied_at timestamptz
);
CREATE INDEX erasure_open ON consentry.erasure (writer, id) WHERE applied_at IS NULL;

-- Records that were emptied here and not in their journal: what is empty has the number of its line, below zero, for a
-- time.
CREATE TABLE consentry.purge (
    id bigserial PRIMARY KEY,
    site text NOT NULL,
    before_ms bigint NOT NULL,
    done_at timestamptz NOT NULL DEFAULT now()
);

-- Makes the table of a day. It runs as the owner, so that a replica needs no right to make tables; attaching blocks
-- neither readers nor writers, which `PARTITION OF` would.
CREATE FUNCTION consentry.make_day(wanted date) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $make_day$
DECLARE
    table_name text := 'record_' || to_char(wanted, 'YYYY_MM_DD');
BEGIN
    IF to_regclass('consentry.' || table_name) IS NOT NULL THEN
        RETURN;
    END IF;
    PERFORM pg_advisory_xact_lock(7166167, 2);
    IF to_regclass('consentry.' || table_name) IS NOT NULL THEN
        RETURN;
    END IF;
    EXECUTE format('CREATE TABLE consentry.%I (LIKE consentry.record INCLUDING DEFAULTS INCLUDING CONSTRAINTS)',
        table_name);
    EXECUTE format('ALTER TABLE consentry.record ATTACH PARTITION consentry.%I FOR VALUES FROM (%L) TO (%L)',
        table_name, wanted, wanted + 1);
END
$make_day$;
REVOKE EXECUTE ON FUNCTION consentry.make_day(date) FROM PUBLIC;

-- Drops the table of a day, as the owner.
CREATE FUNCTION consentry.drop_day(unwanted date) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $drop_day$
BEGIN
    EXECUTE format('DROP TABLE consentry.%I', 'record_' || to_char(unwanted, 'YYYY_MM_DD'));
END
$drop_day$;
REVOKE EXECUTE ON FUNCTION consentry.drop_day(date) FROM PUBLIC;
