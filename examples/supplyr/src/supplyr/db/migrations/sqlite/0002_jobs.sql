-- Attempts that failed or were lost; those that a server's end stopped do not count.
ALTER TABLE jobs ADD COLUMN failures INTEGER NOT NULL DEFAULT 0
--;
CREATE INDEX jobs_by_kind ON jobs (kind, state)
--;
-- Files that were uploaded to be imported: what was found in them, until somebody says how.
CREATE TABLE uploads (
    id INTEGER PRIMARY KEY,
    owner_id INTEGER NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    kind TEXT NOT NULL CHECK (kind IN ('suppliers', 'products')),
    supplier_id INTEGER REFERENCES suppliers (id) ON DELETE CASCADE,
    path TEXT NOT NULL,
    file_name TEXT NOT NULL,
    size_bytes BIGINT NOT NULL,
    sha256 TEXT NOT NULL,
    preview_json TEXT NOT NULL,
    created_at_s DOUBLE PRECISION NOT NULL
)
--;
CREATE INDEX uploads_by_owner ON uploads (owner_id, id)
--;
-- The duplicate check of one entry looks at its neighbours in the same postcode.
CREATE INDEX suppliers_by_postcode ON suppliers (postcode) WHERE status = 'active' AND postcode <> ''
--;
CREATE INDEX duplicate_clusters_by_job ON duplicate_clusters (job_id)
--;
CREATE INDEX images_by_content ON images (supplier_id, sha256)
