/* SPDX-License-Identifier: Apache-2.0 */
/* Only what is safe in a signal handler happens here: write(2), numbers turned to text by hand, and
 * the unwinder, which was loaded when the handlers were installed. No lock is taken, nothing is
 * allocated.
 *
 * The thread that crashes first reports, its own stack first. Then it asks the others for theirs,
 * one by one, by a signal, and a thread that has answered does nothing more: what it knows may be
 * wrong. One that does not answer in a while (it may wait for a disk) is passed over, one of the
 * kernel's (io_uring has some) at once: it hears no signal. A second crash meanwhile, of the
 * reporting thread, ends the process at once; of another one, it waits for the end there.
 *
 * The end is the signal's own: its action is put back, and it comes again by itself (the faulting
 * instruction is tried again; abort() raises it a second time) or is sent again.
 */
#include "os/crash.h"

#include <execinfo.h>
#include <fcntl.h>
#include <link.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/mem.h"

#define STACK_SIZE   65536
#define MAX_FRAMES   48
#define BUILD_ID_MAX 20
#define ASK_SIGNAL   SIGSYS /* not blocked by any thread, see thread_start() */
#define ASK_TRIES    5000   /* of a millisecond, for a thread */
#define ALL_TRIES    10000  /* for all of them */
#define NAME_SIZE    17     /* of a thread, with the line feed that the kernel puts behind it */

static const struct {
    int number;
    const char *name;
} signals[] = {{SIGSEGV, "SIGSEGV"},
               {SIGBUS, "SIGBUS"},
               {SIGFPE, "SIGFPE"},
               {SIGILL, "SIGILL"},
               {SIGABRT, "SIGABRT"}};

/* A handler is given nothing: what it needs lies here. */
static struct crash {
    int fd;
    char program[160];
    char path[256]; /* of the executable */
    uint8_t build_id[BUILD_ID_MAX];
    size_t build_id_size;
    uintptr_t base; /* where the executable was loaded, */
    uintptr_t end;
    time_t start_s;
    _Atomic int reporter; /* thread; 0: none yet */
    _Atomic int asked;
    _Atomic bool has_answered;
    int tries_left;
} crash;

/* ---- Text ---- */

struct text {
    size_t len;
    char bytes[256];
};

static void put(struct text *text, const char *word)
{
    while (*word != '\0' && text->len < sizeof(text->bytes))
        text->bytes[text->len++] = *word++;
}

static void put_number(struct text *text, uint64_t value, unsigned radix)
{
    char digits[24];
    size_t at = sizeof(digits) - 1;
    digits[at] = '\0';
    do {
        digits[--at] = "0123456789abcdef"[value % radix];
        value /= radix;
    } while (value > 0);
    put(text, digits + at);
}

static void put_address(struct text *text, uintptr_t address)
{
    put(text, "0x");
    put_number(text, address, 16);
}

static void send_to(int fd, const struct text *text)
{
    IGNORE(write(fd, text->bytes, text->len), "there is nobody left to tell");
}

static void send(struct text *text)
{
    send_to(crash.fd, text);
    if (crash.fd != STDERR_FILENO)
        send_to(STDERR_FILENO, text);
    text->len = 0;
}

/* ---- Stacks ---- */

static bool is_ours(uintptr_t address)
{
    return address >= crash.base && address < crash.end;
}

static void send_frames(void *const *frames, int count)
{
    struct text text = {.len = 0};
    for (int i = 0; i < count; i++) {
        uintptr_t address = (uintptr_t)frames[i];
        put(&text, "  ");
        put_address(&text, address);
        if (is_ours(address)) {
            put(&text, " ferric-server+");
            put_address(&text, address - crash.base);
        }
        put(&text, "\n");
        send(&text);
    }
}

/* What turns the addresses into lines of the source. */
static void send_hint(void *const *frames, int count)
{
    struct text text = {.len = 0};
    put(&text, "lines: addr2line -fpie ");
    put(&text, crash.path);
    for (int i = 0; i < count && text.len < sizeof(text.bytes) - 32; i++) {
        if (!is_ours((uintptr_t)frames[i]))
            continue;
        put(&text, " ");
        put_address(&text, (uintptr_t)frames[i] - crash.base);
    }
    put(&text, "\n");
    send(&text);
}

/* ---- Threads ---- */

static int thread_id(void)
{
    return (int)syscall(SYS_gettid);
}

