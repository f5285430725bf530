/* SPDX-License-Identifier: Apache-2.0 */
/* What port.c and port_read.c share. */
#ifndef ENGINE_PORT_INTERNAL_H
#define ENGINE_PORT_INTERNAL_H

#include "engine/engine_internal.h"

#define TEXT_LOG_FAILED                                                                           \
    "MISCONF The log on disk has failed, so nothing can be written: see the server's log, check " \
    "the disk and restart Ferric"
#define TEXT_DISK_FULL                                                                            \
    "MISCONF No space for the log on disk, so nothing can be written: free space on the volume; " \
    "no restart is needed"
#define TEXT_DATA_FULL                                                                     \
    "MISCONF Data files cannot be written (the server's log says why), so nothing can be " \
    "written: free space on the volume; no restart is needed"
#define TEXT_NO_MEMORY "OOM out of memory for this command"
#define TEXT_BAD_KEYS  "ERR a key is longer than 65535 bytes, or the number of keys is wrong"

enum read_outcome {
    READ_DONE,
    READ_COLD_FROZEN, /* a value is being read; the read has taken its place */
    READ_COLD_ALONE,  /* values are being read; it takes its place when they are there */
    READ_NEEDS_CLOCK,
    READ_TORN /* no instant could be had without asking the shards */
};

/* Runs a point read lock-free. DONE: the reply has been written. */
enum read_outcome port_read_now(struct port *port, const struct port_request *request,
                                struct reply *reply);

/* Reads old values that a write needs and that are neither in memory nor in the page cache (R19).
 * True if it has to wait: the write is submitted when they are there. */
bool port_prefetch(struct port *port, const struct port_request *request);

/* Adds the write to the batch. NULL, or the error's text (static or in `text`). */
const char *port_write(struct port *port, const struct port_request *request, char *text,
                       size_t text_size);

/* False when memory is out. */
bool port_add_write(struct port *port, const struct port_request *request,
                    const struct involved *involved, size_t size);
bool port_add_read(struct port *port, const struct port_request *request,
                   const struct involved *involved, enum batch_kind kind);

/* Gives bytes in flight back. */
void port_settle(struct port *port, size_t cost);

#endif
