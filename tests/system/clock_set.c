/* SPDX-License-Identifier: Apache-2.0
 * A wall clock that a test sets, for each process of an office: it is ahead of the machine's by the
 * number of seconds in a file, which is mapped before the sandbox closes. The steady clock is the
 * machine's. Built by test_clock.py, and needed by a copy of the program.
 * OWNS nothing. PROCESS each role. TRUST none: a test's. SPEC clock_gettime(2).
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static const volatile int64_t *by_s;

__attribute__((constructor)) static void map(void)
{
    int fd = open(CLOCK_FILE, O_RDONLY | O_CLOEXEC);
    void *page = fd < 0 ? MAP_FAILED : mmap(NULL, sizeof(*by_s), PROT_READ, MAP_SHARED, fd, 0);
    by_s = page == MAP_FAILED ? NULL : page;
    if (fd >= 0) {
        close(fd);
    }
}

int clock_gettime(clockid_t which, struct timespec *at)
{
    int failed = (int)syscall(SYS_clock_gettime, which, at);
    if (failed == 0 && by_s != NULL &&
        (which == CLOCK_REALTIME || which == CLOCK_REALTIME_COARSE)) {
        at->tv_sec += *by_s;
    }
    return failed;
}

int gettimeofday(struct timeval *restrict at, void *restrict zone)
{
    struct timespec now;
    (void)zone;
    int failed = clock_gettime(CLOCK_REALTIME, &now);
    *at = (struct timeval){.tv_sec = now.tv_sec, .tv_usec = now.tv_nsec / 1000};
    return failed;
}

time_t time(time_t *at)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (at != NULL) {
        *at = now.tv_sec;
    }
    return now.tv_sec;
}
