/* SPDX-License-Identifier: Apache-2.0
 * sallyport ledger search, tail, entry, proof: asking the running ledger.
 * OWNS nothing. PROCESS command line. TRUST replies are bounded; their JSON goes out as it is,
 * which is printable. SPEC docs/man/sallyport.1.
 */
#include "infra/ipc/conn.h"
#include "ledger/command.h"

#include <poll.h>
#include <stdio.h>
#include <unistd.h>

static void config_drop(sp_config **config)
{
    sp_config_free(*config);
}
#define auto_config __attribute__((cleanup(config_drop)))

static void print_line(sp_span json)
{
    fwrite(json.ptr, 1, json.len, stdout);
    putchar('\n');
}

/* Prints a page; fills in the cursor. */
static sp_err print_page(int fd, sp_ledger_search *search, uint64_t *left, bool *ret_more)
{
    auto_buf sp_buf body = sp_buf_make(SP_MSG_MAX_BYTES);
    auto_buf sp_buf reply = sp_buf_make(SP_MSG_MAX_BYTES);
    sp_ledger_found found;
    sp_ledger_item item;
    sp_ledger_search_write(search, &body);
    TRY(sp_ledger_ask(fd, SP_LEDGER_SEARCH, sp_buf_borrow(&body), &reply));
    TRY(sp_ledger_found_read(sp_buf_borrow(&reply), &found));
    sp_span rest = found.items;
    while (*left > 0 && sp_ledger_found_next(&rest, &item)) {
        print_line(item.json);
        (*left)--;
    }
    *ret_more = found.more && *left > 0;
    search->before_entry = found.before_entry;
    search->before_at = found.before_at;
    return sp_ok();
}

static sp_err print_newest(int fd, const sp_ledger_args *args, uint64_t otherwise)
{
    sp_ledger_search search = args->search;
    uint64_t left = args->limit > 0 ? args->limit : otherwise;
    search.limit = left < SP_LEDGER_PAGE_MAX ? (uint16_t)left : SP_LEDGER_PAGE_MAX;
    bool more = true;
    while (more) {
        TRY(print_page(fd, &search, &left, &more));
    }
    return sp_ok();
}

int sp_ledger_cmd_search(const sp_ledger_args *args)
{
    auto_config sp_config *config = NULL;
    auto_close int fd = -1;
    if (sp_failed(sp_ledger_connect(args, &config, &fd))) {
        return SP_LEDGER_EXIT_AWAY;
    }
    return sp_failed(print_newest(fd, args, SP_LEDGER_PAGE_MAX)) ? SP_LEDGER_EXIT_BAD : 0;
}

static sp_err follow(int fd, const sp_ledger_args *args)
{
    auto_buf sp_buf body = sp_buf_make(SP_MSG_MAX_BYTES);
    auto_buf sp_buf packet = sp_buf_make(SP_MSG_MAX_BYTES);
    sp_ledger_search_write(&args->search, &body);
    TRY(sp_ledger_ask(fd, SP_LEDGER_TAIL, sp_buf_borrow(&body), &packet));
    for (;;) {
        struct pollfd ready = {.fd = fd, .events = POLLIN};
        sp_msg msg;
        sp_ledger_found found;
        sp_ledger_item item;
        auto_fds sp_fds fds = {0};
        if (poll(&ready, 1, -1) < 0) {
            return sp_fail(SP_EIO);
        }
        sp_err err = sp_ipc_receive(fd, &packet, &fds);
        if (err.code == SP_EAGAIN) {
            continue;
        }
        TRY(err);
        TRY(sp_msg_open(sp_buf_borrow(&packet), &msg));
        if (msg.kind != SP_LEDGER_EVENT) {
            continue;
        }
        TRY(sp_ledger_found_read(msg.body, &found));
        for (sp_span rest = found.items; sp_ledger_found_next(&rest, &item);) {
            print_line(item.json);
        }
        fflush(stdout);
    }
}

