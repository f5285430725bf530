/* SPDX-License-Identifier: Apache-2.0 */
#include "command/families.h"

#include "command/transaction.h"

const struct command_family *const content_families[] = {
    &bitfield_family,      &bitmap_family,       &debug_family,       &dump_family,
    &expire_family,        &hyperloglog_family,  &keyspace_family,    &lcs_family,
    &memory_family,        &object_family,       &scan_family,        &string_family,
    &string_number_family, &string_range_family, &transaction_family,
};
const size_t content_family_count = ARRAY_COUNT(content_families);
