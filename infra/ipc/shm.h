/* SPDX-License-Identifier: Apache-2.0
 * Shared memory by memfd, sealed so that the other side can trust its size.
 * OWNS mappings until sp_shm_done. PROCESS core, ledger, gates. TRUST a received fd is hostile:
 * without the right seals it is refused. SPEC memfd_create(2).
 */
#ifndef SP_IPC_SHM_H
#define SP_IPC_SHM_H

#include "lib/base/mem.h"

typedef struct {
    void *ptr;
    size_t size_bytes;
} sp_shm;

void sp_shm_done(sp_shm *shm);
#define auto_shm __attribute__((cleanup(sp_shm_done)))

/* A zeroed, writable mapping whose size is sealed. *ret_fd can be sent to a peer that may write. */
SP_MUST sp_err sp_shm_new(const char *name, size_t size_bytes, sp_shm *ret_shm, int *ret_fd);
/* The same, but after this call nobody else can map it writable: for tables that only we write. */
SP_MUST sp_err sp_shm_new_published(const char *name, size_t size_bytes, sp_shm *ret_shm,
                                    int *ret_fd);
/* A read-only run of bytes that nobody can change any more. */
SP_MUST sp_err sp_shm_sealed(const char *name, sp_span bytes, int *ret_fd);

/* Maps what a peer sent. SP_EDENIED when it could still shrink (or, sealed: change). */
SP_MUST sp_err sp_shm_map_read(int fd, bool sealed, size_t max_bytes, sp_shm *ret_shm);
SP_MUST sp_err sp_shm_map_write(int fd, size_t max_bytes, sp_shm *ret_shm);

#endif
