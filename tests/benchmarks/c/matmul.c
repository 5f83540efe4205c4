/* The algorithm of vmlab/programs/matmul.vm. */
#include <stdint.h>
#include <stdlib.h>

double vm_main(int64_t n)
{
    double *a = calloc(n * n, sizeof *a);
    double *b = calloc(n * n, sizeof *b);
    double *c = calloc(n * n, sizeof *c);
    for (int64_t i = 0; i < n; i++)
        for (int64_t j = 0; j < n; j++) {
            a[i * n + j] = (double)(i + j);
            b[i * n + j] = (double)(i - j);
        }

    for (int64_t i = 0; i < n; i++)
        for (int64_t j = 0; j < n; j++) {
            double dot = 0;
            for (int64_t k = 0; k < n; k++)
                dot += a[i * n + k] * b[k * n + j];
            c[i * n + j] = dot;
        }

    double total = 0;
    for (int64_t i = 0; i < n * n; i++)
        total += c[i];
    free(a);
    free(b);
    free(c);
    return total;
}
