/* SPDX-License-Identifier: Apache-2.0
 * Judging a command line: through sudo, env, xargs, pipes into shells, eval and decoders, down to
 * the programs that run.
 * OWNS the scratch. PROCESS ssh gate. TRUST lines are hostile: depth, words and time are bounded.
 * SPEC lib/alarm/alarm.h.
 */
#include "lib/alarm/rules.h"

#define LIT SP_SPAN_LIT

struct sp_alarm_judge {
    shell_line lines[SHELL_DEPTH_MAX];
    sp_alarm_vars vars; /* when the caller has none */
};

sp_err sp_alarm_judge_new(sp_alarm_judge **ret_judge)
{
    return sp_alloc(1, sizeof(**ret_judge), ret_judge);
}

void sp_alarm_judge_free(sp_alarm_judge *judge)
{
    sp_free(judge);
}

typedef struct {
    sp_alarm_judge *judge;
    sp_alarm_vars *vars;
} judging;

static sp_alarm judge_text(const judging *j, sp_span text, unsigned depth);

/* ---- programs that start another one ---- */

typedef struct {
    const char *name;
    const char *takes; /* options that have a word behind them */
    uint8_t words;     /* that stand in front of the program */
} starter;

static const starter STARTERS[] = {
    {"sudo", "ugprCDThR", 0}, {"doas", "uC", 0},
    {"nohup", "", 0},         {"time", "fo", 0},
    {"nice", "n", 0},         {"ionice", "cnp", 0},
    {"env", "uCS", 0},        {"command", "", 0},
    {"builtin", "", 0},       {"exec", "a", 0},
    {"stdbuf", "ioe", 0},     {"setsid", "", 0},
    {"timeout", "ks", 1},     {"xargs", "nIPLdEsa", 0},
    {"busybox", "", 0},       {"chroot", "", 1},
    {"watch", "n", 0},        {"parallel", "j", 0},
    {"then", "", 0},          {"do", "", 0},
    {"else", "", 0},          {"if", "", 0},
    {"while", "", 0},         {"!", "", 0},
    {"unbuffer", "", 0},      {"strace", "efop", 0},
    {"runuser", "ulgsG", 0},  {"taskset", "", 1},
    {"flock", "wE", 1},       {"until", "", 0},
    {"elif", "", 0},          {"toybox", "", 0},
    {"chrt", "", 1},          {"setpriv", "", 0},
    {"unshare", "", 0},       {"nsenter", "tSG", 0},
    {"systemd-run", "pu", 0}, {"fakeroot", "lfis", 0},
    {"setarch", "", 1},       {"linux64", "", 0},
    {"ltrace", "efop", 0},    {"valgrind", "", 0},
    {"prlimit", "", 0},       {"numactl", "", 0},
    {"rlwrap", "", 0},        {"coproc", "", 0},
    {"proot", "rbwq", 0},     {"faketime", "", 1},
    {"firejail", "", 0},      {"torsocks", "", 0},
};

static const starter *starter_of(sp_span program)
{
    for (size_t i = 0; i < SP_COUNT(STARTERS); i++) {
        if (sp_span_eq(program, sp_span_cstr(STARTERS[i].name))) {
            return &STARTERS[i];
        }
    }
    return NULL;
}

static bool is_assignment(sp_span word)
{
    size_t equals = sp_span_index(word, '=');
    for (size_t i = 0; i < equals && equals < word.len; i++) {
        if (!sp_is_alnum(word.ptr[i]) && word.ptr[i] != '_') {
            return false;
        }
    }
    return equals > 0 && equals < word.len;
}

/* Where the program stands behind sudo -u x env A=b nice -n 5 ... */
static size_t skip_starters(const rule_words *w)
{
    size_t at = 0;
    while (at < w->count) {
        sp_span word = rule_word(w, at);
        const starter *s = starter_of(sp_span_behind(word, '/'));
        if (is_assignment(word)) {
            at++;
            continue;
        }
        if (s == NULL) {
            break;
        }
        for (at++; at < w->count && rule_word(w, at).len > 1 && rule_word(w, at).ptr[0] == '-';
             at++) {
            sp_span option = rule_word(w, at);
            bool bundle = option.len == 2 && option.ptr[1] != '-';
            if (bundle && sp_span_index(sp_span_cstr(s->takes), option.ptr[1]) < strlen(s->takes)) {
                at++;
            }
        }
        at += s->words;
    }
    return at;
}

