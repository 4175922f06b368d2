/* SPDX-License-Identifier: Apache-2.0
 * The office's places: directories with the right owners, one porter at a time, listening sockets.
 * OWNS locks and sockets. PROCESS porter, before it locks itself in. TRUST the file system may
 * hold what others put there: nothing is followed, nothing wrong is mended silently.
 * SPEC flock(2), unix(7), docs/OPERATIONS.md "Directories".
 */
#include "infra/proc/file.h"
#include "porter/porter.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum { BACKLOG_TCP = 4096, BACKLOG_UNIX = 512 };

static sp_err refuse(sp_buf *why, const char *path, const char *what)
{
    sp_buf_fmt(why, "%s %s: %s", path, what, strerror(errno));
    return sp_fail(SP_EIO);
}

/* ---- directories ---- */

/* Opens (makes) a directory that only we (or root) may change. */
static sp_err open_own_dir(const char *path, mode_t mode, int *ret_fd, sp_buf *why)
{
    if (mkdir(path, mode) != 0 && errno != EEXIST) {
        return refuse(why, path, "cannot be made");
    }
    auto_close int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    struct stat st;
    if (fd < 0 || fstat(fd, &st) != 0) {
        return refuse(why, path, "cannot be opened");
    }
    if ((st.st_uid != 0 && st.st_uid != geteuid()) || (st.st_mode & 022) != 0) {
        sp_buf_fmt(
            why, "%s may be changed by others (owner %u, mode %04o): chown root %s; chmod %04o %s",
            path, (unsigned)st.st_uid, (unsigned)st.st_mode & 07777U, path, (unsigned)mode, path);
        return sp_fail(SP_EDENIED);
    }
    if (st.st_uid == geteuid() && (st.st_mode & 0111) != (mode & 0111) && fchmod(fd, mode) != 0) {
        return refuse(why, path, "cannot be opened to the roles");
    }
    *ret_fd = SP_STEAL_FD(fd);
    return sp_ok();
}

static sp_err lock_dir(int fd, const char *path, sp_buf *why)
{
    if (flock(fd, LOCK_EX | LOCK_NB) == 0) {
        return sp_ok();
    }
    if (errno == EWOULDBLOCK) {
        sp_buf_fmt(why,
                   "another porter runs this office: it holds %s (sallyport doctor tells more)",
                   path);
        return sp_fail(SP_EEXISTS);
    }
    return refuse(why, path, "cannot be locked");
}

