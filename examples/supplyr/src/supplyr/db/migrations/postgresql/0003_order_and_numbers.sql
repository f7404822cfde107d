-- Codes are found by their beginning, as a range: in the order of their characters, whatever the
-- language of the cluster. In most languages "25.62" comes after "25~".
ALTER TABLE codes
    ALTER COLUMN code TYPE TEXT COLLATE "C",
    ALTER COLUMN parent TYPE TEXT COLLATE "C"
--;
ALTER TABLE supplier_codes ALTER COLUMN code TYPE TEXT COLLATE "C"