/* ---- programs that take a program as a word ---- */

static sp_alarm hidden_or(sp_alarm inner, uint8_t least, const char *reason)
{
    return inner.confidence >= least ? inner : (sp_alarm){least, reason};
}

static sp_alarm judge_shell(const judging *j, const rule_words *w, size_t at, bool piped,
                            unsigned depth)
{
    for (size_t i = at + 1; i < w->count; i++) {
        sp_span word = rule_word(w, i);
        bool option = word.len > 1 && word.ptr[0] == '-';
        if (option && word.ptr[1] != '-' && sp_span_index(word, 'c') < word.len) {
            sp_alarm inner = judge_text(j, rule_word(w, i + 1), depth + 1);
            bool open = i + 1 < w->count && w->words[i + 1]->open;
            return open ? hidden_or(inner, 65, "a shell runs what is only known then") : inner;
        }
        if (option && sp_span_eq(word, LIT("-s"))) {
            return (sp_alarm){65, "a shell reads its commands from somewhere"};
        }
        if (!option) {
            return sp_span_starts(word, LIT("/tmp/")) || sp_span_starts(word, LIT("/dev/shm/")) ||
                           sp_span_starts(word, LIT("/var/tmp/"))
                       ? (sp_alarm){60, "a script that was put there is run"}
                       : (sp_alarm){0};
        }
    }
    return piped ? (sp_alarm){75, "a shell reads its commands from a pipe"} : (sp_alarm){0};
}

/* python -c, perl -e and their kin: the word behind, or the rest of the same one. */
static sp_alarm judge_code(const rule_words *w, size_t at, const char *const *options,
                           size_t options_count)
{
    sp_alarm worst = {0};
    for (size_t i = at + 1; i < w->count; i++) {
        sp_span word = rule_word(w, i);
        for (size_t k = 0; k < options_count; k++) {
            sp_span option = sp_span_cstr(options[k]);
            if (sp_span_eq(word, option)) {
                worst = rule_worst(worst, rule_script(rule_word(w, i + 1)));
            } else if (option.len == 2 && sp_span_starts(word, option)) {
                worst = rule_worst(worst, rule_script(sp_span_slice(word, 2, word.len)));
            }
        }
    }
    return worst;
}

static sp_alarm judge_client(const rule_words *w, size_t at)
{
    sp_alarm worst = {0};
    for (size_t i = at + 1; i < w->count; i++) {
        sp_span word = rule_word(w, i);
        size_t skip = word.len > 2 && word.ptr[0] == '-' && word.ptr[1] != '-' ? 2 : 0;
        size_t equals = sp_span_starts(word, LIT("--")) ? sp_span_index(word, '=') + 1 : 0;
        worst = rule_worst(worst, rule_sql(sp_span_slice(word, equals + skip, word.len)));
    }
    return worst;
}

/* All words from there as one text: eval, ssh host ..., su -c. */
static sp_alarm judge_joined(const judging *j, const rule_words *w, size_t from, unsigned depth)
{
    auto_buf sp_buf joined = sp_buf_make(SP_ALARM_LINE_MAX_BYTES);
    bool open = false;
    for (size_t i = from; i < w->count; i++) {
        sp_buf_span(&joined, rule_word(w, i));
        sp_buf_byte(&joined, ' ');
        open = open || w->words[i]->open;
    }
    sp_alarm inner = judge_text(j, sp_buf_borrow(&joined), depth + 1);
    return open ? hidden_or(inner, 65, "what runs is only known when it runs") : inner;
}

/* ---- pipes ---- */

