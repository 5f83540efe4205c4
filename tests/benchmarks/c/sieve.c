/* The algorithm of vmlab/programs/sieve.vm. */
#include <stdint.h>
#include <stdlib.h>

int64_t vm_main(int64_t n)
{
    int64_t *composite = calloc(n, sizeof *composite);
    for (int64_t i = 2; i * i < n; i++)
        if (!composite[i])
            for (int64_t j = i * i; j < n; j += i)
                composite[j] = 1;

    int64_t count = 0;
    for (int64_t i = 2; i < n; i++)
        if (!composite[i])
            count++;
    free(composite);
    return count;
}
