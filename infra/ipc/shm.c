/* SPDX-License-Identifier: Apache-2.0
 * Shared memory by memfd.
 * OWNS mappings. PROCESS core, ledger, gates. TRUST received fds are hostile.
 * SPEC infra/ipc/shm.h.
 */
#include "infra/ipc/shm.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { SIZE_SEALS = F_SEAL_SHRINK | F_SEAL_GROW };

void sp_shm_done(sp_shm *shm)
{
    if (shm->ptr != NULL) {
        munmap(shm->ptr, shm->size_bytes);
        *shm = (sp_shm){0};
    }
}

static sp_err map(int fd, size_t size_bytes, int protection, sp_shm *ret_shm)
{
    void *ptr = mmap(NULL, size_bytes, protection, MAP_SHARED, fd, 0);
    if (ptr == MAP_FAILED) {
        return sp_fail(SP_EIO);
    }
    *ret_shm = (sp_shm){ptr, size_bytes};
    return sp_ok();
}

static sp_err make(const char *name, size_t size_bytes, unsigned late_seals, sp_shm *ret_shm,
                   int *ret_fd)
{
    auto_close int fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (size_bytes == 0 || size_bytes > INT64_MAX) {
        return sp_fail(SP_ELIMIT);
    }
    if (fd < 0 || ftruncate(fd, (off_t)size_bytes) != 0) {
        return sp_fail(SP_EIO);
    }
    auto_shm sp_shm shm = {0};
    TRY(map(fd, size_bytes, PROT_READ | PROT_WRITE, &shm));
    if (fcntl(fd, F_ADD_SEALS, SIZE_SEALS | F_SEAL_SEAL | late_seals) != 0) {
        return sp_fail(SP_EIO);
    }
    *ret_shm = shm;
    shm = (sp_shm){0};
    *ret_fd = SP_STEAL_FD(fd);
    return sp_ok();
}

sp_err sp_shm_new(const char *name, size_t size_bytes, sp_shm *ret_shm, int *ret_fd)
{
    return make(name, size_bytes, 0, ret_shm, ret_fd);
}

sp_err sp_shm_new_published(const char *name, size_t size_bytes, sp_shm *ret_shm, int *ret_fd)
{
    return make(name, size_bytes, F_SEAL_FUTURE_WRITE, ret_shm, ret_fd);
}

sp_err sp_shm_sealed(const char *name, sp_span bytes, int *ret_fd)
{
    auto_close int fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (fd < 0) {
        return sp_fail(SP_EIO);
    }
    for (sp_span rest = bytes; rest.len > 0;) {
        ssize_t put = write(fd, rest.ptr, rest.len);
        if (put <= 0) {
            return sp_fail(SP_EIO);
        }
        rest = sp_span_slice(rest, (size_t)put, rest.len);
    }
    if (fcntl(fd, F_ADD_SEALS, SIZE_SEALS | F_SEAL_WRITE | F_SEAL_SEAL) != 0) {
        return sp_fail(SP_EIO);
    }
    *ret_fd = SP_STEAL_FD(fd);
    return sp_ok();
}

static sp_err check(int fd, int need_seals, size_t max_bytes, size_t *ret_size_bytes)
{
    int seals = fcntl(fd, F_GET_SEALS);
    struct stat st;
    if (seals < 0 || fstat(fd, &st) != 0) {
        return sp_fail(SP_EIO);
    }
    if ((seals & need_seals) != need_seals) {
        return sp_fail(SP_EDENIED);
    }
    if (st.st_size <= 0 || (uint64_t)st.st_size > max_bytes) {
        return sp_fail(SP_ELIMIT);
    }
    *ret_size_bytes = (size_t)st.st_size;
    return sp_ok();
}

sp_err sp_shm_map_read(int fd, bool sealed, size_t max_bytes, sp_shm *ret_shm)
{
    size_t size_bytes = 0;
    TRY(check(fd, F_SEAL_SHRINK | (sealed ? F_SEAL_WRITE : 0), max_bytes, &size_bytes));
    return map(fd, size_bytes, PROT_READ, ret_shm);
}

sp_err sp_shm_map_write(int fd, size_t max_bytes, sp_shm *ret_shm)
{
    size_t size_bytes = 0;
    TRY(check(fd, F_SEAL_SHRINK, max_bytes, &size_bytes));
    return map(fd, size_bytes, PROT_READ | PROT_WRITE, ret_shm);
}
