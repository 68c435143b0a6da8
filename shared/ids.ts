/**
 * Which host user ids the slots' user namespaces are mapped to.
 *
 * The default base, 0x70000000, is the start of a range that systemd's registry of user ids (UIDS-GIDS.md)
 * leaves to nobody: above it lie 4094 ranges, up to 0x7FFE0000, where systemd keeps ids for foreign images.
 * Below it are login users, adduser's subordinate ids (100000 to 600100000) and systemd-nspawn's containers
 * (524288 to 1879048191), so that neither another container engine nor a person shares an id with a slot.
 */

/** Ids of one slot: a container sees 0 to 65535. */
export const IDS_PER_SLOT = 65_536;

/** First id that no slot may use. */
export const ID_RANGE_END = 0x7ffe_0000;