/* The text that echo, printf or <<< give to the next command. */
static void literal_of(const rule_words *w, sp_buf *out)
{
    sp_span program = sp_span_behind(rule_word(w, 0), '/');
    bool echo = sp_span_eq(program, LIT("echo")) || sp_span_eq(program, LIT("printf"));
    for (size_t i = 1; echo && i < w->count; i++) {
        sp_span word = rule_word(w, i);
        bool option = i == 1 && word.len == 2 && word.ptr[0] == '-';
        if (!option && !sp_span_eq(word, LIT("%s")) && !sp_span_eq(word, LIT("%s\\n"))) {
            sp_buf_span(out, word);
            sp_buf_byte(out, ' ');
        }
    }
}

static bool decodes(const rule_words *w)
{
    static const char *const DECODERS[] = {"base64",   "base32", "xxd",  "openssl", "rev", "tr",
                                           "uudecode", "gunzip", "zcat", "xz",      "gpg", "sed"};
    return RULE_ONE_OF(sp_span_behind(rule_word(w, skip_starters(w)), '/'), DECODERS);
}

/* base64 or hex, whatever it looks like. */
static sp_alarm judge_decoded(const judging *j, sp_span text, unsigned depth)
{
    sp_span code = sp_span_trim(text);
    auto_buf sp_buf plain = sp_buf_make(SP_ALARM_LINE_MAX_BYTES);
    if (sp_failed(sp_buf_unbase64(&plain, code))) {
        sp_buf_reset(&plain);
        if (sp_failed(sp_buf_unhex(&plain, code))) {
            return (sp_alarm){0};
        }
    }
    return judge_text(j, sp_buf_borrow(&plain), depth + 1);
}

typedef struct {
    sp_buf literal; /* what the command before gives */
    bool decoded;
} piping;

static sp_alarm judge_piped_into(const judging *j, const piping *p, sp_span program, unsigned depth)
{
    sp_span given = sp_buf_borrow(&p->literal);
    if (rule_is_database_client(program)) {
        return rule_sql(given);
    }
    static const char *const LATER[] = {"at", "batch", "expect", "gdb", "ex", "ed"};
    if (!rule_is_shell(program) && !rule_is_interpreter(program) && !RULE_ONE_OF(program, LATER)) {
        return (sp_alarm){0};
    }
    sp_alarm inner = p->decoded ? judge_decoded(j, given, depth) : judge_text(j, given, depth + 1);
    return p->decoded ? hidden_or(inner, 80, "a shell runs what was decoded") : inner;
}

/* ---- a simple command ---- */

static void words_of(const shell_line *line, const shell_command *c, rule_words *w)
{
    w->line = line;
    w->count = 0;
    for (size_t i = c->first; i < (size_t)c->first + c->count; i++) {
        if (!line->words[i].target && !line->words[i].source && !line->words[i].here) {
            w->words[w->count++] = &line->words[i];
        }
    }
}

/* > file: with nothing to write, over a device, or over files of the system. */
static sp_alarm judge_redirects(const shell_line *line, const shell_command *c, const rule_words *w)
{
    static const char *const NOTHING[] = {":", "true", "false"};
    sp_span program = sp_span_behind(rule_word(w, 0), '/');
    bool nothing = w->count == 0 || RULE_ONE_OF(program, NOTHING) ||
                   (sp_span_eq(program, LIT("echo")) &&
                    (w->count == 1 || (w->count == 2 && sp_span_eq(rule_word(w, 1), LIT("-n"))))) ||
                   (sp_span_eq(program, LIT("cat")) && rule_has_word(w, 1, "/dev/null"));
    sp_alarm worst = {0};
    for (size_t i = c->first; i < (size_t)c->first + c->count; i++) {
        const shell_word *word = &line->words[i];
        sp_span path = shell_text(line, word);
        bool sink = sp_span_eq(path, LIT("/dev/null")) || sp_span_starts(path, LIT("/dev/std")) ||
                    sp_span_eq(path, LIT("/dev/tty")) || path.len < 2;
        if (!word->target || sink) {
            continue;
        }
        if (sp_span_starts(path, LIT("/dev/tcp/")) || sp_span_starts(path, LIT("/dev/udp/"))) {
            worst = rule_worst(worst, (sp_alarm){85, "a shell is handed to another machine"});
        } else if (sp_span_starts(path, LIT("/dev/")) && !sp_span_starts(path, LIT("/dev/shm/"))) {
            worst = rule_worst(worst, (sp_alarm){90, "a device is written over"});
        } else if (nothing && !word->appends) {
            worst = rule_worst(worst, (sp_alarm){75, "a file is emptied"});
        } else if (!word->appends && (rule_matters(path) && !sp_span_starts(path, LIT("~")) &&
                                      !sp_span_starts(path, LIT("/home/")))) {
            worst = rule_worst(worst, (sp_alarm){60, "a file of the system is written over"});
        }
    }
    return worst;
}

