/* SPDX-License-Identifier: Apache-2.0 */
/* Directives of Redis that mean nothing here: there is no fork, no file to rewrite, no replica, no
 * cluster, no memory that is given back. Clients, tools and files set them all the same, so they
 * are checked as Redis does, and remembered. What would change who is served or what is safe, and
 * cannot be had, is fixed: any other value is refused.
 */
#include "base/err.h"
#include "base/num.h"
#include "server/config.h"

#define BOOL(n, init)        .name = (n), .kind = CONFIG_BOOL, .max = 1, .initial = (init)
#define TEXT(n, init)        .name = (n), .kind = CONFIG_TEXT, .initial = (init)
#define CHOICE(n, init, all) .name = (n), .kind = CONFIG_CHOICE, .initial = (init), .choices = (all)
#define RANGE(n, what, lo, hi, init) \
    .name = (n), .kind = (what), .min = (uint64_t)(lo), .max = (hi), .initial = (init)
#define NUMBER(n, lo, hi, init)  RANGE(n, CONFIG_NUMBER, lo, hi, init)
#define SIGNED(n, lo, hi, init)  RANGE(n, CONFIG_SIGNED, lo, hi, init)
#define BYTES(n, lo, hi, init)   RANGE(n, CONFIG_BYTES, lo, hi, init)
#define PERCENT(n, lo, hi, init) RANGE(n, CONFIG_PERCENT, lo, hi, init)

/* Words that do not contradict each other. */
static int check_shutdown(const struct slice *args, size_t count, struct diag *diag)
{
    static const char *const words[] = {"default", "save", "nosave", "now", "force"};
    unsigned seen = 0;
    for (size_t i = 0; i < count; i++) {
        size_t at = 0;
        while (at < ARRAY_COUNT(words) && !slice_is(args[i], words[at]))
            at++;
        if (at == ARRAY_COUNT(words))
            return diag_set(diag, ERR_INVALID,
                            "argument(s) must be one of the following: default, save, nosave, now, "
                            "force");
        seen |= 1u << at;
    }
    if ((seen & 6) == 6)
        return diag_set(diag, ERR_INVALID,
                        "shutdown options SAVE and NOSAVE can't be used simultaneously");
    return 0;
}

/* Of the server, of a replica, of a child: each at least the one before. */
static int check_oom_values(const struct slice *args, size_t count, struct diag *diag)
{
    int64_t before = -2000;
    if (count != 3)
        return diag_set(diag, ERR_INVALID, "wrong number of arguments");
    for (size_t i = 0; i < count; i++) {
        int64_t value;
        if (!num_parse_i64(args[i], &value) || value < -2000 || value > 2000)
            return diag_set(
                diag, ERR_INVALID,
                "Invalid oom-score-adj-values, elements must be between -2000 and 2000.");
        if (value < before)
            return diag_set(diag, ERR_INVALID,
                            "Invalid oom-score-adj-values, each must be at least the one before");
        before = value;
    }
    return 0;
}

