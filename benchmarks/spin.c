/* Burn CPU for so many microseconds of this thread's own time. Called with the GIL or without it. */
#include <time.h>

static double thread_us(void) {
    struct timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return now.tv_sec * 1e6 + now.tv_nsec * 1e-3;
}

void spin_us(double us) {
    double end = thread_us() + us;
    while (thread_us() < end) {
    }
}
