/* SPDX-License-Identifier: Apache-2.0 */
#include "server/config.h"

#include "base/assert.h"
#include "base/err.h"
#include "base/mem.h"
#include "base/num.h"
#include "server/event_flags.h"
#include "server/output_limits.h"

#define KB UINT64_C(1024)
#define MB (KB * 1024)
#define GB (MB * 1024)

#define NUMBER(id, n, live, lo, hi, init, text) \
    [id] = {.name = (n),                        \
            .kind = CONFIG_NUMBER,              \
            .is_live = (live),                  \
            .min = (lo),                        \
            .max = (hi),                        \
            .initial = (init),                  \
            .doc = (text)}
#define SIGNED(id, n, live, lo, hi, init, text) \
    [id] = {.name = (n),                        \
            .kind = CONFIG_SIGNED,              \
            .is_live = (live),                  \
            .min = (uint64_t)(lo),              \
            .max = (hi),                        \
            .initial = (init),                  \
            .doc = (text)}
#define OCTAL(id, n, live, hi, init, text) \
    [id] = {.name = (n),                   \
            .kind = CONFIG_OCTAL,          \
            .is_live = (live),             \
            .max = (hi),                   \
            .initial = (init),             \
            .doc = (text)}
#define BYTES(id, n, live, lo, hi, init, text) \
    [id] = {.name = (n),                       \
            .kind = CONFIG_BYTES,              \
            .is_live = (live),                 \
            .min = (lo),                       \
            .max = (hi),                       \
            .initial = (init),                 \
            .doc = (text)}
#define PERCENT(id, n, live, lo, hi, init, text) \
    [id] = {.name = (n),                         \
            .kind = CONFIG_PERCENT,              \
            .is_live = (live),                   \
            .min = (lo),                         \
            .max = (hi),                         \
            .initial = (init),                   \
            .doc = (text)}
#define BOOL(id, n, live, init, text) \
    [id] = {.name = (n),              \
            .kind = CONFIG_BOOL,      \
            .is_live = (live),        \
            .max = 1,                 \
            .initial = (init),        \
            .doc = (text)}
#define CHOICE(id, n, live, init, list, text) \
    [id] = {.name = (n),                      \
            .kind = CONFIG_CHOICE,            \
            .is_live = (live),                \
            .initial = (init),                \
            .choices = (list),                \
            .doc = (text)}
#define TEXT(id, n, live, many, init, text) \
    [id] = {.name = (n),                    \
            .kind = CONFIG_TEXT,            \
            .is_live = (live),              \
            .takes_many = (many),           \
            .initial = (init),              \
            .doc = (text)}

