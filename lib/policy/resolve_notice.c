/* SPDX-License-Identifier: Apache-2.0
 * Notices, audiences and channels: what the schema cannot check, and how core looks at them.
 * OWNS nothing. PROCESS core, cli. TRUST documents passed the schema.
 * SPEC docs/POLICY.md "Notice", "Audience", "Channel"; lib/policy/notices.h.
 */
#include "lib/notice/wire.h"
#include "lib/policy/notices.h"
#include "lib/policy/schema.h"
#include "lib/policy/set.h"

enum { ATTEMPTS_DEFAULT = 5, RETRY_DEFAULT_S = 30, TIMEOUT_DEFAULT_S = 30 };

static const char *const BUILT_IN[] = {"office", "reader", "link", "when", "sender"};

static bool is_built_in(sp_span name)
{
    for (size_t i = 0; i < SP_COUNT(BUILT_IN); i++) {
        if (sp_span_eq(name, sp_span_cstr(BUILT_IN[i]))) {
            return true;
        }
    }
    return false;
}

/* ---- templates ---- */

typedef struct {
    compiling *c;
    const doc_notice *doc;
    const char *file;
    uint64_t used; /* bits of its variables */
} checking;

static const doc_variable *variables_of(const doc_notice *doc)
{
    return doc->variables.items;
}

/* The place of a variable in the list, or its length. */
static size_t variable_at(const doc_notice *doc, sp_span name)
{
    size_t at = 0;
    while (at < doc->variables.count && !sp_span_eq(variables_of(doc)[at].name.text, name)) {
        at++;
    }
    return at;
}

static sp_span nearest_variable(const doc_notice *doc, sp_span name)
{
    enum { NEAR = 3 };
    sp_span best = SP_SPAN_EMPTY;
    size_t least = NEAR;
    for (size_t i = 0; i < doc->variables.count + SP_COUNT(BUILT_IN); i++) {
        bool own = i < doc->variables.count;
        sp_span known =
            own ? variables_of(doc)[i].name.text : sp_span_cstr(BUILT_IN[i - doc->variables.count]);
        size_t distance = doc_distance(name, known);
        if (distance < least) {
            least = distance;
            best = known;
        }
    }
    return best;
}

/* The line of a piece: a text of several begins on a line of its own (`|`). */
static uint32_t line_of(const doc_text *text, sp_span piece)
{
    uint32_t line = text->line;
    for (const uint8_t *at = text->text.ptr; at < piece.ptr; at++) {
        line += *at == '\n' ? 1 : 0;
    }
    return line;
}

static void tell(const checking *k, const doc_text *text, const char *key, sp_span piece,
                 sp_span nearest)
{
    sp_diags_add(k->c->diags, SP_DIAG_ERROR, k->file, line_of(text, piece), text->column,
                 "%s: '%.*s' is none of the notice's variables%s%.*s%s", key, SP_SPAN_ARG(piece),
                 nearest.len > 0 ? "; did you mean '{{" : "", SP_SPAN_ARG(nearest),
                 nearest.len > 0 ? "}}'?" : ": add it to 'variables'");
}

static void check_text(checking *k, const char *key, const doc_text *text)
{
    size_t at = 0;
    sp_span piece;
    sp_span name;
    while (sp_template_next(text->text, &at, &piece, &name)) {
        size_t found = name.len == 0 ? k->doc->variables.count : variable_at(k->doc, name);
        if (found < k->doc->variables.count) {
            k->used |= UINT64_C(1) << (found % 64);
        } else if (name.len == 0) {
            piece = sp_span_slice(piece, 0, sp_span_index(piece, '\n'));
            sp_diags_add(k->c->diags, SP_DIAG_ERROR, k->file, line_of(text, piece), text->column,
                         "%s: '%.*s' begins like a variable; one is written {{name}}, of a-z, 0-9 "
                         "and '_'",
                         key, SP_SPAN_ARG(piece));
        } else if (!is_built_in(name)) {
            tell(k, text, key, piece, nearest_variable(k->doc, name));
        }
    }
}

static void check_texts(checking *k, const doc_title *title, const char *en, const char *zh)
{
    check_text(k, en, &title->en);
    check_text(k, zh, &title->zh);
}

