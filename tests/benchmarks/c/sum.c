/* The algorithm of vmlab/programs/sum.vm. */
#include <stdint.h>

int64_t vm_main(int64_t n)
{
    int64_t total = 0;
    for (int64_t i = 0; i < n;) {
        i++;
        total += i;
    }
    return total;
}
