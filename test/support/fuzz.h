/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz: the entry every fuzz target defines. In fuzz builds libFuzzer calls it; in all others
 * fuzz_main.c replays the files of the corpus folder through it, as a plain test. */
#ifndef SUPPORT_FUZZ_H
#define SUPPORT_FUZZ_H

#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#endif
