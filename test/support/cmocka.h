/* SPDX-License-Identifier: Apache-2.0 */
/* cmocka.h wants these headers before it, in this order. */
#ifndef SUPPORT_CMOCKA_H
#define SUPPORT_CMOCKA_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#endif