int sp_ledger_cmd_tail(const sp_ledger_args *args)
{
    auto_config sp_config *config = NULL;
    auto_close int fd = -1;
    if (sp_failed(sp_ledger_connect(args, &config, &fd))) {
        return SP_LEDGER_EXIT_AWAY;
    }
    sp_err err = print_newest(fd, args, 10);
    fflush(stdout);
    if (!sp_failed(err) && args->follow) {
        err = follow(fd, args);
        fprintf(stderr, "the ledger has gone\n");
    }
    return sp_failed(err) ? SP_LEDGER_EXIT_BAD : 0;
}

static void ask_of(const sp_ledger_args *args, sp_buf *body)
{
    const sp_ledger_entry_ask ask = {.reader = args->search.reader, .entry = args->entry};
    sp_ledger_entry_ask_write(&ask, body);
}

int sp_ledger_cmd_entry(const sp_ledger_args *args)
{
    auto_config sp_config *config = NULL;
    auto_close int fd = -1;
    auto_buf sp_buf body = sp_buf_make(SP_MSG_MAX_BYTES);
    auto_buf sp_buf reply = sp_buf_make(SP_MSG_MAX_BYTES);
    sp_ledger_entry entry;
    ask_of(args, &body);
    if (sp_failed(sp_ledger_connect(args, &config, &fd))) {
        return SP_LEDGER_EXIT_AWAY;
    }
    if (sp_failed(sp_ledger_ask(fd, SP_LEDGER_ENTRY, sp_buf_borrow(&body), &reply)) ||
        sp_failed(sp_ledger_entry_read(sp_buf_borrow(&reply), &entry))) {
        return SP_LEDGER_EXIT_BAD;
    }
    if (entry.state == SP_ENTRY_REDACTED) {
        fprintf(stderr, "entry %llu has expired or was erased: its hash is all that is left\n",
                (unsigned long long)args->entry);
        return SP_LEDGER_EXIT_BAD;
    }
    print_line(entry.json);
    return 0;
}

int sp_ledger_cmd_proof(const sp_ledger_args *args)
{
    auto_config sp_config *config = NULL;
    auto_close int fd = -1;
    auto_buf sp_buf body = sp_buf_make(SP_MSG_MAX_BYTES);
    auto_buf sp_buf reply = sp_buf_make(SP_MSG_MAX_BYTES);
    auto_buf sp_buf text = sp_buf_make(SP_MSG_MAX_BYTES);
    sp_ledger_proof proof;
    ask_of(args, &body);
    if (sp_failed(sp_ledger_connect(args, &config, &fd))) {
        return SP_LEDGER_EXIT_AWAY;
    }
    if (sp_failed(sp_ledger_ask(fd, SP_LEDGER_CHECKPOINT, SP_SPAN_EMPTY, &reply)) ||
        sp_failed(sp_ledger_ask(fd, SP_LEDGER_PROOF, sp_buf_borrow(&body), &reply)) ||
        sp_failed(sp_ledger_proof_read(sp_buf_borrow(&reply), &proof))) {
        return SP_LEDGER_EXIT_BAD;
    }
    /* the form of c2sp.org/tlog-proof */
    sp_buf_text(&text, "c2sp.org/tlog-proof@v1\nindex ");
    sp_buf_u64_text(&text, proof.entry);
    sp_buf_byte(&text, '\n');
    for (unsigned i = 0; i < proof.count; i++) {
        sp_buf_base64(&text, sp_hash_borrow(&proof.path[i]));
        sp_buf_byte(&text, '\n');
    }
    sp_buf_byte(&text, '\n');
    sp_buf_span(&text, proof.note);
    if (sp_failed(sp_buf_error(&text))) {
        return SP_LEDGER_EXIT_BAD;
    }
    fwrite(text.ptr, 1, text.len, stdout);
    return 0;
}
