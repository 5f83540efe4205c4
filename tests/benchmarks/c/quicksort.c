/* The algorithm of vmlab/programs/quicksort.vm. */
#include <stdint.h>
#include <stdlib.h>

static void shuffle(int64_t *a, int64_t n)
{
    uint64_t seed = 1;
    for (int64_t i = 0; i < n; i++) {
        seed = seed * 6364136223846793005u + 1442695040888963407u;
        int64_t j = (int64_t)(seed >> 33) % (i + 1);
        a[i] = a[j];
        a[j] = i;
    }
}

static void sort(int64_t *a, int64_t low, int64_t high)
{
    int64_t i = low, j = high, pivot = a[(low + high) >> 1];
    while (i <= j) {
        while (a[i] < pivot)
            i++;
        while (a[j] > pivot)
            j--;
        if (i <= j) {
            int64_t kept = a[i];
            a[i++] = a[j];
            a[j--] = kept;
        }
    }
    if (low < j)
        sort(a, low, j);
    if (i < high)
        sort(a, i, high);
}

/* n must be positive. */
int64_t vm_main(int64_t n)
{
    int64_t *a = calloc(n, sizeof *a);
    shuffle(a, n);
    sort(a, 0, n - 1);
    int64_t total = 0;
    for (int64_t i = 0; i < n; i++)
        total += i * a[i];
    free(a);
    return total;
}
