/* SPDX-License-Identifier: Apache-2.0 */
#include "server/event_flags.h"

#include "store/event.h"

/* What A stands for. */
#define ALL                                                                            \
    (EVENT_GENERIC | EVENT_STRING | EVENT_LIST | EVENT_SET | EVENT_HASH | EVENT_ZSET | \
     EVENT_EXPIRED | EVENT_EVICTED | EVENT_STREAM | EVENT_MODULE)

static const struct {
    char letter;
    unsigned class;
} letters[] = {
    {'g', EVENT_GENERIC}, {'$', EVENT_STRING}, {'l', EVENT_LIST},    {'s', EVENT_SET},
    {'h', EVENT_HASH},    {'z', EVENT_ZSET},   {'x', EVENT_EXPIRED}, {'e', EVENT_EVICTED},
    {'t', EVENT_STREAM},  {'d', EVENT_MODULE}, {'n', EVENT_NEW},     {'K', EVENT_IN_KEYSPACE},
    {'E', EVENT_BY_NAME}, {'m', EVENT_MISS},
};

static unsigned class_of(uint8_t letter)
{
    for (size_t i = 0; i < ARRAY_COUNT(letters); i++) {
        if (letters[i].letter == (char)letter)
            return letters[i].class;
    }
    return letter == 'A' ? ALL : 0;
}

bool event_flags_parse(struct slice text, unsigned *out_classes)
{
    unsigned classes = 0;
    for (size_t i = 0; i < text.len; i++) {
        unsigned class = class_of(text.data[i]);
        if (class == 0)
            return false;
        classes |= class;
    }
    *out_classes = classes;
    return true;
}

void event_flags_format(unsigned classes, struct buf *to)
{
    if ((classes & ALL) == ALL) {
        buf_append_byte(to, 'A');
        classes &= ~(unsigned)ALL;
    }
    for (size_t i = 0; i < ARRAY_COUNT(letters); i++) {
        if ((classes & letters[i].class) != 0)
            buf_append_byte(to, (uint8_t)letters[i].letter);
    }
}