static sp_err make_role_dir(const sp_config *config, int state_fd, sp_role_kind role, sp_buf *why)
{
    const char *name = sp_role_word(role);
    uid_t uid = config->uids[role];
    bool fresh = mkdirat(state_fd, name, 0700) == 0;
    if (!fresh && errno != EEXIST) {
        return refuse(why, config->state_dir, "takes no directory of a role");
    }
    auto_close int fd = openat(state_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    struct stat st;
    if (fd < 0 || fstat(fd, &st) != 0) {
        return refuse(why, name, "in the state directory cannot be opened");
    }
    if (fresh && st.st_uid != uid && fchown(fd, uid, config->gids[role]) != 0) {
        return refuse(why, name, "in the state directory cannot be given to its role");
    }
    if (!fresh && st.st_uid != uid) {
        sp_buf_fmt(why, "%s/%s belongs to user %u, not to %s's user %u: chown -R %u:%u %s/%s",
                   config->state_dir, name, (unsigned)st.st_uid, name, (unsigned)uid, (unsigned)uid,
                   (unsigned)config->gids[role], config->state_dir, name);
        return sp_fail(SP_EDENIED);
    }
    if ((st.st_mode & 077) != 0) {
        sp_buf_fmt(
            why,
            "%s/%s is open to others (mode %04o): look who may have read it, then chmod 0700 "
            "%s/%s",
            config->state_dir, name, (unsigned)st.st_mode & 07777U, config->state_dir, name);
        return sp_fail(SP_EDENIED);
    }
    return sp_ok();
}

static sp_err make_dirs(const sp_config *config, porter_places *places, sp_buf *why)
{
    TRY(open_own_dir(config->state_dir, 0711, &places->state_lock, why));
    TRY(lock_dir(places->state_lock, config->state_dir, why));
    TRY(open_own_dir(config->run_dir, 0755, &places->run_lock, why));
    TRY(lock_dir(places->run_lock, config->run_dir, why));
    for (sp_role_kind role = SP_ROLE_CORE; role < SP_ROLE_COUNT; role++) {
        if (sp_config_has_role(config, role)) {
            TRY(make_role_dir(config, places->state_lock, role, why));
        }
    }
    return sp_ok();
}

/* ---- sockets ---- */

static porter_socket *next_socket(porter_places *places, sp_role_kind role)
{
    porter_socket *socket = &places->sockets[places->socket_count++];
    *socket = (porter_socket){.role = role, .fd = -1};
    return socket;
}

typedef struct {
    const char *name;
    sp_role_kind role;
    int type;
    mode_t mode;
    bool for_web; /* of core's user and web's group */
} unix_place;

/* Who may speak on the message sockets is decided by peer credentials; api and local speak HTTP,
 * so there the file's mode decides. */
static const unix_place unix_places[] = {
    {"vault", SP_ROLE_VAULT, SOCK_SEQPACKET, 0666, false},
    {"ledger", SP_ROLE_LEDGER, SOCK_SEQPACKET, 0666, false},
    {"core", SP_ROLE_CORE, SOCK_SEQPACKET, 0666, false},
    {"keeper", SP_ROLE_KEEPER, SOCK_SEQPACKET, 0666, false},
    {"courier", SP_ROLE_COURIER, SOCK_SEQPACKET, 0666, false},
    {"runner", SP_ROLE_RUNNER, SOCK_SEQPACKET, 0666, false},
    {"api", SP_ROLE_CORE, SOCK_STREAM, 0660, true},
    {"local", SP_ROLE_CORE, SOCK_STREAM, 0600, false},
};

static sp_err remove_stale(const char *path, sp_buf *why)
{
    struct stat st;
    if (lstat(path, &st) != 0) {
        return errno == ENOENT ? sp_ok() : refuse(why, path, "cannot be looked at");
    }
    if (!S_ISSOCK(st.st_mode)) {
        sp_buf_fmt(why, "%s is in the way and is no socket: move it elsewhere", path);
        return sp_fail(SP_EEXISTS);
    }
    /* the lock says that nobody else runs this office: it is left over */
    return unlink(path) != 0 ? refuse(why, path, "is left over and cannot be removed") : sp_ok();
}

static sp_err open_unix(const sp_config *config, const unix_place *place, porter_places *places,
                        sp_buf *why)
{
    porter_socket *made = next_socket(places, place->role);
    TRY(sp_fit(made->name, sizeof(made->name), sp_span_cstr(place->name)));
    auto_free char *path = NULL;
    TRY(sp_config_socket(config, place->name, &path));
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    if (sp_failed(sp_fit(at.sun_path, sizeof(at.sun_path), sp_span_cstr(path)))) {
        sp_buf_fmt(why, "%s is too long for a socket: choose a shorter run: directory", path);
        return sp_fail(SP_ELIMIT);
    }
    TRY(remove_stale(path, why));
    made->fd = socket(AF_UNIX, place->type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    mode_t before = umask(0177);
    bool bound = made->fd >= 0 && bind(made->fd, (const struct sockaddr *)&at, sizeof(at)) == 0;
    umask(before);
    if (!bound) {
        return refuse(why, path, "cannot be made");
    }
    made->path = SP_STEAL(path);
    uid_t uid = config->uids[SP_ROLE_CORE];
    gid_t gid = config->gids[SP_ROLE_WEB];
    if ((place->for_web && geteuid() == 0 && chown(made->path, uid, gid) != 0) ||
        chmod(made->path, place->mode) != 0 || listen(made->fd, BACKLOG_UNIX) != 0) {
        return refuse(why, made->path, "cannot be opened to its users");
    }
    return sp_ok();
}

static const char *bind_hint(void)
{
    switch (errno) {
    case EADDRINUSE:
        return "another program listens there (ss -ltnp shows which)";
    case EACCES:
        return "ports below 1024 need root or CAP_NET_BIND_SERVICE";
    case EADDRNOTAVAIL:
        return "this machine has no such address (ip address shows what it has)";
    default:
        return strerror(errno);
    }
}

static sp_err open_tcp(sp_role_kind role, const char *scheme, const char *listen_at, size_t number,
                       porter_places *places, sp_buf *why)
{
    porter_socket *made = next_socket(places, role);
    snprintf(made->name, sizeof(made->name), "%s%u", scheme, (unsigned)number % 1000U);
    struct sockaddr_storage at;
    socklen_t size = 0;
    TRY(sp_config_address(listen_at, &at, &size));
    made->fd = socket(at.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    const int on = 1;
    bool ready = made->fd >= 0 &&
                 setsockopt(made->fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) == 0 &&
                 (at.ss_family != AF_INET6 ||
                  setsockopt(made->fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on)) == 0) &&
                 bind(made->fd, (const struct sockaddr *)&at, size) == 0 &&
                 listen(made->fd, BACKLOG_TCP) == 0;
    if (!ready) {
        sp_buf_fmt(why, "cannot listen on %s: %s", listen_at, bind_hint());
        return sp_fail(SP_EIO);
    }
    return sp_ok();
}

static sp_err make_sockets(const sp_config *config, porter_places *places, sp_buf *why)
{
    /* TCP first: a port in use is the likeliest mistake, and then nothing was touched */
    for (size_t i = 0; i < config->listen_count; i++) {
        TRY(open_tcp(SP_ROLE_WEB, "https", config->listen[i], i, places, why));
    }
    for (size_t i = 0; i < config->http_count; i++) {
        TRY(open_tcp(SP_ROLE_WEB, "http", config->http[i], i, places, why));
    }
    for (size_t i = 0; i < config->asked_count; i++) {
        TRY(open_tcp(SP_ROLE_WEB, "asked", config->asked[i], i, places, why));
    }
    for (size_t i = 0; i < config->postgres_count; i++) {
        TRY(open_tcp(SP_ROLE_DB, "postgres", config->postgres[i], i, places, why));
    }
    for (size_t i = 0; i < config->ssh_count; i++) {
        TRY(open_tcp(SP_ROLE_SSH, "ssh", config->ssh[i], i, places, why));
    }
    for (size_t i = 0; i < SP_COUNT(unix_places); i++) {
        if (sp_config_has_role(config, unix_places[i].role)) {
            TRY(open_unix(config, &unix_places[i], places, why));
        }
    }
    return sp_ok();
}

sp_err porter_places_make(const sp_config *config, porter_places *places, sp_buf *why)
{
    *places = (porter_places){.state_lock = -1, .run_lock = -1};
    sp_err err = make_dirs(config, places, why);
    if (!sp_failed(err)) {
        err = make_sockets(config, places, why);
    }
    if (sp_failed(err)) {
        porter_places_done(places);
    }
    return err;
}

void porter_places_done(porter_places *places)
{
    for (size_t i = 0; i < places->socket_count; i++) {
        porter_socket *socket = &places->sockets[i];
        if (socket->path != NULL) {
            unlink(socket->path);
            sp_free(socket->path);
        }
        if (socket->fd >= 0) {
            close(socket->fd);
        }
    }
    places->socket_count = 0;
    int *locks[] = {&places->run_lock, &places->state_lock};
    for (size_t i = 0; i < SP_COUNT(locks); i++) {
        if (*locks[i] >= 0) {
            close(*locks[i]);
            *locks[i] = -1;
        }
    }
}
