-- A partition's index comes under the index of its parent, which is valid once all have.

SET LOCAL lock_timeout = '5s';
ALTER INDEX {parent_index} ATTACH PARTITION {index};
