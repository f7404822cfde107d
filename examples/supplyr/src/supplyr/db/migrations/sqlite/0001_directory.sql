-- Suppliers and what belongs to them.
CREATE TABLE suppliers (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL CHECK (length(name) BETWEEN 1 AND 200),
    name_folded TEXT NOT NULL,
    description TEXT NOT NULL DEFAULT '',
    street TEXT NOT NULL DEFAULT '',
    address_extra TEXT NOT NULL DEFAULT '',
    city TEXT NOT NULL DEFAULT '',
    postcode TEXT NOT NULL DEFAULT '',
    region TEXT NOT NULL DEFAULT '',
    country TEXT NOT NULL DEFAULT '',
    phone TEXT NOT NULL DEFAULT '',
    email TEXT NOT NULL DEFAULT '',
    website TEXT NOT NULL DEFAULT '',
    vat_number TEXT NOT NULL DEFAULT '',
    latitude_deg DOUBLE PRECISION,
    longitude_deg DOUBLE PRECISION,
    -- The same place on the unit sphere: distances by arithmetic alone, in any dialect.
    sphere_x DOUBLE PRECISION,
    sphere_y DOUBLE PRECISION,
    sphere_z DOUBLE PRECISION,
    employees INTEGER,
    founded_year INTEGER,
    response_time_h INTEGER,
    updated_day INTEGER NOT NULL,
    -- What the supplier is called where it was imported from; "update existing" goes by it.
    external_ref TEXT,
    status TEXT NOT NULL DEFAULT 'active' CHECK (status IN ('active', 'archived', 'merged')),
    merged_into INTEGER REFERENCES suppliers (id),
    duplicate_check TEXT NOT NULL DEFAULT 'unchecked'
        CHECK (duplicate_check IN ('unchecked', 'clear', 'suspected')),
    ranking_score DOUBLE PRECISION NOT NULL DEFAULT 0,
    completeness DOUBLE PRECISION NOT NULL DEFAULT 0,
    version INTEGER NOT NULL DEFAULT 1,
    created_at_s DOUBLE PRECISION NOT NULL,
    updated_at_s DOUBLE PRECISION NOT NULL
)
--;
CREATE UNIQUE INDEX suppliers_by_external_ref ON suppliers (external_ref) WHERE external_ref IS NOT NULL
--;
CREATE INDEX suppliers_by_ranking ON suppliers (ranking_score DESC, id) WHERE status = 'active'
--;
CREATE INDEX suppliers_by_name ON suppliers (name_folded, id) WHERE status = 'active'
--;
CREATE INDEX suppliers_by_update ON suppliers (updated_at_s DESC, id) WHERE status = 'active'
--;
CREATE INDEX suppliers_by_country ON suppliers (country, ranking_score DESC, id) WHERE status = 'active'
--;
CREATE INDEX suppliers_by_region ON suppliers (country, region, ranking_score DESC, id) WHERE status = 'active'
--;
CREATE INDEX suppliers_by_place ON suppliers (latitude_deg, longitude_deg) WHERE status = 'active'
--;
CREATE INDEX suppliers_by_city ON suppliers (city) WHERE status = 'active'
--;
CREATE INDEX suppliers_by_vat ON suppliers (vat_number) WHERE vat_number <> ''
--;
-- The classification: NACE-like, "25" above "25.62".
CREATE TABLE codes (
    code TEXT PRIMARY KEY,
    parent TEXT REFERENCES codes (code),
    title TEXT NOT NULL,
    search_text TEXT NOT NULL DEFAULT ''
)
--;
CREATE TABLE supplier_codes (
    supplier_id INTEGER NOT NULL REFERENCES suppliers (id) ON DELETE CASCADE,
    code TEXT NOT NULL REFERENCES codes (code),
    PRIMARY KEY (supplier_id, code)
) WITHOUT ROWID
--;
CREATE INDEX supplier_codes_by_code ON supplier_codes (code, supplier_id)
--;
CREATE TABLE supplier_certificates (
    supplier_id INTEGER NOT NULL REFERENCES suppliers (id) ON DELETE CASCADE,
    certificate TEXT NOT NULL CHECK (length(certificate) BETWEEN 1 AND 40),
    PRIMARY KEY (supplier_id, certificate)
) WITHOUT ROWID
--;
CREATE INDEX supplier_certificates_by_certificate ON supplier_certificates (certificate, supplier_id)
--;
CREATE TABLE products (
    id INTEGER PRIMARY KEY,
    supplier_id INTEGER NOT NULL REFERENCES suppliers (id) ON DELETE CASCADE,
    sku TEXT NOT NULL,
    description TEXT NOT NULL,
    unit TEXT NOT NULL,
    price_cents BIGINT NOT NULL CHECK (price_cents > 0),
    currency TEXT NOT NULL,
    min_quantity INTEGER NOT NULL DEFAULT 1,
    updated_at_s DOUBLE PRECISION NOT NULL,
    UNIQUE (supplier_id, sku)
)
--;
-- Every word of the search index, in its folded form: what a misspelt one may have meant.
CREATE TABLE search_words (
    id INTEGER PRIMARY KEY,
    word TEXT NOT NULL UNIQUE
)
--;
CREATE VIRTUAL TABLE search_word_trigrams USING fts5 (
    word, content='search_words', content_rowid='id', tokenize='trigram', detail='none'
)
--;
CREATE TRIGGER search_words_added AFTER INSERT ON search_words BEGIN
    INSERT INTO search_word_trigrams (rowid, word) VALUES (new.id, new.word);
