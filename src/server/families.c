/* SPDX-License-Identifier: Apache-2.0 */
/* Every family of commands there is. */
#include "command/families.h"

#include "command/transaction.h"
#include "server/server.h"

const struct command_family *const server_families[] = {
    &admin_family,       &client_family,  &command_family,       &config_family,
    &connection_family,  &expire_family,  &info_family,          &keyspace_family,
    &latency_family,     &monitor_family, &slowlog_family,       &multi_family,
    &scan_family,        &string_family,  &string_number_family, &string_range_family,
    &transaction_family, &watch_family,
};
const size_t server_family_count = ARRAY_COUNT(server_families);
