-- No number comes again. Somebody may still have a group of duplicates before them that a later run
-- has replaced, and a merge that is undone gives pictures and products back by their numbers.
CREATE TABLE duplicate_cluster_numbers (last INTEGER NOT NULL)
--;
INSERT INTO duplicate_cluster_numbers (last) SELECT coalesce(max(id), 0) FROM duplicate_clusters
--;
-- Made anew: each copy refers to copies, and nothing refers to a table any more when it is dropped,
-- so nothing is deleted along with it.
CREATE TABLE products_kept (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
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
INSERT INTO products_kept (id, supplier_id, sku, description, unit, price_cents, currency, min_quantity, updated_at_s)
    SELECT id, supplier_id, sku, description, unit, price_cents, currency, min_quantity, updated_at_s
    FROM products ORDER BY id
--;
CREATE TABLE images_kept (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    supplier_id INTEGER NOT NULL REFERENCES suppliers (id) ON DELETE CASCADE,
    product_id INTEGER REFERENCES products_kept (id) ON DELETE CASCADE,
    role TEXT NOT NULL DEFAULT 'logo' CHECK (role IN ('logo', 'photo')),
    sha256 TEXT NOT NULL,
    media_type TEXT NOT NULL,
    width_px INTEGER NOT NULL,
    height_px INTEGER NOT NULL,
    created_at_s DOUBLE PRECISION NOT NULL
)
--;
INSERT INTO images_kept (id, supplier_id, product_id, role, sha256, media_type, width_px, height_px, created_at_s)
    SELECT id, supplier_id, product_id, role, sha256, media_type, width_px, height_px, created_at_s
    FROM images ORDER BY id
--;
CREATE TABLE image_sizes_kept (
    image_id INTEGER NOT NULL REFERENCES images_kept (id) ON DELETE CASCADE,
    size TEXT NOT NULL CHECK (size IN ('small', 'medium', 'large')),
    media_type TEXT NOT NULL DEFAULT 'image/png',
    content BLOB NOT NULL,
    PRIMARY KEY (image_id, size)
)
--;
INSERT INTO image_sizes_kept (image_id, size, media_type, content)
    SELECT image_id, size, media_type, content FROM image_sizes
--;
DROP TABLE image_sizes
--;
DROP TABLE images
--;
DROP TABLE products
--;
ALTER TABLE products_kept RENAME TO products
--;
ALTER TABLE images_kept RENAME TO images
--;
ALTER TABLE image_sizes_kept RENAME TO image_sizes
--;
CREATE INDEX images_by_supplier ON images (supplier_id, role, id)
--;
CREATE INDEX images_by_content ON images (supplier_id, sha256)