static const struct config_row rows[CONF_COUNT] = {
    CHOICE(CONF_APPENDFSYNC, "appendfsync", true, "always", "always, everysec, no",
           "Any value is taken, as tools for Redis set it, and it stays always: every acknowledged "
           "write is durable."),
    BOOL(CONF_APPENDONLY, "appendonly", true, "yes",
         "Either value is taken, as tools for Redis set it, and it stays yes: Ferric always writes "
         "its log."),
    TEXT(
        CONF_BACKUP_DIR, "backup-dir", true, false, "",
        "BGSAVE makes a backup in a new folder of this one, which must be there; empty: it makes a "
        "checkpoint only. On the filesystem of the data directory files are linked, not copied."),
    TEXT(CONF_BIND, "bind", false, true, "127.0.0.1 -::1",
         "Addresses to listen on. One with '-' in front may be missing."),
    NUMBER(CONF_CHECKPOINT_IDLE_MS, "checkpoint-idle-ms", false, 0, 3600000, "250",
           "A due checkpoint waits for so much quiet."),
    NUMBER(CONF_CHECKPOINT_INTERVAL_MS, "checkpoint-interval-ms", false, 1, 86400000, "10000",
           "A checkpoint is due so long after the first write since the last one."),
    NUMBER(CONF_CHECKPOINT_MAX_DELAY_MS, "checkpoint-max-delay-ms", false, 1, 86400000, "180000",
           "A due checkpoint waits no longer than this."),
    TEXT(CONF_CLIENT_OUTPUT_LIMIT, "client-output-buffer-limit", true, true,
         "normal 0 0 0 slave 268435456 67108864 60 pubsub 33554432 8388608 60",
         "For a class of clients, or several: close one with more queued for it than the first "
         "number, or than the second for as many seconds as the third says; 0: never. A client "
         "that does not read is not read from, so what is queued stays small by itself, but for "
         "messages to subscribers. There are no replicas (slave) to limit."),
    BYTES(CONF_CLIENT_QUERY_LIMIT, "client-query-buffer-limit", true, MB, UINT64_MAX, "1gb",
          "Close a client whose unfinished command is larger than this."),
    BOOL(CONF_DAEMONIZE, "daemonize", false, "no",
         "Only 'no': a service manager starts Ferric in the background."),
    NUMBER(CONF_DATABASES, "databases", false, 1, 1024, "16", "Number of databases."),
    BYTES(CONF_DATA_FILE_SIZE, "data-file-size", false, MB, 2 * GB, "256mb",
          "Data files are rotated at this size."),
    TEXT(CONF_DIR, "dir", false, false, "./data",
         "The data directory. It is made if it is missing, in a folder that is there. A relative "
         "path begins where the server was started; it is shown and kept as an absolute one."),
    PERCENT(CONF_DISK_FREE_LOW, "disk-free-low", true, 0, INT64_MAX, "0",
            "With less free space on the volume of the data directory, commands that may grow the "
            "data are refused; deletes go on. Bytes, or a percentage of the volume. 0: two log "
            "segments and 64mb, but no more than a tenth of the volume."),
    BYTES(CONF_DISK_RESERVE, "disk-reserve", false, 0, 1024 * GB, "96mb",
          "Size of a file in the data directory that is given up when the disk is full, so that "
          "deletes and checkpoints can be written; at most a sixteenth of the volume. 0: none."),
    CHOICE(CONF_ENABLE_DEBUG, "enable-debug-command", false, "no", "no, yes, local",
           "Whether DEBUG is served, which can hold all clients up and fill the memory. local: to "
           "connections from this machine and through the unix socket."),
    NUMBER(
        CONF_FLUSH_INTERVAL_MS, "flush-interval-ms", false, 1, 10000, "10",
        "A record waits no longer than this before it is handed to its data file. Durability does "
        "not depend on it."),
    NUMBER(CONF_FRAMES_IN_FLIGHT, "frames-in-flight", false, 0, 64, "0",
           "Durable log writes in flight; 0: 2 on up to two processors, 4 on more."),
    BYTES(CONF_HOT_MAX_VALUE, "hot-cache-max-value-size", true, 0, 512 * MB, "64kb",
          "Larger values are not kept in memory."),
    [CONF_HOT_MAX_VALUE].alias = "hot-cache-max-value",
    NUMBER(CONF_HZ, "hz", true, 1, 500, "10",
           "Only remembered: nothing is done so many times a second."),
    NUMBER(CONF_IO_THREADS, "io-threads", false, 0, 32, "0",
           "Threads that serve connections; 0: by the number of processors."),
    NUMBER(CONF_LATENCY_MONITOR_MS, "latency-monitor-threshold", true, 0, INT64_MAX, "0",
           "Milliseconds: a command that takes as long is an event for LATENCY; 0: none is."),
    BOOL(CONF_LATENCY_TRACKING, "latency-tracking", true, "yes",
         "Keep distributions of how long commands take, for LATENCY HISTOGRAM and INFO "
         "latencystats."),
    TEXT(CONF_LATENCY_PERCENTILES, "latency-tracking-info-percentiles", true, true, "50 99 99.9",
         "Percentiles that INFO latencystats shows."),
    NUMBER(CONF_LFU_DECAY_TIME, "lfu-decay-time", false, 0, 2147483647, "1",
           "Minutes after which a key's use counter falls by one."),
    NUMBER(CONF_LFU_LOG_FACTOR, "lfu-log-factor", false, 0, 2147483647, "10",
           "The larger, the more uses a step of the counter takes."),
    BYTES(CONF_LOG_BUDGET, "log-budget", false, MB, 1024 * GB, "1gb",
          "A checkpoint is taken when the log has grown to this."),
    CHOICE(CONF_LOG_FORMAT, "log-format", true, "legacy", "legacy, logfmt",
           "Lines of the server's log as Redis writes them, or as pairs of key and value."),
    BYTES(CONF_LOG_SEGMENT_SIZE, "log-segment-size", false, 256 * KB, GB, "64mb",
          "Size of a log segment, a power of two."),
    CHOICE(
        CONF_LOG_WRITER, "log-writer", false, "auto", "auto, io_uring, thread",
        "How the log is written: io_uring with direct I/O, or a thread with fdatasync. auto takes "
        "the first that works."),
    TEXT(CONF_LOGFILE, "logfile", false, false, "", "Where the server's log goes; empty: stdout."),
    CHOICE(CONF_LOGLEVEL, "loglevel", true, "notice", "debug, verbose, notice, warning, nothing",
           "What is logged."),
    NUMBER(CONF_MAX_CLIENTS, "maxclients", true, 1, 1000000, "10000",
           "Connections at a time. Lowered at the start to what the limit of open files allows."),
    NUMBER(CONF_MAX_CLOCK_STEP, "max-clock-step", false, 1, 86400, "60",
           "Seconds: a jump of the machine's clock by more is not followed."),
    BYTES(CONF_MAX_ENTRY_BYTES, "max-entry-bytes", false, 64 * KB, 256 * MB, "32mb",
          "The largest command that can be written; at most half a log segment."),
    BYTES(CONF_MAX_IN_FLIGHT, "max-inflight-bytes", false, MB, 64 * GB, "64mb",
          "Commands taken and not answered; beyond it clients are not read from."),
    BYTES(CONF_MAX_UNWRITTEN, "max-unwritten-bytes", false, MB, 64 * GB, "32mb",
          "Records of a shard not yet in their data file; beyond it no more is applied."),
    NUMBER(CONF_MERGE_COOLDOWN_MS, "merge-cooldown-ms", true, 0, 86400000, "60000",
           "After a merge a shard begins the next one no sooner."),
    NUMBER(
        CONF_MERGE_DEAD_PERCENT, "merge-dead-percent", true, 1, 100, "50",
        "A data file is merged when so much of it has been overwritten, deleted or has expired."),
    NUMBER(CONF_MERGE_MAX_FILES, "merge-max-files", true, 1, 1000, "10",
           "One merge takes so many files at most; all, when most of what is dead can only go so."),
    NUMBER(CONF_MERGE_MIN_AGE_MS, "merge-min-age-ms", true, 0, INT64_MAX, "3600000",
           "With merge-mode age: one of the files must have been full for so long."),
    BYTES(
        CONF_MERGE_MIN_DEAD_BYTES, "merge-min-dead-bytes", true, 0, 64 * GB, "128mb",
        "A data file with fewer dead bytes is not merged for them; half of data-file-size if that "
        "is less."),
    NUMBER(CONF_MERGE_MIN_FILES, "merge-min-files", true, 2, 1000, "2",
           "Small files are joined when there are so many."),
    NUMBER(CONF_MERGE_MIN_FREE_PERCENT, "merge-min-free-percent", true, 0, 99, "10",
           "A merge leaves so much of the disk's free space free, or does not begin."),
    CHOICE(CONF_MERGE_MODE, "merge-mode", true, "hot", "hot, bulk, age, off",
           "When data files are merged: at any time; in the hours of the merge window; in these if "
           "a file is old enough (merge-min-age-ms); or only by FERRICSTORE.MERGE."),
    BYTES(CONF_MERGE_RATE, "merge-rate-limit", true, 0, 64 * GB, "32mb",
          "Bytes a second that a merge reads and writes; 0: no limit. Set aside while more than "
          "half of the data files, and the log budget on top, is dead."),
    BYTES(CONF_MERGE_SMALL_FILE, "merge-small-file-size", true, 0, 64 * GB, "10mb",
          "Smaller data files are joined."),
    NUMBER(CONF_MERGE_WINDOW_END, "merge-window-end-hour", true, 0, 23, "4",
           "With merge-mode bulk or age: the hour (UTC) in which merges no longer begin."),
    NUMBER(CONF_MERGE_WINDOW_START, "merge-window-start-hour", true, 0, 23, "2",
           "With merge-mode bulk or age: the hour (UTC) from which merges begin."),
    TEXT(CONF_NOTIFY_EVENTS, "notify-keyspace-events", true, false, "",
         "Which events of keys are published: K (as __keyspace@<db>__:<key>), E (as "
         "__keyevent@<db>__:<event>), one of the two at least; g generic, $ strings, l lists, s "
         "sets, h hashes, z sorted sets, t streams, d modules, x expired, e evicted, A for all "
         "these; m keys not found, n new keys. Empty: none."),
    BYTES(CONF_MAXMEMORY, "maxmemory", true, 0, UINT64_MAX, "0",
          "Only remembered: memory has no limit but the machine's."),
    CHOICE(CONF_MAXMEMORY_POLICY, "maxmemory-policy", true, "noeviction",
           "volatile-lru, volatile-lfu, volatile-random, volatile-ttl, allkeys-lru, allkeys-lfu, "
           "allkeys-random, noeviction",
           "Only remembered: no key is ever evicted."),
    TEXT(CONF_PIDFILE, "pidfile", false, false, "",
         "Where the process id is written; empty: nowhere. If it cannot be, the log says so."),
    NUMBER(CONF_PORT, "port", true, 0, 65535, "6379",
           "TCP port; 0: none if there is a unix socket, else any that is free, named in the log."),
    BOOL(CONF_PROTECTED_MODE, "protected-mode", true, "yes",
         "Without a password, refuse connections that do not come from this machine."),
    BYTES(CONF_PROTO_MAX_BULK, "proto-max-bulk-len", true, MB, 512 * MB, "512mb",
          "Largest single argument of a request."),
    TEXT(CONF_REQUIREPASS, "requirepass", true, false, "", "The password; empty: none is needed."),
    TEXT(CONF_SAVE, "save", true, true, "",
         "Taken from files for Redis; there are no snapshots to schedule."),
    NUMBER(CONF_SHARD_THREADS, "shard-threads", false, 0, 31, "0",
           "Threads that execute; 0: by the number of processors."),
    NUMBER(CONF_SHARDS, "shards", false, 0, 64, "0",
           "Partitions of the data; fixed when the directory is made. 0: as the directory has, in "
           "a new one the number of processors."),
    NUMBER(CONF_SLOWLOG_MAX_LEN, "slowlog-max-len", true, 0, INT64_MAX, "128",
           "How many commands SLOWLOG keeps."),
    SIGNED(CONF_SLOWLOG_US, "slowlog-log-slower-than", true, -1, INT64_MAX, "10000",
           "Microseconds: SLOWLOG keeps commands that take longer; 0: all, -1: none. Below 1000 "
           "each command is timed alone, which costs a little."),
    CHOICE(CONF_SUPERVISED, "supervised", false, "no", "no, systemd, auto",
           "Tell systemd (Type=notify) when data is served, what a start is doing, and the end. "
           "auto: if it has asked for that."),
    NUMBER(CONF_TCP_BACKLOG, "tcp-backlog", false, 1, 65535, "511",
           "Connections waiting to be accepted."),
    NUMBER(CONF_TCP_KEEPALIVE, "tcp-keepalive", true, 0, 2147483647, "300",
           "Seconds after which a silent connection is probed; 0: never."),
    NUMBER(CONF_TIMEOUT, "timeout", true, 0, 2147483647, "0",
           "Seconds after which an idle connection is closed; 0: never."),
    NUMBER(
        CONF_TRACKING_MAX_KEYS, "tracking-table-max-keys", true, 0, INT64_MAX, "1000000",
        "Keys of which it is remembered that clients with CLIENT TRACKING have read them; beyond "
        "it some are forgotten, and their clients told so. 0: any number."),
    TEXT(CONF_UNIX_SOCKET, "unixsocket", false, false, "",
         "Path of a unix socket to listen on, too; empty: none."),
    OCTAL(CONF_UNIX_SOCKET_PERM, "unixsocketperm", false, 0777, "0",
          "Permissions of the unix socket; 0: as the umask leaves them."),
    NUMBER(CONF_WATCHDOG_MS, "watchdog-ms", false, 1, 60000, "50",
           "A turn of a loop that takes longer is counted in INFO."),
};