static sp_alarm judge_interpreter(const rule_words *w, size_t at)
{
    static const char *const CODE[] = {"-c", "-e", "-E", "-r", "--eval", "-p"};
    sp_span program = sp_span_behind(rule_word(w, at), '/');
    sp_span first = rule_word(w, at + 1);
    bool awk = sp_span_find(program, LIT("awk")) < program.len;
    if (awk && sp_span_find(first, LIT("system\050")) < first.len) {
        return (sp_alarm){70, "a program given as a word runs another one"};
    }
    return judge_code(w, at, CODE, SP_COUNT(CODE));
}

/* su -c, script -qc: the word behind it. */
static sp_alarm judge_option_c(const judging *j, const rule_words *w, size_t at, unsigned depth)
{
    for (size_t i = at + 1; i < w->count; i++) {
        sp_span word = rule_word(w, i);
        if (word.len >= 2 && word.ptr[0] == '-' && word.ptr[1] != '-' &&
            word.ptr[word.len - 1] == 'c') {
            return judge_text(j, rule_word(w, i + 1), depth + 1);
        }
    }
    return (sp_alarm){0};
}

/* What an editor's, debugger's or archiver's word has it run: "+!x", ":!x", "shell x",
 * "alias.a=!x", "--checkpoint-action=exec=x". Empty: nothing. */
static sp_span command_in(sp_span word)
{
    static const char *const BEFORE[] = {"!", "shell ", "exec ", "spawn ", "system "};
    static const char *const BEHIND[] = {"=!",
                                         "=exec=", "--to-command=", "--use-compress-program="};
    while (word.len > 0 && (word.ptr[0] == '+' || word.ptr[0] == ':')) {
        word = sp_span_slice(word, 1, word.len);
    }
    for (size_t i = 0; i < SP_COUNT(BEFORE); i++) {
        sp_span start = sp_span_cstr(BEFORE[i]);
        if (sp_span_starts(word, start)) {
            return sp_span_slice(word, start.len, word.len);
        }
    }
    for (size_t i = 0; i < SP_COUNT(BEHIND); i++) {
        sp_span sign = sp_span_cstr(BEHIND[i]);
        size_t at = sp_span_find(word, sign);
        if (at < word.len) {
            return sp_span_slice(word, at + sign.len, word.len);
        }
    }
    return SP_SPAN_EMPTY;
}

static sp_alarm judge_embedded(const judging *j, const rule_words *w, size_t at, unsigned depth)
{
    sp_alarm worst = rule_judge(w, at);
    for (size_t i = at + 1; i < w->count; i++) {
        sp_span inner = command_in(rule_word(w, i));
        if (inner.len > 0) {
            worst = rule_worst(worst, judge_text(j, inner, depth + 1));
        }
    }
    return worst;
}

/* docker exec NAME x, ip netns exec NAME x: where x begins is not known, so it is looked for. */
static sp_alarm judge_inside(const judging *j, const rule_words *w, size_t at, unsigned depth)
{
    static const char *const VERBS[] = {"exec", "run"};
    sp_alarm worst = rule_judge(w, at);
    size_t verb = at + 1;
    while (verb < w->count && !RULE_ONE_OF(rule_word(w, verb), VERBS)) {
        verb++;
    }
    for (size_t i = verb + 1; i < w->count; i++) {
        sp_span program = sp_span_behind(rule_word(w, i), '/');
        worst = rule_worst(worst, rule_judge(w, i));
        if (rule_is_shell(program)) {
            worst = rule_worst(worst, judge_shell(j, w, i, false, depth));
        }
    }
    return worst;
}

