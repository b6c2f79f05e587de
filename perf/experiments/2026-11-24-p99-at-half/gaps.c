/* gaps SECONDS: reads the clock without end, and tells how often more than 50 us lie between two readings: when the processor
   was somebody else's. cc -O2 gaps.c -o gaps; taskset -c 0 ./gaps 8 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static double now_ms(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * 1e3 + time.tv_nsec * 1e-6;
}

int main(int count, char **arguments) {
    const double bounds[] = {0.2, 0.5, 1, 2, 4, 8, 1e9};
    int gaps[7] = {0};
    double lost = 0, last = now_ms(), end = last + (count > 1 ? atof(arguments[1]) : 8) * 1e3;
    while (last < end) {
        double now = now_ms(), gap = now - last;
        last = now;
        if (gap > 0.05) {
            int at = 0;
            while (gap > bounds[at]) at++;
            gaps[at]++;
            lost += gap;
        }
    }
    printf("%.0f ms lost; gaps up to 0.2 ms: %d, 0.5: %d, 1: %d, 2: %d, 4: %d, 8: %d, longer: %d\n", lost, gaps[0], gaps[1],
           gaps[2], gaps[3], gaps[4], gaps[5], gaps[6]);
    return 0;
}