const struct config_row *config_row(enum config_id id)
{
    ASSERT(id < CONFIG_ROWS);
    return id < CONF_COUNT ? &rows[id] : config_known(id - CONF_COUNT);
}

const struct config_row *config_find(struct slice name, enum config_id *out_id)
{
    for (size_t i = 0; i < CONFIG_ROWS; i++) {
        const struct config_row *row = config_row((enum config_id)i);
        if (!slice_is(name, row->name) && (row->alias == NULL || !slice_is(name, row->alias)))
            continue;
        *out_id = (enum config_id)i;
        return row;
    }
    return NULL;
}

/* ---- Values ---- */

/* The nth word of a list; false behind the last. */
static bool nth_choice(const char *choices, uint64_t nth, struct slice *out_word)
{
    struct slice rest = slice_str(choices);
    for (uint64_t i = 0; rest.len > 0; i++) {
        const uint8_t *comma = memchr(rest.data, ',', rest.len);
        size_t len = comma == NULL ? rest.len : (size_t)(comma - rest.data);
        if (i == nth) {
            *out_word = slice_sub(rest, 0, len);
            return true;
        }
        rest = slice_sub(rest, len + strlen(", "), SIZE_MAX);
    }
    return false;
}

static int parse_choice(const struct config_row *row, struct slice arg, uint64_t *out,
                        struct diag *diag)
{
    struct slice word;
    for (uint64_t i = 0; nth_choice(row->choices, i, &word); i++) {
        if (slice_eq_nocase(arg, word)) {
            *out = i;
            return 0;
        }
    }
    return diag_set(diag, ERR_INVALID, "argument(s) must be one of the following: %s",
                    row->choices);
}

