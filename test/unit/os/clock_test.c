/* SPDX-License-Identifier: Apache-2.0 */
#include "os/clock.h"

#include <time.h>

#include "os/os.h"
#include "support/cmocka.h"

static void wall_is_unix_time(void **state)
{
    (void)state;
    uint64_t before = (uint64_t)time(NULL);
    uint64_t now_ms = clock_wall_ms(clock_posix());
    uint64_t after = (uint64_t)time(NULL);
    assert_in_range(now_ms / 1000, before - 1, after + 1);
}

static void mono_never_goes_back_and_counts_microseconds(void **state)
{
    (void)state;
    struct clock *clock = clock_posix();
    uint64_t first_us = clock_mono_us(clock);
    uint64_t first_ms = clock_boot_ms(clock);
    uint64_t last_us = first_us;
    while (last_us < first_us + 30000) {
        uint64_t now_us = clock_mono_us(clock);
        assert_true(now_us >= last_us);
        last_us = now_us;
    }
    /* The same span by the other clock: units agree, however busy the machine is. */
    uint64_t span_ms = clock_boot_ms(clock) - first_ms;
    assert_in_range(span_ms, 29, 30000);
}

static void boot_is_not_behind_mono(void **state)
{
    (void)state;
    struct clock *clock = clock_posix();
    uint64_t mono_ms = clock_mono_us(clock) / 1000;
    assert_true(clock_boot_ms(clock) + 1 >= mono_ms);
}

static void chance_uses_all_bits(void **state)
{
    (void)state;
    uint64_t any = 0;
    uint64_t all = UINT64_MAX;
    for (int i = 0; i < 100; i++) {
        uint64_t word = chance_u64(chance_posix());
        any |= word;
        all &= word;
    }
    assert_true(any == UINT64_MAX);
    assert_true(all == 0);
}

static void os_posix_is_whole(void **state)
{
    (void)state;
    struct os os = os_posix();
    assert_ptr_equal(os.fs, fs_posix());
    assert_ptr_equal(os.clock, clock_posix());
    assert_ptr_equal(os.chance, chance_posix());
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(wall_is_unix_time),
        cmocka_unit_test(mono_never_goes_back_and_counts_microseconds),
        cmocka_unit_test(boot_is_not_behind_mono),
        cmocka_unit_test(chance_uses_all_bits),
        cmocka_unit_test(os_posix_is_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
