\set product random(0, :products - 1)
\set key random(1, 9223372036854775806)
SELECT * FROM apply_update('check', :product, 1, :key, NULL);