static int parse_signed(const struct config_row *row, struct slice arg, uint64_t *out,
                        struct diag *diag)
{
    int64_t number;
    if (!num_parse_i64(arg, &number))
        return diag_set(diag, ERR_INVALID, "argument couldn't be parsed into an integer");
    if (number < (int64_t)row->min || number > (int64_t)row->max)
        return diag_set(diag, ERR_INVALID, "argument must be between %lld and %lld inclusive",
                        (long long)row->min, (long long)row->max);
    *out = (uint64_t)number;
    return 0;
}

static int parse_number(const struct config_row *row, struct slice arg, uint64_t *out,
                        struct diag *diag)
{
    uint64_t v = 0;
    int64_t number;
    bool is_bytes = row->kind == CONFIG_BYTES || row->kind == CONFIG_PERCENT;
    bool is_good = is_bytes ? num_parse_bytes(arg, &v) : num_parse_i64(arg, &number);
    if (!is_bytes && is_good)
        v = number < 0 ? UINT64_MAX : (uint64_t)number; /* as far out of bounds */
    if (!is_good)
        return diag_set(diag, ERR_INVALID,
                        is_bytes ? "argument must be a memory value"
                                 : "argument couldn't be parsed into an integer");
    if (v < row->min || v > row->max)
        return diag_set(diag, ERR_INVALID, "argument must be between %llu and %llu inclusive",
                        (unsigned long long)row->min, (unsigned long long)row->max);
    *out = v;
    return 0;
}