static const struct config_row rows[CONFIG_KNOWN] = {
    {CHOICE("acl-pubsub-default", "resetchannels", "allchannels, resetchannels"), .is_live = true},
    {TEXT("aclfile", ""), .is_fixed = true},
    {NUMBER("acllog-max-len", 0, INT64_MAX, "128"), .is_live = true},
    {NUMBER("active-defrag-cycle-max", 1, 99, "25"), .is_live = true},
    {NUMBER("active-defrag-cycle-min", 1, 99, "1"), .is_live = true},
    {BYTES("active-defrag-ignore-bytes", 1, INT64_MAX, "104857600"), .is_live = true},
    {NUMBER("active-defrag-max-scan-fields", 1, INT64_MAX, "1000"), .is_live = true},
    {NUMBER("active-defrag-threshold-lower", 0, 1000, "10"), .is_live = true},
    {NUMBER("active-defrag-threshold-upper", 0, 1000, "100"), .is_live = true},
    {NUMBER("active-expire-effort", 1, 10, "1"), .is_live = true},
    {BOOL("activedefrag", "no"), .is_live = true},
    {BOOL("activerehashing", "yes"), .is_live = true},
    {BOOL("always-show-logo", "no")},
    {BOOL("aof-disable-auto-gc", "no"), .is_live = true, .is_hidden = true},
    {BOOL("aof-load-truncated", "yes"), .is_live = true},
    {BOOL("aof-rewrite-incremental-fsync", "yes"), .is_live = true},
    {BOOL("aof-timestamp-enabled", "no"), .is_live = true},
    {BOOL("aof-use-rdb-preamble", "yes"), .is_live = true},
    {TEXT("aof_rewrite_cpulist", "")},
    {TEXT("appenddirname", "appendonlydir")},
    {TEXT("appendfilename", "appendonly.aof")},
    {BYTES("auto-aof-rewrite-min-size", 0, INT64_MAX, "67108864"), .is_live = true},
    {NUMBER("auto-aof-rewrite-percentage", 0, INT32_MAX, "100"), .is_live = true},
    {TEXT("bgsave_cpulist", "")},
    {TEXT("bind-source-addr", ""), .is_live = true},
    {TEXT("bio_cpulist", "")},
    {NUMBER("busy-reply-threshold", 0, INT64_MAX, "5000"), .is_live = true,
     .alias = "lua-time-limit"},
    {NUMBER("client-default-resp", 2, 3, "2"), .is_hidden = true},
    {BOOL("cluster-allow-pubsubshard-when-down", "yes"), .is_live = true},
    {BOOL("cluster-allow-reads-when-down", "no"), .is_live = true},
    {BOOL("cluster-allow-replica-migration", "yes"), .is_live = true},
    {NUMBER("cluster-announce-bus-port", 0, 65535, "0"), .is_live = true},
    {TEXT("cluster-announce-hostname", ""), .is_live = true},
    {TEXT("cluster-announce-human-nodename", ""), .is_live = true},
    {TEXT("cluster-announce-ip", ""), .is_live = true},
    {NUMBER("cluster-announce-port", 0, 65535, "0"), .is_live = true},
    {NUMBER("cluster-announce-tls-port", 0, 65535, "0"), .is_live = true},
    {TEXT("cluster-config-file", "nodes.conf")},
    {BOOL("cluster-enabled", "no"), .is_fixed = true},
    {BYTES("cluster-link-sendbuf-limit", 0, UINT64_MAX, "0"), .is_live = true},
    {NUMBER("cluster-migration-barrier", 0, INT32_MAX, "1"), .is_live = true},
    {NUMBER("cluster-node-timeout", 0, INT64_MAX, "15000"), .is_live = true},
    {NUMBER("cluster-ping-interval", 0, INT64_MAX, "0"), .is_live = true, .is_hidden = true},
    {NUMBER("cluster-port", 0, 65535, "0")},
    {CHOICE("cluster-preferred-endpoint-type", "ip", "ip, hostname, unknown-endpoint"),
     .is_live = true},
    {BOOL("cluster-replica-no-failover", "no"), .is_live = true,
     .alias = "cluster-slave-no-failover"},
    {NUMBER("cluster-replica-validity-factor", 0, INT32_MAX, "10"), .is_live = true,
     .alias = "cluster-slave-validity-factor"},
    {BOOL("cluster-require-full-coverage", "yes"), .is_live = true},
    {BOOL("crash-log-enabled", "yes"), .is_live = true},
    {BOOL("crash-memcheck-enabled", "yes"), .is_live = true},
    {TEXT("dbfilename", "dump.rdb"), .is_live = true},
    {BOOL("disable-thp", "yes")},
    {BOOL("dynamic-hz", "yes"), .is_live = true},
    {CHOICE("enable-module-command", "no", "no, yes, local"), .is_fixed = true},
    {CHOICE("enable-protected-configs", "yes", "no, yes, local")},
    {NUMBER("hash-max-listpack-entries", 0, INT64_MAX, "512"), .is_live = true,
     .alias = "hash-max-ziplist-entries"},
    {BYTES("hash-max-listpack-value", 0, INT64_MAX, "64"), .is_live = true,
     .alias = "hash-max-ziplist-value"},
    {BYTES("hll-sparse-max-bytes", 0, INT64_MAX, "3000"), .is_live = true},
    {TEXT("ignore-warnings", ""), .is_live = true},
    {BOOL("io-threads-do-reads", "no")},
    {BOOL("jemalloc-bg-thread", "yes"), .is_live = true},
    {SIGNED("key-load-delay", INT32_MIN, INT32_MAX, "0"), .is_live = true, .is_hidden = true},
    {BOOL("lazyfree-lazy-eviction", "no"), .is_live = true},
    {BOOL("lazyfree-lazy-expire", "no"), .is_live = true},
    {BOOL("lazyfree-lazy-server-del", "no"), .is_live = true},
    {BOOL("lazyfree-lazy-user-del", "no"), .is_live = true},
    {BOOL("lazyfree-lazy-user-flush", "no"), .is_live = true},
    {NUMBER("list-compress-depth", 0, INT32_MAX, "0"), .is_live = true},
    {SIGNED("list-max-listpack-size", INT32_MIN, INT32_MAX, "-2"), .is_live = true,
     .alias = "list-max-ziplist-size"},
    {NUMBER("loading-process-events-interval-bytes", 1024, INT32_MAX, "2097152"), .is_live = true,
     .is_hidden = true},
    {TEXT("locale-collate", ""), .is_live = true},
    {TEXT("masterauth", ""), .is_live = true},
    {TEXT("masteruser", ""), .is_live = true},
    {PERCENT("maxmemory-clients", 0, INT64_MAX, "0"), .is_live = true},
    {NUMBER("maxmemory-eviction-tenacity", 0, 100, "10"), .is_live = true},
    {NUMBER("maxmemory-samples", 1, INT32_MAX, "5"), .is_live = true},
    {NUMBER("min-replicas-max-lag", 0, INT32_MAX, "10"), .is_live = true,
     .alias = "min-slaves-max-lag"},
    {NUMBER("min-replicas-to-write", 0, INT32_MAX, "0"), .is_live = true,
     .alias = "min-slaves-to-write"},
    {BOOL("no-appendfsync-on-rewrite", "no"), .is_live = true},
    {CHOICE("oom-score-adj", "no", "no, yes, relative, absolute"), .is_live = true},
    {TEXT("oom-score-adj-values", "0 200 800"), .is_live = true, .takes_many = true,
     .check = check_oom_values},
    {TEXT("proc-title-template", "{title} {listen-addr} {server-mode}"), .is_live = true},
    {CHOICE("propagation-error-behavior", "ignore", "ignore, panic, panic-on-replicas"),
     .is_live = true},
    {BOOL("rdb-del-sync-files", "no"), .is_live = true},
    {SIGNED("rdb-key-save-delay", INT32_MIN, INT32_MAX, "0"), .is_live = true, .is_hidden = true},
    {BOOL("rdb-save-incremental-fsync", "yes"), .is_live = true},
    {BOOL("rdbchecksum", "yes")},
    {BOOL("rdbcompression", "yes"), .is_live = true},
    {BYTES("repl-backlog-size", 1, INT64_MAX, "1048576"), .is_live = true},
    {NUMBER("repl-backlog-ttl", 0, INT64_MAX, "3600"), .is_live = true},
    {BOOL("repl-disable-tcp-nodelay", "no"), .is_live = true},
    {CHOICE("repl-diskless-load", "disabled", "disabled, on-empty-db, swapdb"), .is_live = true},
    {BOOL("repl-diskless-sync", "yes"), .is_live = true},
    {NUMBER("repl-diskless-sync-delay", 0, INT32_MAX, "5"), .is_live = true},
    {NUMBER("repl-diskless-sync-max-replicas", 0, INT32_MAX, "0"), .is_live = true},
    {NUMBER("repl-ping-replica-period", 1, INT32_MAX, "10"), .is_live = true,
     .alias = "repl-ping-slave-period"},
    {NUMBER("repl-timeout", 1, INT32_MAX, "60"), .is_live = true},
    {TEXT("replica-announce-ip", ""), .is_live = true, .alias = "slave-announce-ip"},
    {NUMBER("replica-announce-port", 0, 65535, "0"), .is_live = true,
     .alias = "slave-announce-port"},
    {BOOL("replica-announced", "yes"), .is_live = true},
    {BOOL("replica-ignore-disk-write-errors", "no"), .is_live = true},
    {BOOL("replica-ignore-maxmemory", "yes"), .is_live = true, .alias = "slave-ignore-maxmemory"},
    {BOOL("replica-lazy-flush", "no"), .is_live = true, .alias = "slave-lazy-flush"},
    {NUMBER("replica-priority", 0, INT32_MAX, "100"), .is_live = true, .alias = "slave-priority"},
    {BOOL("replica-read-only", "yes"), .is_live = true, .alias = "slave-read-only"},
    {BOOL("replica-serve-stale-data", "yes"), .is_live = true, .alias = "slave-serve-stale-data"},
    {TEXT("replicaof", ""), .alias = "slaveof", .is_fixed = true, .takes_many = true},
    {CHOICE("sanitize-dump-payload", "no", "no, yes, clients"), .is_live = true},
    {TEXT("server_cpulist", "")},
    {NUMBER("set-max-intset-entries", 0, INT64_MAX, "512"), .is_live = true},
    {NUMBER("set-max-listpack-entries", 0, INT64_MAX, "128"), .is_live = true},
    {NUMBER("set-max-listpack-value", 0, INT64_MAX, "64"), .is_live = true},
    {BOOL("set-proc-title", "yes")},
    {TEXT("shutdown-on-sigint", "default"), .is_live = true, .takes_many = true,
     .check = check_shutdown},
    {TEXT("shutdown-on-sigterm", "default"), .is_live = true, .takes_many = true,
     .check = check_shutdown},
    {NUMBER("shutdown-timeout", 0, INT32_MAX, "10"), .is_live = true},
    {NUMBER("socket-mark-id", 0, UINT32_MAX, "0")},
    {BOOL("stop-writes-on-bgsave-error", "yes"), .is_live = true},
    {BYTES("stream-node-max-bytes", 0, INT64_MAX, "4096"), .is_live = true},
    {NUMBER("stream-node-max-entries", 0, INT64_MAX, "100"), .is_live = true},
    {BOOL("syslog-enabled", "no"), .is_fixed = true},
    {CHOICE("syslog-facility", "local0",
            "user, local0, local1, local2, local3, local4, local5, local6, local7")},
    {TEXT("syslog-ident", "redis")},
    {BOOL("use-exit-on-panic", "no"), .is_live = true, .is_hidden = true},
    {NUMBER("watchdog-period", 0, INT32_MAX, "0"), .is_live = true, .is_hidden = true},
    {NUMBER("zset-max-listpack-entries", 0, INT64_MAX, "128"), .is_live = true,
     .alias = "zset-max-ziplist-entries"},
    {BYTES("zset-max-listpack-value", 0, INT64_MAX, "64"), .is_live = true,
     .alias = "zset-max-ziplist-value"},
};

const struct config_row *config_known(size_t nth)
{
    return &rows[nth];
}
