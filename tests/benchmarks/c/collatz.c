/* The algorithm of vmlab/programs/collatz.vm. */
#include <stdint.h>

int64_t vm_main(int64_t n)
{
    int64_t longest = 0, best = 0;
    for (int64_t start = 1; start < n; start++) {
        int64_t steps = 1;
        for (int64_t k = start; k != 1; steps++)
            k = k & 1 ? 3 * k + 1 : k >> 1;
        if (steps > longest) {
            longest = steps;
            best = start;
        }
    }
    return best;
}
