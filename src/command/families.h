/* SPDX-License-Identifier: Apache-2.0 */
/* families: the commands of this layer. Which of them a server has is the server's list.
 *
 * Ids are permanent and leave room: strings 1-99 (of them bitmaps 60-69, HyperLogLogs 70-79),
 * keyspace 100-199 (of which OBJECT 150-159, DEBUG 160-169, MEMORY 170-179),
 * transactions 200-219.
 */
#ifndef COMMAND_FAMILIES_H
#define COMMAND_FAMILIES_H

#include "command/command.h"

extern const struct command_family string_family;        /* GET SET MGET MSET ... */
extern const struct command_family string_number_family; /* INCR ... INCRBYFLOAT */
extern const struct command_family string_range_family;  /* APPEND STRLEN GETRANGE SETRANGE */
extern const struct command_family lcs_family;           /* LCS */
extern const struct command_family bitmap_family;        /* SETBIT BITCOUNT BITPOS BITOP ... */
extern const struct command_family bitfield_family;      /* BITFIELD BITFIELD_RO */
extern const struct command_family hyperloglog_family;   /* PFADD PFCOUNT PFMERGE ... */
extern const struct command_family keyspace_family;      /* DEL EXISTS RENAME COPY FLUSHALL ... */
extern const struct command_family expire_family;        /* EXPIRE TTL PERSIST ... */
extern const struct command_family scan_family;          /* KEYS SCAN */
extern const struct command_family object_family;        /* OBJECT */
extern const struct command_family dump_family;          /* DUMP RESTORE */
extern const struct command_family memory_family;        /* MEMORY USAGE */
extern const struct command_family debug_family;         /* DEBUG, the part of content */
/* transaction_family: command/transaction.h */

/* All of these: whatever can stand in a log is among them. */
extern const struct command_family *const content_families[];
extern const size_t content_family_count;

#endif