END
--;
CREATE TRIGGER search_words_removed AFTER DELETE ON search_words BEGIN
    INSERT INTO search_word_trigrams (search_word_trigrams, rowid, word) VALUES ('delete', old.id, old.word);
END
--;
-- One document a supplier (rowid is its id), of folded words; weights are given when it is asked.
CREATE VIRTUAL TABLE search_documents USING fts5 (
    name, products, codes, place, description,
    tokenize='unicode61', prefix='2 3 4'
)
--;
-- People, and programs in their name.
CREATE TABLE users (
    id INTEGER PRIMARY KEY,
    email TEXT NOT NULL UNIQUE,
    display_name TEXT NOT NULL,
    password_hash TEXT NOT NULL,
    role TEXT NOT NULL CHECK (role IN ('writer', 'admin')),
    created_at_s DOUBLE PRECISION NOT NULL,
    disabled_at_s DOUBLE PRECISION
)
--;
-- Of a session and of a key only the hash is kept: who reads the table cannot log in.
CREATE TABLE sessions (
    token_hash TEXT PRIMARY KEY,
    user_id INTEGER NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    created_at_s DOUBLE PRECISION NOT NULL,
    seen_at_s DOUBLE PRECISION NOT NULL,
    expires_at_s DOUBLE PRECISION NOT NULL
)
--;
CREATE INDEX sessions_by_user ON sessions (user_id)
--;
CREATE TABLE api_keys (
    id INTEGER PRIMARY KEY,
    user_id INTEGER NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    label TEXT NOT NULL,
    prefix TEXT NOT NULL UNIQUE,
    key_hash TEXT NOT NULL,
    created_at_s DOUBLE PRECISION NOT NULL,
    used_at_s DOUBLE PRECISION,
    revoked_at_s DOUBLE PRECISION
)
--;
CREATE INDEX api_keys_by_user ON api_keys (user_id)
--;
-- Wrong passwords by account and by address, shared by all processes of a server.
CREATE TABLE login_failures (
    subject TEXT PRIMARY KEY,
    failures INTEGER NOT NULL,
    failed_at_s DOUBLE PRECISION NOT NULL,
    blocked_until_s DOUBLE PRECISION NOT NULL
)
--;
-- The audit trail: each entry carries the hash of the one before it.
CREATE TABLE audit_entries (
    number BIGINT PRIMARY KEY,
    at_s DOUBLE PRECISION NOT NULL,
    actor TEXT NOT NULL,
    action TEXT NOT NULL,
    subject TEXT NOT NULL,
    detail_json TEXT NOT NULL,
    previous_hash TEXT NOT NULL,
    entry_hash TEXT NOT NULL
)
--;
CREATE INDEX audit_entries_by_subject ON audit_entries (subject, number)
--;
CREATE TRIGGER audit_entries_stay BEFORE UPDATE ON audit_entries BEGIN
    SELECT raise(ABORT, 'the audit trail is append-only');
