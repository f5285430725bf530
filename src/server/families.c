/* SPDX-License-Identifier: Apache-2.0 */
/* Every family of commands there is. */
#include "command/families.h"

#include "command/transaction.h"
#include "server/server.h"

const struct command_family *const server_families[] = {
    &admin_family,       &bitfield_family,    &bitmap_family,        &client_family,
    &cluster_family,     &command_family,     &config_family,        &connection_family,
    &debug_family,       &dump_family,        &expire_family,        &hyperloglog_family,
    &info_family,        &keyspace_family,    &latency_family,       &lcs_family,
    &lolwut_family,      &memory_family,      &monitor_family,       &multi_family,
    &object_family,      &publish_family,     &pubsub_family,        &save_family,
    &ferricstore_family, &scan_family,        &server_debug_family,  &server_memory_family,
    &slowlog_family,     &string_family,      &string_number_family, &string_range_family,
    &tracking_family,    &transaction_family, &wait_family,          &watch_family,
};
const size_t server_family_count = ARRAY_COUNT(server_families);
