/* Two matrices of doubles multiplied, the product the next factor. */
#include "kernel.h"

#define N 48

static double a[N][N], b[N][N], c[N][N];

KERNEL run(uint32_t rounds) {
    uint32_t state = 1;
    for (int i = 0; i < N; i++)
        for (int j = 0; j < N; j++) {
            a[i][j] = (next(&state) >> 8) / 16777216.0 / N;
            b[i][j] = (next(&state) >> 8) / 16777216.0 / N;
        }
    while (rounds--) {
        for (int i = 0; i < N; i++)
            for (int j = 0; j < N; j++) {
                double sum = 0;
                for (int k = 0; k < N; k++) sum += a[i][k] * b[k][j];
                c[i][j] = sum;
            }
        for (int i = 0; i < N; i++)
            for (int j = 0; j < N; j++) a[i][j] = c[i][j] * 0.5 + 0.25;
    }
    double trace = 0;
    for (int i = 0; i < N; i++) trace += a[i][i];
    return (uint32_t)(trace * 1e6);
}
