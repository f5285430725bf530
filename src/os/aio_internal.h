/* SPDX-License-Identifier: Apache-2.0 */
/* The two machines behind aio_open(). */
#ifndef OS_AIO_INTERNAL_H
#define OS_AIO_INTERNAL_H

#include "os/aio.h"

#define AIO_MAX_DEPTH 4096
#define AIO_MAX_WRITE ((size_t)1 << 30)

/* Fails unless a real direct, synchronous write in `dir` has come back well. */
MUST_CHECK
int aio_uring_open(const char *dir, unsigned depth, struct aio **out_aio, struct diag *diag);

MUST_CHECK
int aio_thread_open(unsigned depth, struct aio **out_aio, struct diag *diag);

#endif