static void read_name(int id, char to[NAME_SIZE])
{
    struct text path = {.len = 0};
    put(&path, "/proc/self/task/");
    put_number(&path, (uint64_t)id, 10);
    put(&path, "/comm");
    path.bytes[path.len] = '\0';
    int fd = open(path.bytes, O_RDONLY | O_CLOEXEC);
    ssize_t len = fd < 0 ? 0 : read(fd, to, NAME_SIZE - 1);
    if (fd >= 0)
        close(fd);
    len = len < 0 ? 0 : len;
    to[len > 0 && to[len - 1] == '\n' ? len - 1 : len] = '\0';
}

static void put_thread(struct text *text, int id, const char *name)
{
    put(text, "thread ");
    put_number(text, (uint64_t)id, 10);
    put(text, " (");
    put(text, name);
    put(text, ")");
}

static void wait_for_the_end(void)
{
    const struct timespec day = {.tv_sec = 86400};
    for (;;)
        nanosleep(&day, NULL);
}

static void on_asked(int number)
{
    (void)number;
    if (atomic_load(&crash.asked) != thread_id())
        return;
    void *frames[MAX_FRAMES];
    send_frames(frames, backtrace(frames, MAX_FRAMES));
    atomic_store(&crash.has_answered, true);
    wait_for_the_end();
}

static void ask(int id)
{
    const struct timespec while_waiting = {.tv_nsec = 1000000};
    struct text text = {.len = 0};
    char name[NAME_SIZE];
    read_name(id, name);
    put_thread(&text, id, name);
    bool is_kernels = strncmp(name, "iou-", 4) == 0;
    put(&text, is_kernels ? ": one of the kernel's\n" : ":\n");
    send(&text);
    if (is_kernels)
        return;
    atomic_store(&crash.has_answered, false);
    atomic_store(&crash.asked, id);
    if (syscall(SYS_tgkill, getpid(), id, ASK_SIGNAL) != 0)
        return;
    for (int i = 0; i < ASK_TRIES && !atomic_load(&crash.has_answered); i++) {
        if (crash.tries_left-- <= 0)
            break;
        nanosleep(&while_waiting, NULL);
    }
    if (atomic_load(&crash.has_answered))
        return;
    put(&text, "  does not answer\n");
    send(&text);
}

struct entry { /* as getdents64(2) gives it */
    uint64_t inode;
    int64_t next;
    uint16_t size;
    uint8_t type;
    char name[];
};

static void ask_all(const char *names, long size)
{
    for (long at = 0; at < size;) {
        struct entry entry;
        memcpy(&entry, names + at, sizeof(entry));
        int id = 0;
        for (const char *c = names + at + offsetof(struct entry, name); *c >= '0' && *c <= '9'; c++)
            id = id * 10 + (*c - '0');
        if (id > 0 && id != thread_id())
            ask(id);
        at += entry.size;
    }
}

