/* Integers sorted: quicksort from the middle, insertion sort for what is short. */
#include "kernel.h"

#define COUNT 2000

static uint32_t numbers[COUNT];

static void sort(uint32_t *from, uint32_t *to) {
    while (to - from > 16) {
        uint32_t pivot = from[(to - from) / 2], *low = from, *high = to - 1;
        while (low <= high) {
            while (*low < pivot) low++;
            while (*high > pivot) high--;
            if (low <= high) {
                uint32_t kept = *low;
                *low++ = *high;
                *high-- = kept;
            }
        }
        if (high - from < to - low) {
            sort(from, high + 1);
            from = low;
        } else {
            sort(low, to);
            to = high + 1;
        }
    }
    for (uint32_t *at = from + 1; at < to; at++) {
        uint32_t value = *at, *into = at;
        for (; into > from && into[-1] > value; into--) *into = into[-1];
        *into = value;
    }
}

KERNEL run(uint32_t rounds) {
    uint32_t state = 1, sum = 0;
    while (rounds--) {
        for (int i = 0; i < COUNT; i++) numbers[i] = next(&state);
        sort(numbers, numbers + COUNT);
        for (int i = 0; i < COUNT; i += 97) sum = sum * 31 + numbers[i];
    }
    return sum;
}
