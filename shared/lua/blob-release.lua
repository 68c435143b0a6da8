-- Ends one hold of a blob.
--
-- KEYS: holds, blobs of the holder, charges, holders, doomed
-- ARGV: holder, hex of the digest
-- Returns 1 when the holder had it.
return endHold(KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5], ARGV[1], ARGV[2])