static void check_variables(checking *k)
{
    const doc_variable *variables = variables_of(k->doc);
    if (k->doc->variables.count > SP_NOTICE_VARIABLES_MAX) {
        set_error(k->c, &k->doc->head.place, "%zu variables; %d is the limit",
                  k->doc->variables.count, SP_NOTICE_VARIABLES_MAX);
        return;
    }
    for (size_t i = 0; i < k->doc->variables.count; i++) {
        sp_value_kind kind =
            variables[i].kind == 0 ? SP_VALUE_TEXT : (sp_value_kind)(variables[i].kind - 1);
        const char *fault = sp_value_fault(kind, variables[i].sample.text);
        if (!sp_variable_name_ok(variables[i].name.text)) {
            set_wrong(k->c, k->file, &variables[i].name,
                      "the name of a variable is of a-z, 0-9 and '_', a letter first");
        } else if (is_built_in(variables[i].name.text)) {
            set_wrong(k->c, k->file, &variables[i].name, "is always there: take another name");
        } else if (variable_at(k->doc, variables[i].name.text) < i) {
            set_wrong(k->c, k->file, &variables[i].name, "stands there twice");
        }
        if (fault != NULL) {
            sp_diags_add(k->c->diags, SP_DIAG_ERROR, k->file, variables[i].sample.line,
                         variables[i].sample.column, "sample: it must be %s", fault);
        }
    }
}

static void check_used(checking *k)
{
    for (size_t i = 0; i < k->doc->variables.count && i < SP_NOTICE_VARIABLES_MAX; i++) {
        const doc_text *name = &variables_of(k->doc)[i].name;
        if ((k->used >> i & 1) == 0) {
            set_wrong(k->c, k->file, name, "stands in none of the texts");
        }
    }
}

/* ---- names ---- */

static const doc_head *find_doc(const sp_policy_set *set, sp_doc_kind kind, size_t bytes,
                                sp_span name)
{
    const doc_maps *maps = &set->docs.kinds[kind];
    for (size_t i = 0; i < maps->count; i++) {
        const doc_head *head = doc_at(maps, bytes, i);
        if (sp_span_eq(head->name.text, name)) {
            return head;
        }
    }
    return NULL;
}

static void known(const compiling *c, const char *file, const doc_text *name, sp_doc_kind kind,
                  size_t bytes)
{
    if (name->line != 0 && find_doc(c->set, kind, bytes, name->text) == NULL) {
        sp_diags_add(c->diags, SP_DIAG_ERROR, file, name->line, name->column,
                     "there is no %s '%.*s'", sp_doc_kind_word(kind), SP_SPAN_ARG(name->text));
    }
}

static void known_channels(const compiling *c, const char *file, const doc_texts *names)
{
    if (names->count > SP_NOTICE_CHANNELS_MAX) {
        set_wrong(c, file, &names->items[SP_NOTICE_CHANNELS_MAX], "more than 8 channels");
    }
    for (size_t i = 0; i < names->count; i++) {
        known(c, file, &names->items[i], SP_DOC_CHANNEL, sizeof(doc_channel));
    }
}

static void one_line(const checking *k, const doc_text *text)
{
    if (sp_span_index(text->text, '\n') < text->text.len) {
        set_wrong(k->c, k->file, text, "a title is one line");
    }
}

static void check_notice(compiling *c, const doc_notice *doc)
{
    checking k = {c, doc, doc->head.place.file, 0};
    check_variables(&k);
    check_texts(&k, &doc->title, "title.en", "title.zh");
    one_line(&k, &doc->title.en);
    one_line(&k, &doc->title.zh);
    check_texts(&k, &doc->body, "body.en", "body.zh");
    check_texts(&k, &doc->brief, "brief.en", "brief.zh");
    check_used(&k);
    known(c, k.file, &doc->audience, SP_DOC_AUDIENCE, sizeof(doc_audience));
    known(c, k.file, &doc->acknowledge.then, SP_DOC_AUDIENCE, sizeof(doc_audience));
    known_channels(c, k.file, &doc->channels);
}

/* ---- audiences ---- */