END
--;
CREATE TRIGGER audit_entries_are_kept BEFORE DELETE ON audit_entries BEGIN
    SELECT raise(ABORT, 'the audit trail is append-only');
END
--;
-- Durable jobs. A runner takes one by writing its name and a lease into it.
CREATE TABLE jobs (
    id INTEGER PRIMARY KEY,
    kind TEXT NOT NULL,
    state TEXT NOT NULL DEFAULT 'queued'
        CHECK (state IN ('queued', 'running', 'done', 'failed', 'cancelled')),
    owner_id INTEGER REFERENCES users (id),
    -- A client's name for the request; the same name again is the same job.
    idempotency_key TEXT,
    request_hash TEXT NOT NULL DEFAULT '',
    payload_json TEXT NOT NULL DEFAULT '{}',
    result_json TEXT,
    error TEXT,
    progress_done BIGINT NOT NULL DEFAULT 0,
    progress_total BIGINT,
    progress_note TEXT NOT NULL DEFAULT '',
    rows_rejected BIGINT NOT NULL DEFAULT 0,
    attempts INTEGER NOT NULL DEFAULT 0,
    max_attempts INTEGER NOT NULL DEFAULT 3,
    not_before_s DOUBLE PRECISION NOT NULL DEFAULT 0,
    lease_owner TEXT,
    lease_until_s DOUBLE PRECISION,
    cancel_asked_at_s DOUBLE PRECISION,
    created_at_s DOUBLE PRECISION NOT NULL,
    started_at_s DOUBLE PRECISION,
    finished_at_s DOUBLE PRECISION
)
--;
CREATE UNIQUE INDEX jobs_by_idempotency_key ON jobs (kind, owner_id, idempotency_key)
    WHERE idempotency_key IS NOT NULL
