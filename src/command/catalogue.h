/* SPDX-License-Identifier: Apache-2.0 */
/* catalogue: every row of a table, for what lists them or keeps something for each.
 *
 * Threads: any; a table is constant.
 */
#ifndef COMMAND_CATALOGUE_H
#define COMMAND_CATALOGUE_H

#include "command/command.h"

size_t command_count(const struct command_table *table); /* without subcommands */
/* Every row but internal ones, containers before their subcommands, by name. */
const struct command_row *command_at(const struct command_table *table, size_t idx);
size_t command_row_count(const struct command_table *table);

/* A small number for each name, from 0: rows of one name, internal ones too, share theirs. It means
 * nothing beyond the process. */
uint32_t command_number(const struct command_table *table, const struct command_row *row);
uint32_t command_numbers(const struct command_table *table);
const struct command_row *command_by_number(const struct command_table *table, uint32_t number);

#endif
