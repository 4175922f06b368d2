/* SPDX-License-Identifier: Apache-2.0
 * The policy snapshot in force.
 * OWNS the memory's fd. PROCESS core. TRUST none hostile. SPEC core/state/publish.h.
 */
#include "core/state/publish.h"

#include "infra/ipc/shm.h"

#include <unistd.h>

struct sp_publish {
    int fd;
    uint64_t version;
};

sp_err sp_publish_new(sp_publish **ret_publish)
{
    sp_publish *publish = NULL;
    TRY(sp_alloc(1, sizeof(*publish), &publish));
    publish->fd = -1;
    *ret_publish = publish;
    return sp_ok();
}

void sp_publish_free(sp_publish *publish)
{
    if (publish == NULL) {
        return;
    }
    if (publish->fd >= 0) {
        close(publish->fd);
    }
    sp_free(publish);
}

sp_err sp_publish_seal(sp_span snapshot, int *ret_fd)
{
    return sp_shm_sealed("sallyport-snapshot", snapshot, ret_fd);
}

void sp_publish_swap(sp_publish *publish, int fd, uint64_t version)
{
    if (publish->fd >= 0) {
        close(publish->fd);
    }
    publish->fd = fd;
    publish->version = version;
}

int sp_publish_fd(const sp_publish *publish)
{
    return publish->fd;
}

uint64_t sp_publish_version(const sp_publish *publish)
{
    return publish->version;
}