static int parse_percent(const struct config_row *row, struct slice arg, uint64_t *out,
                         struct diag *diag)
{
    int64_t percent;
    if (num_parse_bytes(arg, out))
        return parse_number(row, arg, out, diag);
    if (arg.len < 2 || arg.data[arg.len - 1] != '%' ||
        !num_parse_i64(slice_sub(arg, 0, arg.len - 1), &percent) || percent < 0)
        return diag_set(diag, ERR_INVALID, "argument must be a memory or percent value");
    if (percent > 100)
        return diag_set(diag, ERR_INVALID, "percentage argument must be less or equal to 100");
    *out = (uint64_t)-percent;
    return 0;
}

static int parse_octal(const struct config_row *row, struct slice arg, uint64_t *out,
                       struct diag *diag)
{
    uint64_t v = 0;
    bool is_good = arg.len > 0 && arg.len <= 8;
    for (size_t i = 0; is_good && i < arg.len; i++) {
        is_good = arg.data[i] >= '0' && arg.data[i] <= '7';
        v = v * 8 + (arg.data[i] - '0');
    }
    if (!is_good)
        return diag_set(diag, ERR_INVALID, "argument must be octal digits, such as 770");
    if (v > row->max)
        return diag_set(diag, ERR_INVALID, "argument must be between 0 and %llo inclusive",
                        (unsigned long long)row->max);
    *out = v;
    return 0;
}

