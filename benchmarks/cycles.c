/* Cycles of computing (or sleeping) with the interpreter's lock and without it; adds up how long each took. */
#include <time.h>

extern void *PyEval_SaveThread(void);
extern void PyEval_RestoreThread(void *);

static double now_s(clockid_t clock) {
    struct timespec now;
    clock_gettime(clock, &now);
    return now.tv_sec + now.tv_nsec * 1e-9;
}

static void spin(double seconds) {
    double end = now_s(CLOCK_THREAD_CPUTIME_ID) + seconds;
    while (now_s(CLOCK_THREAD_CPUTIME_ID) < end) {
    }
}

static void doze(double seconds) {
    struct timespec left = {(time_t)seconds, (long)((seconds - (time_t)seconds) * 1e9)};
    nanosleep(&left, 0);
}

/* sums: seconds and CPU seconds with the lock, without it, and taking it again. Called with the lock. */
void cycles(double held_s, double free_s, int sleeps, long count, volatile double *sums) {
    double wall = now_s(CLOCK_MONOTONIC), cpu = now_s(CLOCK_THREAD_CPUTIME_ID);
    for (long at = 0; at < count; at++) {
        spin(held_s);
        for (int part = 0; part < (free_s > 0 ? 3 : 1); part++) {
            static __thread void *state;
            if (part == 1) {
                state = PyEval_SaveThread();
                if (sleeps) {
                    doze(free_s);
                } else {
                    spin(free_s);
                }
            } else if (part == 2) {
                PyEval_RestoreThread(state);
            }
            double wall_after = now_s(CLOCK_MONOTONIC), cpu_after = now_s(CLOCK_THREAD_CPUTIME_ID);
            sums[2 * part] += wall_after - wall;
            sums[2 * part + 1] += cpu_after - cpu;
            wall = wall_after;
            cpu = cpu_after;
        }
    }
}
