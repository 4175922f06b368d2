/* SPDX-License-Identifier: Apache-2.0
 * Keys and certificates of the real ssh-keygen, in a folder of their own that is removed again.
 * OWNS the folder. PROCESS tests. TRUST none. SPEC ssh-keygen(1).
 */
#ifndef SP_TESTS_SSH_KEYGEN_H
#define SP_TESTS_SSH_KEYGEN_H

#include "lib/base/mem.h"
#include "tests/unit/cm.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

static char keygen_folder[] = "/tmp/sallyport-keygen-XXXXXX";

static inline int keygen_setup(void **state)
{
    (void)state;
    return mkdtemp(keygen_folder) == NULL ? -1 : 0;
}

static inline void run_program(const char *const argv[])
{
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        int null = open("/dev/null", O_RDWR | O_CLOEXEC);
        dup2(null, 0);
        dup2(null, 1);
        if (chdir(keygen_folder) == 0) {
            execvp(argv[0], (char *const *)(uintptr_t)argv);
        }
        _exit(127);
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    if (status != 0) {
        fail_msg("%s ended with %d", argv[0], status);
    }
}

/* ssh-keygen with these arguments, in the folder. */
#define keygen(...) run_program((const char *const[]){"ssh-keygen", "-q", __VA_ARGS__, NULL})

static inline int keygen_teardown(void **state)
{
    (void)state;
    pid_t child = fork();
    if (child == 0) {
        execlp("rm", "rm", "-rf", "--", keygen_folder, (char *)NULL);
        _exit(127);
    }
    int status = 0;
    return waitpid(child, &status, 0) == child && status == 0 ? 0 : -1;
}

/* The first line of a file there, without its end. */
static inline sp_span keygen_line(const char *name, char *room, size_t size)
{
    char path[200];
    assert_true(snprintf(path, sizeof(path), "%s/%s", keygen_folder, name) < (int)sizeof(path));
    FILE *file = fopen(path, "re");
    assert_non_null(file);
    size_t got = fread(room, 1, size, file);
    (void)fclose(file);
    sp_span all = sp_span_of(room, got);
    return sp_span_slice(all, 0, sp_span_index(all, '\n'));
}

#endif