/* The next blank-separated word, taken off; empty at the end. */
static struct slice take_word(struct slice *text)
{
    while (text->len > 0 && text->data[0] == ' ')
        *text = slice_sub(*text, 1, SIZE_MAX);
    const uint8_t *blank = text->len == 0 ? NULL : memchr(text->data, ' ', text->len);
    struct slice word =
        slice_sub(*text, 0, blank == NULL ? text->len : (size_t)(blank - text->data));
    *text = slice_sub(*text, word.len, SIZE_MAX);
    return word;
}

/* Nothing, or pairs of seconds and changes, as so many words or within one. */
static bool are_save_points(const struct slice *args, size_t count)
{
    size_t numbers = 0;
    for (size_t i = 0; i < count; i++) {
        struct slice rest = args[i];
        for (struct slice word = take_word(&rest); word.len > 0; word = take_word(&rest)) {
            int64_t number;
            bool is_seconds = numbers++ % 2 == 0;
            if (!num_parse_i64(word, &number) || number < (is_seconds ? 1 : 0))
                return false;
        }
    }
    return numbers % 2 == 0;
}

/* Numbers from 0 to 100, as so many words or within one, appended to *to where there is one. */
static int read_percentiles(const struct slice *args, size_t count, struct buf *to,
                            struct diag *diag)
{
    size_t numbers = 0;
    for (size_t i = 0; i < count; i++) {
        struct slice rest = args[i];
        for (struct slice word = take_word(&rest); word.len > 0; word = take_word(&rest)) {
            double percentile;
            if (!num_parse_double(word, &percentile) || !(percentile >= 0 && percentile <= 100))
                return diag_set(diag, ERR_INVALID,
                                "latency-tracking-info-percentiles should be between 0.0 and 100.0 "
                                "inclusive");
            if (++numbers > CONFIG_MAX_PERCENTILES)
                return diag_set(diag, ERR_INVALID, "at most %d percentiles",
                                CONFIG_MAX_PERCENTILES);
            if (to != NULL)
                buf_append_format(to, "%s%.9g", to->len == 0 ? "" : " ", percentile);
        }
    }
    return 0;
}

size_t config_percentiles(const struct config *config,
                          double out_percentiles[CONFIG_MAX_PERCENTILES])
{
    struct slice rest = buf_slice(&config->values[CONF_LATENCY_PERCENTILES].text);
    size_t count = 0;
    for (struct slice word = take_word(&rest); word.len > 0; word = take_word(&rest)) {
        bool is_number = num_parse_double(word, &out_percentiles[count++]);
        ASSERT(is_number);
    }
    return count;
}

static int parse_by_kind(const struct config_row *row, struct slice arg, uint64_t *out,
                         struct diag *diag)
{
    switch (row->kind) {
    case CONFIG_NUMBER:
    case CONFIG_BYTES:
        return parse_number(row, arg, out, diag);
    case CONFIG_SIGNED:
        return parse_signed(row, arg, out, diag);
    case CONFIG_PERCENT:
        return parse_percent(row, arg, out, diag);
    case CONFIG_OCTAL:
        return parse_octal(row, arg, out, diag);
    case CONFIG_BOOL:
        *out = slice_is(arg, "yes");
        if (*out == 0 && !slice_is(arg, "no"))
            return diag_set(diag, ERR_INVALID, "argument must be 'yes' or 'no'");
        return 0;
    case CONFIG_CHOICE:
        return parse_choice(row, arg, out, diag);
    case CONFIG_TEXT:
        *out = 0;
        return 0;
    default:
        UNREACHABLE("all kinds of options are listed");
    }
}

static bool is_default(const struct config_row *row, const struct slice *args, size_t count)
{
    return count == 1 && slice_is(args[0], row->initial);
}

