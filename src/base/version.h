/* SPDX-License-Identifier: Apache-2.0 */
/* version: of all programs of this tree. */
#ifndef BASE_VERSION_H
#define BASE_VERSION_H

#define FERRIC_VERSION "0.1.0"

#endif
