/* SPDX-License-Identifier: Apache-2.0
 * Words of databases and of other languages that destroy.
 * OWNS nothing. PROCESS ssh gate. TRUST text is hostile. SPEC lib/alarm/rules.h.
 */
#include "lib/alarm/rules.h"

enum { PLAIN_BYTES = 2048 };

#define LIT SP_SPAN_LIT

/* In capitals, comments and runs of blanks as one blank, literals as ''. */
static sp_span plain_of(sp_span text, uint8_t room[PLAIN_BYTES])
{
    size_t len = 0;
    for (size_t i = 0; i < text.len && len + 1 < PLAIN_BYTES;) {
        sp_span rest = sp_span_slice(text, i, text.len);
        uint8_t ch = text.ptr[i];
        if (sp_span_starts(rest, LIT("/*!"))) { /* MySQL runs what stands in it */
            for (i += 3; i < text.len && sp_is_digit(text.ptr[i]); i++) {
            }
            ch = ' ';
        } else if (sp_span_starts(rest, LIT("/*"))) {
            size_t end = sp_span_find(rest, LIT("*/"));
            i += end + 2;
            ch = ' ';
        } else if (sp_span_starts(rest, LIT("*/"))) {
            i += 2;
            ch = ' ';
        } else if (sp_span_starts(rest, LIT("-- ")) || ch == '#') {
            i += sp_span_index(rest, '\n');
            ch = ' ';
        } else {
            i++;
        }
        bool blank = ch <= ' ' || ch == '`' || ch == '"';
        ch = blank ? ' ' : ch;
        if (ch == ' ' && (len == 0 || room[len - 1] == ' ')) {
            continue;
        }
        room[len++] = ch >= 'a' && ch <= 'z' ? (uint8_t)(ch - 'a' + 'A') : ch;
    }
    return sp_span_of(room, len);
}

static bool contains(sp_span text, const char *words)
{
    return sp_span_find(text, sp_span_cstr(words)) < text.len;
}

typedef struct {
    const char *words; /* at the begin of a statement */
    const char *unless;
    uint8_t confidence;
    const char *reason;
} statement;

static const statement STATEMENTS[] = {
    {"DROP DATABASE", NULL, 95, "a database is dropped"},
    {"DROP SCHEMA", NULL, 95, "a schema is dropped"},
    {"DROP TABLE", NULL, 90, "a table is dropped"},
    {"DROP ", NULL, 75, "something of a database is dropped"},
    {"TRUNCATE", NULL, 90, "a table is emptied"},
    {"DELETE FROM", " WHERE ", 85, "all rows of a table are deleted"},
    {"DELETE FROM", NULL, 40, "rows are deleted"},
    {"UPDATE ", " WHERE ", 75, "all rows of a table are changed"},
    {"PREPARE ", NULL, 60, "a statement is prepared out of sight"},
    {"EXECUTE ", NULL, 60, "a prepared statement is run"},
    {"EXECUTE IMMEDIATE", NULL, 75, "a statement is run that is only known then"},
    {"RESET MASTER", NULL, 85, "the log of a database is thrown away"},
    {"PURGE BINARY", NULL, 80, "the log of a database is thrown away"},
    {"SYSTEM ", NULL, 65, "a shell is started in a database's client"},
    {"\\! ", NULL, 65, "a shell is started in a database's client"},
    {"\\!", NULL, 65, "a shell is started in a database's client"},
    {"!", NULL, 0, NULL},
    {"FLUSHALL", NULL, 95, "a store is emptied"},
    {"FLUSHDB", NULL, 95, "a store is emptied"},
    {"SHUTDOWN NOSAVE", NULL, 80, "a store is stopped without saving"},
};

static sp_alarm judge_statement(sp_span s)
{
    sp_alarm worst = {0};
    for (size_t i = 0; i < SP_COUNT(STATEMENTS); i++) {
        const statement *known = &STATEMENTS[i];
        if (sp_span_starts(s, sp_span_cstr(known->words)) &&
            (known->unless == NULL || !contains(s, known->unless))) {
            worst = rule_worst(worst, (sp_alarm){known->confidence, known->reason});
        }
    }
    if (sp_span_starts(s, LIT("ALTER TABLE")) && contains(s, " DROP ")) {
        worst = rule_worst(worst, (sp_alarm){80, "a part of a table is dropped"});
    }
    if (contains(s, "DROPDATABASE(") || contains(s, ".DROP()") || contains(s, "DELETEMANY({})")) {
        worst = rule_worst(worst, (sp_alarm){90, "a collection is dropped"});
    }
    return worst;
}

sp_alarm rule_sql(sp_span text)
{
    uint8_t room[PLAIN_BYTES];
    sp_span rest = plain_of(text, room);
    sp_span one = SP_SPAN_EMPTY;
    sp_alarm worst = {0};
    while (sp_span_split(&rest, ';', &one)) {
        one = sp_span_trim(one);
        worst = rule_worst(worst, judge_statement(one));
        /* behind WITH ... , EXPLAIN ANALYZE ..., SET @x = '...' */
        static const char *const INSIDE[] = {"DROP TABLE ", "DROP DATABASE ", "TRUNCATE TABLE ",
                                             "DELETE FROM "};
        for (size_t i = 0; i < SP_COUNT(INSIDE); i++) {
            size_t at = sp_span_find(one, sp_span_cstr(INSIDE[i]));
            if (at > 0 && at < one.len) {
                worst = rule_worst(worst, judge_statement(sp_span_slice(one, at, one.len)));
            }
        }
    }
    return worst;
}

sp_alarm rule_script(sp_span text)
{
    static const char *const TAKES[] = {"unlink",     "rmtree",      "os.remove",    ".rmdir",
                                        "rm -r",      "rm_r",        "FileUtils.rm", "rmSync",
                                        "unlinkSync", "fs.rm",       "File.delete",  "truncate(",
                                        "removedirs", "remove_tree", "shutil.move",  "rename("};
    static const char *const RUNS[] = {
        "os.system", "subprocess", "popen", "system\050", "exec(",      "child_process", "eval(",
        "b64decode", "pack(",      "`",     "qx",         "shell_exec", "spawn",         "pty."};
    for (size_t i = 0; i < SP_COUNT(TAKES); i++) {
        if (contains(text, TAKES[i])) {
            return (sp_alarm){85, "a program given as a word removes files"};
        }
    }
    for (size_t i = 0; i < SP_COUNT(RUNS); i++) {
        if (contains(text, RUNS[i])) {
            return (sp_alarm){70, "a program given as a word runs another one"};
        }
    }
    return (sp_alarm){0};
}