/* env -S "x": the words of x. */
static sp_alarm judge_split(const judging *j, const rule_words *w, size_t end, unsigned depth)
{
    sp_span long_name = LIT("--split-string=");
    for (size_t i = 0; i < end && i < w->count; i++) {
        sp_span word = rule_word(w, i);
        if (sp_span_eq(word, LIT("-S"))) {
            return judge_text(j, rule_word(w, i + 1), depth + 1);
        }
        if (sp_span_starts(word, long_name)) {
            return judge_text(j, sp_span_slice(word, long_name.len, word.len), depth + 1);
        }
    }
    return (sp_alarm){0};
}

/* Each word may be a command: ssh host "...", alias x="...", trap "...". */
static sp_alarm judge_each(const judging *j, const rule_words *w, size_t at, unsigned depth)
{
    sp_span program = sp_span_behind(rule_word(w, at), '/');
    bool is_alias = sp_span_eq(program, LIT("alias"));
    sp_alarm worst = rule_judge(w, at);
    for (size_t i = at + 1; i < w->count; i++) {
        sp_span word = rule_word(w, i);
        size_t skip = is_alias ? sp_span_index(word, '=') + 1 : 0;
        worst = rule_worst(worst, judge_text(j, sp_span_slice(word, skip, word.len), depth + 1));
    }
    return sp_span_eq(program, LIT("ssh")) ? rule_worst(worst, judge_joined(j, w, at + 2, depth))
                                           : worst;
}

static sp_alarm judge_plain(const rule_words *w, size_t at)
{
    static const char *const LISTS[] = {"xargs", "parallel"};
    static const char *const TAKES[] = {"rm", "unlink", "mv", "shred"};
    sp_alarm worst = rule_judge(w, at);
    if (RULE_ONE_OF(sp_span_behind(rule_word(w, 0), '/'), LISTS) &&
        RULE_ONE_OF(sp_span_behind(rule_word(w, at), '/'), TAKES)) {
        worst = rule_worst(worst, (sp_alarm){85, "files are removed by a list"});
    }
    return worst;
}

static sp_alarm judge_program(const judging *j, const rule_words *w, size_t at, bool piped,
                              unsigned depth)
{
    static const char *const EACH[] = {"ssh", "ansible", "alias", "trap"};
    static const char *const OPTION_C[] = {"su", "script", "-c"};
    static const char *const EMBEDS[] = {"vi",  "vim", "nvim", "view", "ex",     "gvim", "less",
                                         "gdb", "git", "tar",  "lldb", "expect", "more"};
    static const char *const INSIDE[] = {"docker", "podman", "kubectl", "ip", "lxc", "nerdctl"};
    sp_span program = sp_span_behind(rule_word(w, at), '/');
    if (at >= w->count || w->words[at]->open) {
        return rule_judge(w, at);
    }
    if (at > 0 && sp_span_index(rule_word(w, at), ' ') < rule_word(w, at).len) {
        return judge_text(j, rule_word(w, at), depth + 1); /* watch 'rm -rf x' */
    }
    if (rule_is_shell(program)) {
        return judge_shell(j, w, at, piped, depth);
    }
    if (rule_is_interpreter(program)) {
        return judge_interpreter(w, at);
    }
    if (rule_is_database_client(program)) {
        return judge_client(w, at);
    }
    if (sp_span_eq(program, LIT("eval"))) {
        return judge_joined(j, w, at + 1, depth);
    }
    if (RULE_ONE_OF(program, OPTION_C)) { /* what starts another one has it as well: flock x -c */
        return judge_option_c(j, w, sp_span_eq(program, LIT("-c")) ? at - 1 : at, depth);
    }
    if (RULE_ONE_OF(program, EMBEDS)) {
        return judge_embedded(j, w, at, depth);
    }
    if (RULE_ONE_OF(program, INSIDE)) {
        return judge_inside(j, w, at, depth);
    }
    return RULE_ONE_OF(program, EACH) ? judge_each(j, w, at, depth) : judge_plain(w, at);
}