static sp_err check_audience(compiling *c, const doc_audience *doc)
{
    const doc_who *who = &doc->who;
    const char *file = doc->head.place.file;
    const doc_texts *const roles[] = {&doc->who.roles, &doc->minus.roles};
    for (size_t i = 0; i < SP_COUNT(roles); i++) {
        for (size_t k = 0; k < roles[i]->count; k++) {
            uint32_t at = 0;
            if (!name_get(&c->set->role_names, roles[i]->items[k].text, &at)) {
                set_unknown(c, file, &roles[i]->items[k], "role", &c->set->role_names);
            }
        }
    }
    if (who->roles.count + who->people.count == 0 && who->any != DOC_TRUE && doc->post.count == 0) {
        set_error(c, &doc->head.place, "an audience names 'who' or 'post'");
    }
    known_channels(c, file, &doc->post);
    for (size_t i = 0; i < doc->post.count; i++) {
        const doc_head *head =
            find_doc(c->set, SP_DOC_CHANNEL, sizeof(doc_channel), doc->post.items[i].text);
        const doc_channel *channel = (const doc_channel *)(const void *)head;
        if (channel != NULL && channel->via == SP_CHANNEL_EMAIL + 1) {
            set_wrong(c, file, &doc->post.items[i], "a mail goes to people, not to a group");
        }
    }
    return sp_ok();
}

/* ---- channels ---- */

static bool mail_address_ok(sp_span address)
{
    uint16_t port = 25;
    sp_span host = SP_SPAN_EMPTY;
    return set_is_host_and_port(address) && !sp_failed(set_host_and_port(address, &host, &port)) &&
           port != 0;
}

static bool is_loopback_host(sp_span address)
{
    return sp_span_starts(address, SP_SPAN_LIT("127.")) ||
           sp_span_starts(address, SP_SPAN_LIT("[::1]")) ||
           sp_span_starts(address, SP_SPAN_LIT("localhost"));
}

static void check_mail(compiling *c, const doc_channel *doc)
{
    const char *file = doc->head.place.file;
    enum { LOOPBACK = 3 };
    if (doc->address.line == 0 || doc->from.line == 0) {
        set_error(c, &doc->head.place, "a channel via email has an 'address' and a 'from'");
        return;
    }
    if (!mail_address_ok(doc->address.text)) {
        set_wrong(c, file, &doc->address, "expected a host and a port, as in smtp.internal:587");
    }
    if (doc->tls == LOOPBACK && !is_loopback_host(doc->address.text)) {
        set_wrong(c, file, &doc->address, "tls: loopback is for loopback addresses only");
    }
    if (sp_mailbox_of(doc->from.text).len == 0) {
        set_wrong(c, file, &doc->from, "expected a mailbox, as in Sallyport <gate@office.example>");
    }
}

static void check_hook(compiling *c, const doc_channel *doc, sp_channel_kind via)
{
    const sp_channel_facts *facts = sp_channel_facts_of(via);
    const doc_text *const foreign[] = {&doc->user, &doc->from};
    if (doc->address.line == 0 && facts->address == NULL) {
        set_error(c, &doc->head.place, "a channel via %s has an 'address'",
                  sp_channel_kind_words[via]);
    }
    const char *fault = doc->address.line == 0 ? NULL : sp_channel_address_fault(doc->address.text);
    if (fault != NULL) {
        set_wrong(c, doc->head.place.file, &doc->address, fault);
    }
    for (size_t i = 0; i < SP_COUNT(foreign); i++) {
        if (foreign[i]->line != 0) {
            set_wrong(c, doc->head.place.file, foreign[i], "is for channels via email only");
        }
    }
}

sp_err set_resolve_notices(compiling *c)
{
    DOC_EACH(&c->set->docs, SP_DOC_CHANNEL, doc_channel, channel)
    {
        sp_channel_kind via = (sp_channel_kind)(channel->via - 1);
        if (channel->via == 0) {
            continue; /* told by the schema */
        }
        if (via == SP_CHANNEL_EMAIL) {
            check_mail(c, channel);
        } else {
            check_hook(c, channel, via);
        }
    }
    DOC_EACH(&c->set->docs, SP_DOC_AUDIENCE, doc_audience, audience)
    {
        TRY(check_audience(c, audience));
    }
    DOC_EACH(&c->set->docs, SP_DOC_NOTICE, doc_notice, notice)
    {
        check_notice(c, notice);
    }
    return sp_ok();
}