static void send_other_threads(void)
{
    char names[2048];
    struct sigaction action = {.sa_flags = SA_ONSTACK | SA_RESTART};
    action.sa_handler = on_asked;
    sigaction(ASK_SIGNAL, &action, NULL);
    crash.tries_left = ALL_TRIES;
    int fd = open("/proc/self/task", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return;
    long size;
    while ((size = syscall(SYS_getdents64, fd, names, sizeof(names))) > 0)
        ask_all(names, size);
    close(fd);
}

/* ---- The report ---- */

static const char *name_of(int number)
{
    for (size_t i = 0; i < ARRAY_COUNT(signals); i++) {
        if (signals[i].number == number)
            return signals[i].name;
    }
    return "";
}

static void send_program(void)
{
    struct text text = {.len = 0};
    put(&text, "=== crash report ===\n");
    put(&text, crash.program);
    put(&text, "\nbuild ");
    for (size_t i = 0; i < crash.build_id_size; i++) {
        put_number(&text, crash.build_id[i] >> 4, 16);
        put_number(&text, crash.build_id[i] & 15, 16);
    }
    struct timespec now;
    clock_gettime(CLOCK_BOOTTIME, &now);
    put(&text, "\nprocess ");
    put_number(&text, (uint64_t)getpid(), 10);
    put(&text, ", up ");
    put_number(&text, (uint64_t)(now.tv_sec - crash.start_s), 10);
    put(&text, " s\n");
    send(&text);
}

static void send_cause(int number, const siginfo_t *info)
{
    struct text text = {.len = 0};
    put(&text, "signal ");
    put_number(&text, (uint64_t)number, 10);
    put(&text, " (");
    put(&text, name_of(number));
    if (info->si_code > 0) {
        put(&text, ") at address ");
        put_address(&text, (uintptr_t)info->si_addr);
    } else {
        put(&text, ") sent by process ");
        put_number(&text, (uint64_t)info->si_pid, 10);
    }
    put(&text, "\n");
    send(&text);
    const struct assert_failure *failure = assert_last_failure();
    if (failure == NULL)
        return;
    put(&text, "assertion failed: ");
    put(&text, failure->what);
    put(&text, " (");
    put(&text, failure->file);
    put(&text, ":");
    put_number(&text, (uint64_t)failure->line, 10);
    put(&text, ", ");
    put(&text, failure->func);
    put(&text, ")\n");
    send(&text);
}

static void report(int number, const siginfo_t *info)
{
    struct text text = {.len = 0};
    void *frames[MAX_FRAMES];
    send_program();
    send_cause(number, info);
    char name[NAME_SIZE];
    read_name(thread_id(), name);
    put_thread(&text, thread_id(), name);
    put(&text, ", which crashed:\n");
    send(&text);
    int count = backtrace(frames, MAX_FRAMES);
    send_frames(frames, count);
    send_hint(frames, count);
    send_other_threads();
    put(&text, "=== end of crash report ===\n");
    send(&text);
}

static void on_crash(int number, siginfo_t *info, void *context)
{
    (void)context;
    int reporter = 0;
    int self = thread_id();
    bool is_first = atomic_compare_exchange_strong(&crash.reporter, &reporter, self);
    if (!is_first && reporter != self)
        wait_for_the_end();
    if (is_first)
        report(number, info);
    struct sigaction action = {.sa_flags = 0};
    action.sa_handler = SIG_DFL;
    sigaction(number, &action, NULL);
    if (info->si_code <= 0)
        syscall(SYS_tgkill, getpid(), self, number);
}

/* ---- Before ---- */

static void note_build_id(const uint8_t *notes, size_t size)
{
    size_t at = 0;
    while (at + sizeof(ElfW(Nhdr)) <= size) {
        ElfW(Nhdr) note;
        memcpy(&note, notes + at, sizeof(note));
        size_t name_off = at + sizeof(note);
        size_t id_off = name_off + (((size_t)note.n_namesz + 3) & ~(size_t)3);
        if (note.n_type == NT_GNU_BUILD_ID && note.n_descsz <= BUILD_ID_MAX) {
            memcpy(crash.build_id, notes + id_off, note.n_descsz);
            crash.build_id_size = note.n_descsz;
            return;
        }
        at = id_off + (((size_t)note.n_descsz + 3) & ~(size_t)3);
    }
}

/* The first object is the executable. */
static int note_executable(struct dl_phdr_info *info, size_t size, void *ctx)
{
    (void)size;
    (void)ctx;
    crash.base = info->dlpi_addr;
    for (size_t i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *segment = &info->dlpi_phdr[i];
        uintptr_t begin = info->dlpi_addr + segment->p_vaddr;
        if (segment->p_type == PT_LOAD && begin + segment->p_memsz > crash.end)
            crash.end = begin + segment->p_memsz;
        if (segment->p_type == PT_NOTE && crash.build_id_size == 0)
            note_build_id((const uint8_t *)begin, segment->p_memsz);
    }
    return 1;
}

static void prepare(int fd, const char *program)
{
    crash.fd = fd;
    strncpy(crash.program, program, sizeof(crash.program) - 1);
    ssize_t len = readlink("/proc/self/exe", crash.path, sizeof(crash.path) - 1);
    crash.path[len < 0 ? 0 : len] = '\0';
    struct timespec now;
    clock_gettime(CLOCK_BOOTTIME, &now);
    crash.start_s = now.tv_sec;
    dl_iterate_phdr(note_executable, NULL);
    /* Loads the unwinder. */
    void *frame;
    backtrace(&frame, 1);
}

#ifdef FERRIC_SANITIZED
#    define IS_SANITIZED true
#else
#    define IS_SANITIZED false
#endif

void crash_install(int fd, const char *program)
{
    if (IS_SANITIZED)
        return;
    prepare(fd, program);
    /* Kept for good: the main thread ends with the process. */
    IGNORE(crash_stack_new(), "see above");
    struct sigaction action = {.sa_flags = SA_SIGINFO | SA_ONSTACK};
    action.sa_sigaction = on_crash;
    for (size_t i = 0; i < ARRAY_COUNT(signals); i++)
        sigaction(signals[i].number, &action, NULL);
}

void *crash_stack_new(void)
{
    if (IS_SANITIZED)
        return NULL;
    stack_t stack = {.ss_sp = mem_alloc(STACK_SIZE), .ss_size = STACK_SIZE};
    if (sigaltstack(&stack, NULL) == 0)
        return stack.ss_sp;
    mem_free(stack.ss_sp);
    return NULL;
}

void crash_stack_free(void *stack)
{
    if (stack == NULL)
        return;
    const stack_t none = {.ss_flags = SS_DISABLE};
    sigaltstack(&none, NULL);
    mem_free(stack);
}