static sp_alarm judge_command(const judging *j, const shell_line *line, const shell_command *c,
                              piping *pipe, unsigned depth)
{
    rule_words w;
    words_of(line, c, &w);
    sp_alarm worst = judge_redirects(line, c, &w);
    size_t at = skip_starters(&w);
    sp_span program = sp_span_behind(rule_word(&w, at), '/');
    for (size_t i = c->first; i < (size_t)c->first + c->count; i++) {
        if (line->words[i].here) { /* <<< */
            sp_buf_reset(&pipe->literal);
            sp_buf_span(&pipe->literal, shell_text(line, &line->words[i]));
            worst = rule_worst(worst, judge_piped_into(j, pipe, program, depth));
        }
    }
    worst = rule_worst(worst, judge_program(j, &w, at, c->piped, depth));
    worst = rule_worst(worst, judge_split(j, &w, at, depth));
    if (c->piped) {
        worst = rule_worst(worst, judge_piped_into(j, pipe, program, depth));
    }
    if (c->piped && decodes(&w)) {
        pipe->decoded = true;
    } else {
        sp_buf_reset(&pipe->literal);
        pipe->decoded = decodes(&w);
        literal_of(&w, &pipe->literal);
        for (size_t i = c->first; i < (size_t)c->first + c->count; i++) {
            if (line->words[i].here) {
                sp_buf_span(&pipe->literal, shell_text(line, &line->words[i]));
            }
        }
    }
    return worst;
}

static sp_alarm judge_text(const judging *j, sp_span text, unsigned depth)
{
    sp_alarm worst = {0};
    if (depth >= SHELL_DEPTH_MAX || text.len > SP_ALARM_LINE_MAX_BYTES) {
        return (sp_alarm){65, "too deep or too long to be looked through"};
    }
    shell_line *line = &j->judge->lines[depth];
    if (!shell_split(text, j->vars, line)) {
        worst = (sp_alarm){65, "too deep or too long to be looked through"};
    }
    piping pipe = {.literal = sp_buf_make(SP_ALARM_LINE_MAX_BYTES)};
    for (size_t i = 0; i < line->commands_count; i++) {
        worst = rule_worst(worst, judge_command(j, line, &line->commands[i], &pipe, depth));
    }
    sp_buf_done(&pipe.literal);
    size_t inner = line->inner_count;
    sp_span inners[SP_COUNT(line->inner)];
    sp_copy(inners, line->inner, sizeof(inners));
    for (size_t i = 0; i < inner; i++) {
        worst = rule_worst(worst, judge_text(j, inners[i], depth + 1));
    }
    return worst;
}

/* A line that a database's client reads, not a shell. */
static bool begins_as_sql(sp_span line)
{
    static const char *const WORDS[] = {"drop",    "truncate", "delete", "alter",    "update",
                                        "prepare", "execute",  "system", "flushall", "flushdb",
                                        "purge",   "reset",    "db.",    "\\!",      "explain",
                                        "with",    "set",      "begin"};
    sp_span text = sp_span_trim(line);
    for (size_t i = 0; i < SP_COUNT(WORDS); i++) {
        sp_span word = sp_span_cstr(WORDS[i]);
        if (sp_span_eq_nocase(sp_span_slice(text, 0, word.len), word)) {
            return true;
        }
    }
    return false;
}

sp_alarm sp_alarm_line(sp_alarm_judge *judge, sp_alarm_vars *vars, sp_span line)
{
    sp_set(&judge->vars, 0, sizeof(judge->vars));
    judging j = {judge, vars == NULL ? &judge->vars : vars};
    sp_span text = sp_span_trim(line);
    sp_alarm worst = {0};
    if (text.len == 0) {
        return worst;
    }
    if (begins_as_sql(text)) {
        worst = rule_sql(text);
    }
    if (text.len > 2 && text.ptr[0] == ':' && text.ptr[1] == '!') { /* an editor's way out */
        text = sp_span_slice(text, 2, text.len);
    }
    return rule_worst(worst, judge_text(&j, text, 0));
}