/* ---- for core ---- */

static void take_texts(const doc_title *from, sp_span ret[SP_LANGUAGE_COUNT])
{
    ret[SP_LANGUAGE_EN] = from->en.text;
    ret[SP_LANGUAGE_ZH] = from->zh.text;
}

static void notice_of(const doc_notice *doc, sp_policy_notice *ret)
{
    *ret = (sp_policy_notice){.name = doc->head.name.text,
                              .audience = doc->audience.text,
                              .then = doc->acknowledge.then.text,
                              .within_s = (uint32_t)doc->acknowledge.within.value,
                              .expires_s = doc->expires.line == 0 ? SP_NOTICE_EXPIRES_DEFAULT_S
                                                                  : (uint32_t)doc->expires.value,
                              .severity = doc->severity == 0 ? 0 : (uint8_t)(doc->severity - 1),
                              .by_all = doc->acknowledge.by == 2,
                              .banner = doc->banner == DOC_TRUE};
    take_texts(&doc->title, ret->title);
    take_texts(&doc->body, ret->body);
    take_texts(doc->brief.en.line != 0 ? &doc->brief : &doc->body, ret->brief);
    for (size_t i = 0; i < doc->variables.count && i < SP_NOTICE_VARIABLES_MAX; i++) {
        const doc_variable *variable = &variables_of(doc)[i];
        ret->variables[ret->variables_count++] = (sp_notice_value){
            .name = variable->name.text,
            .text = variable->sample.text,
            .kind = variable->kind == 0 ? SP_VALUE_TEXT : (uint8_t)(variable->kind - 1)};
    }
    for (size_t i = 0; i < doc->channels.count && i < SP_NOTICE_CHANNELS_MAX; i++) {
        ret->channels[ret->channels_count++] = doc->channels.items[i].text;
    }
}

sp_err sp_policy_set_notice(const sp_policy_set *set, sp_span name, sp_policy_notice *ret_notice)
{
    const doc_head *doc = find_doc(set, SP_DOC_NOTICE, sizeof(doc_notice), name);
    if (doc == NULL) {
        return sp_fail(SP_ENOTFOUND);
    }
    notice_of((const doc_notice *)(const void *)doc, ret_notice);
    return sp_ok();
}

size_t sp_policy_set_notice_count(const sp_policy_set *set)
{
    return set->docs.kinds[SP_DOC_NOTICE].count;
}

void sp_policy_set_notice_at(const sp_policy_set *set, size_t at, sp_policy_notice *ret_notice)
{
    notice_of((const doc_notice *)set->docs.kinds[SP_DOC_NOTICE].items + at, ret_notice);
}

static uint32_t number_or(const doc_number *number, uint32_t otherwise)
{
    return number->line == 0 ? otherwise : (uint32_t)number->value;
}

static void channel_of(const doc_channel *doc, sp_policy_channel *ret)
{
    enum { ZH = 2, BOTH = 3 };
    sp_channel_kind via = (sp_channel_kind)(doc->via - 1);
    const sp_channel_facts *facts = sp_channel_facts_of(via);
    bool is_mail = via == SP_CHANNEL_EMAIL;
    uint8_t language = doc->language == 0 ? BOTH : doc->language;
    bool is_signed = doc->is_signed == DOC_UNSET ? facts->signs : doc->is_signed == DOC_TRUE;
    *ret = (sp_policy_channel){.name = doc->head.name.text,
                               .address = doc->address.line != 0 ? doc->address.text
                                                                 : sp_span_cstr(facts->address),
                               .ca = doc->ca.text,
                               .user = doc->user.text,
                               .from = doc->from.text,
                               .per_minute = number_or(&doc->per_minute, facts->per_minute),
                               .attempts = number_or(&doc->attempts, ATTEMPTS_DEFAULT),
                               .retry_s = number_or(&doc->retry, RETRY_DEFAULT_S),
                               .digest_s = number_or(&doc->digest, 0),
                               .timeout_s = (uint16_t)number_or(&doc->timeout, TIMEOUT_DEFAULT_S),
                               .via = (uint8_t)via,
                               .tls = doc->tls == 0 ? 0 : (uint8_t)(doc->tls - 1),
                               .has_secret = is_mail ? doc->user.line != 0 : is_signed,
                               .en = language != ZH,
                               .zh = language >= ZH};
    ret->has_token = !is_mail && sp_channel_address_has_token(ret->address);
}

