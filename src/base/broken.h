/* SPDX-License-Identifier: Apache-2.0 */
/* broken: switches that break one promise each, to prove that the tests would notice.
 *
 * BROKEN(NAME) is false, at no cost, unless the program was built with -DFERRIC_BROKEN=BROKEN_NAME
 * (the option of the same name in CMake). Never shipped.
 */
#ifndef BASE_BROKEN_H
#define BASE_BROKEN_H

#define BROKEN_NOTHING         0
#define BROKEN_PUBLICATION_OFF 1 /* multi-row changes do not touch the publication word (R24) */
#define BROKEN_READ_NOT_QUEUED 2 /* a read does not wait behind its connection's writes (R29) */
#define BROKEN_ACK_UNSYNCED    3 /* a log write counts as durable without a sync (P1) */

#ifndef FERRIC_BROKEN
#    define FERRIC_BROKEN BROKEN_NOTHING
#endif

#define BROKEN(name) (FERRIC_BROKEN == BROKEN_##name)

#endif
