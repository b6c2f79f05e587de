-- The job in PostgreSQL: three statements of one function, one transaction, one round trip.
CREATE TABLE products (
  id text PRIMARY KEY,
  available bigint NOT NULL CHECK (available >= 0),
  version bigint NOT NULL,
  last_updated timestamptz NOT NULL
) WITH (fillfactor = 50);

CREATE SEQUENCE offsets;

CREATE TABLE events (
  "offset" bigint PRIMARY KEY,
  store text NOT NULL,
  product text NOT NULL,
  delta bigint NOT NULL,
  available bigint NOT NULL,
  version bigint NOT NULL,
  at timestamptz NOT NULL
);

-- What was answered stands in the event.
CREATE TABLE idempotency (
  store text NOT NULL,
  product text NOT NULL,
  key text NOT NULL,
  "offset" bigint NOT NULL,
  PRIMARY KEY (store, product, key)
);

CREATE FUNCTION apply_update(the_store text, the_product text, change bigint, the_key text, expected bigint)
RETURNS TABLE (new_quantity bigint, new_version bigint, at timestamptz) LANGUAGE plpgsql AS $$
DECLARE
  this_offset bigint := nextval('offsets');
  now_is timestamptz := clock_timestamp();
  quantity bigint;
  its_version bigint;
BEGIN
  -- Waits for a transaction that is using the same key.
  INSERT INTO idempotency VALUES (the_store, the_product, the_key, this_offset) ON CONFLICT DO NOTHING;
  IF NOT FOUND THEN
    RETURN QUERY SELECT e.available, e.version, e.at FROM idempotency i JOIN events e USING ("offset")
      WHERE i.store = the_store AND i.product = the_product AND i.key = the_key;
    RETURN;
  END IF;
  UPDATE products SET available = available + change, version = version + 1, last_updated = now_is
    WHERE id = the_product AND (expected IS NULL OR version = expected)
    RETURNING available, version INTO quantity, its_version;
  IF NOT FOUND THEN
    RAISE EXCEPTION 'no such product, or not at version %', expected;
  END IF;
  INSERT INTO events VALUES (this_offset, the_store, the_product, change, quantity, its_version, now_is);
  RETURN QUERY SELECT quantity, its_version, now_is;
END $$;