sp_err sp_policy_set_channel(const sp_policy_set *set, sp_span name, sp_policy_channel *ret_channel)
{
    const doc_head *doc = find_doc(set, SP_DOC_CHANNEL, sizeof(doc_channel), name);
    if (doc == NULL) {
        return sp_fail(SP_ENOTFOUND);
    }
    channel_of((const doc_channel *)(const void *)doc, ret_channel);
    return sp_ok();
}

size_t sp_policy_set_channel_count(const sp_policy_set *set)
{
    return set->docs.kinds[SP_DOC_CHANNEL].count;
}

void sp_policy_set_channel_at(const sp_policy_set *set, size_t at, sp_policy_channel *ret_channel)
{
    channel_of((const doc_channel *)set->docs.kinds[SP_DOC_CHANNEL].items + at, ret_channel);
}

/* An audience is its document. */
static const doc_audience *doc_of(const sp_policy_audience *audience)
{
    return (const doc_audience *)(const void *)audience;
}

const sp_policy_audience *sp_policy_set_audience(const sp_policy_set *set, sp_span name)
{
    return (const sp_policy_audience *)(const void *)find_doc(set, SP_DOC_AUDIENCE,
                                                              sizeof(doc_audience), name);
}

size_t sp_policy_set_audience_count(const sp_policy_set *set)
{
    return set->docs.kinds[SP_DOC_AUDIENCE].count;
}

const sp_policy_audience *sp_policy_set_audience_at(const sp_policy_set *set, size_t at)
{
    const doc_audience *docs = set->docs.kinds[SP_DOC_AUDIENCE].items;
    return (const sp_policy_audience *)(const void *)(docs + at);
}

sp_span sp_policy_audience_name(const sp_policy_audience *audience)
{
    return doc_of(audience)->head.name.text;
}

bool sp_policy_set_role_held(const sp_policy_set *set, sp_span name,
                             const uint64_t roles[SP_ROLE_WORDS])
{
    uint32_t at = 0;
    bool held = false;
    bool found = name_get(&set->role_names, name, &at);
    for (size_t w = 0; found && w < SP_ROLE_WORDS; w++) {
        held = held || (set->roles[at].implied_by[w] & roles[w]) != 0;
    }
    return held;
}

static bool who_has(const sp_policy_set *set, const doc_who *who, sp_span person,
                    const uint64_t roles[SP_ROLE_WORDS])
{
    for (size_t i = 0; i < who->people.count; i++) {
        if (sp_span_eq(who->people.items[i].text, person)) {
            return true;
        }
    }
    for (size_t i = 0; i < who->roles.count; i++) {
        if (sp_policy_set_role_held(set, who->roles.items[i].text, roles)) {
            return true;
        }
    }
    return who->any == DOC_TRUE;
}

bool sp_policy_audience_has(const sp_policy_set *set, const sp_policy_audience *audience,
                            sp_span person, const uint64_t roles[SP_ROLE_WORDS])
{
    const doc_audience *doc = doc_of(audience);
    return who_has(set, &doc->who, person, roles) && !who_has(set, &doc->minus, person, roles);
}

size_t sp_policy_audience_posts(const sp_policy_audience *audience,
                                sp_span ret_channels[SP_NOTICE_CHANNELS_MAX])
{
    const doc_texts *post = &doc_of(audience)->post;
    size_t count = post->count < SP_NOTICE_CHANNELS_MAX ? post->count : SP_NOTICE_CHANNELS_MAX;
    for (size_t i = 0; i < count; i++) {
        ret_channels[i] = post->items[i].text;
    }
    return count;
}