static int parse_value(enum config_id id, const struct slice *args, size_t count, uint64_t *out,
                       struct diag *diag)
{
    const struct config_row *row = config_row(id);
    if (count == 0 || (count > 1 && !row->takes_many))
        return diag_set(diag, ERR_INVALID, "wrong number of arguments");
    int rc = parse_by_kind(row, args[0], out, diag);
    if (rc == 0 && row->check != NULL)
        rc = row->check(args, count, diag);
    if (rc == 0 && row->is_fixed && !is_default(row, args, count))
        rc = diag_set(diag, ERR_INVALID, "not supported: only '%s' is taken", row->initial);
    struct output_limits limits = {0};
    if (id == CONF_CLIENT_OUTPUT_LIMIT)
        rc = output_limits_parse(&limits, args, count, diag);
    unsigned classes;
    if (id == CONF_NOTIFY_EVENTS && !event_flags_parse(args[0], &classes))
        rc = diag_set(diag, ERR_INVALID, "Invalid event class character. Use 'Ag$lshzxeKEtmdn'.");
    if (id == CONF_SAVE && !are_save_points(args, count))
        rc = diag_set(diag, ERR_INVALID, "Invalid save parameters");
    if (id == CONF_LATENCY_PERCENTILES)
        rc = read_percentiles(args, count, NULL, diag);
    if (rc == 0 && id == CONF_LOG_SEGMENT_SIZE && (*out & (*out - 1)) != 0)
        rc = diag_set(diag, ERR_INVALID, "argument must be a power of two");
    if (rc == 0 && id == CONF_DAEMONIZE && *out == 1)
        rc = diag_set(diag, ERR_INVALID,
                      "Ferric stays in the foreground: use a service manager, or '&' in a shell");
    return rc;
}

/* P1 is not for sale: these two are taken, because files and tools for Redis set them, and change
 * nothing. */
static bool is_against_promise(enum config_id id, uint64_t number)
{
    return (id == CONF_APPENDFSYNC && number != 0) || (id == CONF_APPENDONLY && number == 0);
}

int config_check(enum config_id id, const struct slice *args, size_t count, struct diag *diag)
{
    uint64_t number = 0;
    return parse_value(id, args, count, &number, diag);
}

/* Is said where the directive is met: its value does not show that it was. */
static void remark_on_promise(struct config *config, enum config_id id)
{
    buf_append_str(&config->remarks,
                   id == CONF_APPENDFSYNC
                       ? "appendfsync: writes are always durable before they are acknowledged; the "
                         "directive changes nothing\n"
                       : "appendonly no: Ferric always writes its log; the directive changes "
                         "nothing\n");
}

void config_remark(struct config *config, enum config_id id)
{
    const struct config_value *value = &config->values[id];
    if (id == CONF_SAVE && value->text.len > 0)
        buf_append_str(
            &config->remarks,
            "save: every write is durable by itself; there are no snapshots to schedule\n");
    if (id == CONF_MAXMEMORY && value->number > 0)
        buf_append_str(&config->remarks,
                       "maxmemory: no limit is enforced and nothing is evicted; the directive is "
                       "only remembered\n");
}

/* What is said of one class leaves the others as they are. */
static void set_output_limits(struct buf *text, const struct slice *args, size_t count)
{
    struct output_limits limits = {0};
    struct slice before = buf_slice(text);
    IGNORE(output_limits_parse(&limits, &before, 1, NULL), "written by us");
    IGNORE(output_limits_parse(&limits, args, count, NULL), "has been checked");
    text->len = 0;
    output_limits_format(&limits, text);
}

static void set_event_flags(struct buf *text, struct slice flags)
{
    unsigned classes;
    IGNORE(event_flags_parse(flags, &classes), "has been checked");
    text->len = 0;
    event_flags_format(classes, text);
}