--;
CREATE INDEX jobs_to_do ON jobs (not_before_s, id) WHERE state IN ('queued', 'running')
--;
CREATE INDEX jobs_by_owner ON jobs (owner_id, id)
--;
CREATE TABLE job_attempts (
    job_id INTEGER NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
    number INTEGER NOT NULL,
    runner TEXT NOT NULL,
    started_at_s DOUBLE PRECISION NOT NULL,
    ended_at_s DOUBLE PRECISION,
    outcome TEXT CHECK (outcome IN ('done', 'failed', 'cancelled', 'lost', 'stopped')),
    error TEXT,
    PRIMARY KEY (job_id, number)
)
--;
-- What a job has done for good: written in the transaction that did it, and not done again.
CREATE TABLE job_steps (
    job_id INTEGER NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
    step TEXT NOT NULL,
    attempt INTEGER NOT NULL,
    outcome_json TEXT NOT NULL DEFAULT '{}',
    done_at_s DOUBLE PRECISION NOT NULL,
    PRIMARY KEY (job_id, step)
)
--;
CREATE TABLE job_row_errors (
    job_id INTEGER NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
    row_number BIGINT NOT NULL,
    field TEXT NOT NULL,
    message TEXT NOT NULL,
    PRIMARY KEY (job_id, row_number, field)
) WITHOUT ROWID
--;
-- Files that jobs read (uploads) and write (exports): in the data folder, named by these rows.
CREATE TABLE job_files (
    id INTEGER PRIMARY KEY,
    job_id INTEGER NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
    role TEXT NOT NULL CHECK (role IN ('input', 'output')),
    path TEXT NOT NULL,
    file_name TEXT NOT NULL,
    media_type TEXT NOT NULL,
    size_bytes BIGINT NOT NULL,
    sha256 TEXT NOT NULL DEFAULT '',
    created_at_s DOUBLE PRECISION NOT NULL,
    deleted_at_s DOUBLE PRECISION
)
--;
CREATE INDEX job_files_by_job ON job_files (job_id)
--;
-- Pictures of suppliers and products, in the sizes that are shown.
CREATE TABLE images (
    id INTEGER PRIMARY KEY,
    supplier_id INTEGER NOT NULL REFERENCES suppliers (id) ON DELETE CASCADE,
    product_id INTEGER REFERENCES products (id) ON DELETE CASCADE,
    role TEXT NOT NULL DEFAULT 'logo' CHECK (role IN ('logo', 'photo')),
    sha256 TEXT NOT NULL,
    media_type TEXT NOT NULL,
    width_px INTEGER NOT NULL,
    height_px INTEGER NOT NULL,
    created_at_s DOUBLE PRECISION NOT NULL
)
--;
CREATE INDEX images_by_supplier ON images (supplier_id, role, id)
--;
CREATE TABLE image_sizes (
    image_id INTEGER NOT NULL REFERENCES images (id) ON DELETE CASCADE,
    size TEXT NOT NULL CHECK (size IN ('small', 'medium', 'large')),
    media_type TEXT NOT NULL DEFAULT 'image/png',
    content BLOB NOT NULL,
    PRIMARY KEY (image_id, size)
)
--;
-- Suspected duplicates: found on entry or by a full run, reviewed by people.
CREATE TABLE duplicate_clusters (
    id INTEGER PRIMARY KEY,
    job_id INTEGER REFERENCES jobs (id),
    state TEXT NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'merged', 'dismissed')),
    best_permille INTEGER NOT NULL DEFAULT 0,
    created_at_s DOUBLE PRECISION NOT NULL,
    decided_at_s DOUBLE PRECISION,
    decided_by INTEGER REFERENCES users (id)
)
--;
CREATE INDEX duplicate_clusters_by_state ON duplicate_clusters (state, best_permille DESC, id)
--;
CREATE TABLE duplicate_members (
    cluster_id INTEGER NOT NULL REFERENCES duplicate_clusters (id) ON DELETE CASCADE,
    supplier_id INTEGER NOT NULL REFERENCES suppliers (id) ON DELETE CASCADE,
    permille INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (cluster_id, supplier_id)
) WITHOUT ROWID
--;
CREATE INDEX duplicate_members_by_supplier ON duplicate_members (supplier_id)
--;
-- Pairs that somebody has looked at and found different; not suggested again.
CREATE TABLE duplicate_dismissals (
    first_id INTEGER NOT NULL REFERENCES suppliers (id) ON DELETE CASCADE,
    second_id INTEGER NOT NULL REFERENCES suppliers (id) ON DELETE CASCADE,
    dismissed_at_s DOUBLE PRECISION NOT NULL,
    PRIMARY KEY (first_id, second_id),
    CHECK (first_id < second_id)
) WITHOUT ROWID
--;
CREATE TABLE merges (
    id INTEGER PRIMARY KEY,
    cluster_id INTEGER REFERENCES duplicate_clusters (id),
    survivor_id INTEGER NOT NULL REFERENCES suppliers (id),
    merged_by INTEGER REFERENCES users (id),
    merged_at_s DOUBLE PRECISION NOT NULL,
    undone_at_s DOUBLE PRECISION,
    undone_by INTEGER REFERENCES users (id),
    -- The survivor as it was before, to go back to.
    survivor_before_json TEXT NOT NULL
)
--;
CREATE TABLE merge_members (
    merge_id INTEGER NOT NULL REFERENCES merges (id) ON DELETE CASCADE,
    supplier_id INTEGER NOT NULL REFERENCES suppliers (id),
    before_json TEXT NOT NULL,
    PRIMARY KEY (merge_id, supplier_id)
) WITHOUT ROWID