static void set_text(enum config_id id, struct buf *text, const struct slice *args, size_t count)
{
    if (id == CONF_CLIENT_OUTPUT_LIMIT) {
        set_output_limits(text, args, count);
    } else if (id == CONF_NOTIFY_EVENTS) {
        set_event_flags(text, args[0]);
    } else if (id == CONF_LATENCY_PERCENTILES) {
        text->len = 0;
        IGNORE(read_percentiles(args, count, text, NULL), "has been checked");
    } else {
        text->len = 0;
        for (size_t i = 0; i < count; i++) {
            if (i > 0)
                buf_append_byte(text, ' ');
            buf_append_slice(text, args[i]);
        }
    }
    /* Here, and not when it is asked for: other threads read it. */
    buf_terminate(text);
}

int config_set(struct config *config, enum config_id id, const struct slice *args, size_t count,
               struct diag *diag)
{
    uint64_t number = 0;
    int rc = parse_value(id, args, count, &number, diag);
    if (rc != 0)
        return rc;
    if (is_against_promise(id, number)) {
        remark_on_promise(config, id);
        return 0;
    }
    struct config_value *value = &config->values[id];
    value->number = number;
    if (config_row(id)->kind == CONFIG_TEXT)
        set_text(id, &value->text, args, count);
    return 0;
}

const char *config_text(const struct config *config, enum config_id id)
{
    return (const char *)config->values[id].text.data;
}

void config_format(const struct config *config, enum config_id id, struct buf *to)
{
    const struct config_row *row = config_row(id);
    const struct config_value *value = &config->values[id];
    struct slice word = SLICE_EMPTY;
    switch (row->kind) {
    case CONFIG_NUMBER:
    case CONFIG_BYTES:
        buf_append_format(to, "%llu", (unsigned long long)value->number);
        break;
    case CONFIG_SIGNED:
        buf_append_format(to, "%lld", (long long)value->number);
        break;
    case CONFIG_PERCENT:
        if ((int64_t)value->number < 0)
            buf_append_format(to, "%lld%%", -(long long)value->number);
        else
            buf_append_format(to, "%llu", (unsigned long long)value->number);
        break;
    case CONFIG_OCTAL:
        buf_append_format(to, "%llo", (unsigned long long)value->number);
        break;
    case CONFIG_BOOL:
        buf_append_str(to, value->number != 0 ? "yes" : "no");
        break;
    case CONFIG_CHOICE:
        ASSERT(nth_choice(row->choices, value->number, &word));
        buf_append_slice(to, word);
        break;
    case CONFIG_TEXT:
        buf_append_slice(to, buf_slice(&value->text));
        break;
    default:
        UNREACHABLE("all kinds of options are listed");
    }
}

bool config_is_now(const struct config *config, enum config_id id, struct slice value)
{
    struct buf now = {0};
    config_format(config, id, &now);
    bool is_equal = slice_eq(buf_slice(&now), value);
    buf_fini(&now);
    return is_equal;
}

size_t config_words(const struct config_row *row, struct slice value,
                    struct slice words[CONFIG_MAX_WORDS])
{
    size_t count = 0;
    while (row->takes_many && count < CONFIG_MAX_WORDS - 1) {
        struct slice word = take_word(&value);
        if (word.len == 0)
            break;
        words[count++] = word;
    }
    while (row->takes_many && value.len > 0 && value.data[0] == ' ')
        value = slice_sub(value, 1, SIZE_MAX);
    if (count == 0 || value.len > 0)
        words[count++] = value;
    return count;
}

struct config *config_new(void)
{
    struct config *config = mem_calloc(1, sizeof(*config));
    lock_init(&config->lock);
    lock_init(&config->rewriting);
    for (size_t i = 0; i < CONFIG_ROWS; i++) {
        const struct config_row *row = config_row((enum config_id)i);
        ASSERT(row->name != NULL);
        struct slice words[CONFIG_MAX_WORDS];
        size_t count = config_words(row, slice_str(row->initial), words);
        int rc = config_set(config, (enum config_id)i, words, count, NULL);
        ASSERT(rc == 0);
    }
    return config;
}

void config_free(struct config *config)
{
    if (config == NULL)
        return;
    for (size_t i = 0; i < CONFIG_ROWS; i++)
        buf_fini(&config->values[i].text);
    buf_fini(&config->remarks);
    buf_fini(&config->renames);
    mem_free(config->path);
    lock_fini(&config->rewriting);
    lock_fini(&config->lock);
    mem_free(config);
}
