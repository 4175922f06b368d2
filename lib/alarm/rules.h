/* SPDX-License-Identifier: Apache-2.0
 * What a simple command is worth, by its program and words. Private to lib/alarm.
 * OWNS nothing. PROCESS ssh gate. TRUST words are hostile. SPEC lib/alarm/README.
 */
#ifndef SP_ALARM_RULES_H
#define SP_ALARM_RULES_H

#include "lib/alarm/shell.h"

/* Words of a command without redirections. */
typedef struct {
    const shell_line *line;
    const shell_word *words[SHELL_WORDS_MAX];
    size_t count;
} rule_words;

static inline sp_span rule_word(const rule_words *w, size_t at)
{
    return at < w->count ? shell_text(w->line, w->words[at]) : SP_SPAN_EMPTY;
}

/* The last segment of a path, without a '\' in front. */
#define RULE_ONE_OF(word, list) (sp_span_which(word, list, SP_COUNT(list)) < SP_COUNT(list))
bool rule_is_shell(sp_span program);
bool rule_is_interpreter(sp_span program);
bool rule_is_database_client(sp_span program);
/* A short option's letter anywhere in a bundle, or the long one. */
bool rule_has_option(const rule_words *w, size_t from, uint8_t letter, const char *long_name);
bool rule_has_word(const rule_words *w, size_t from, const char *word);

/* A path whose loss is felt: absolute, and not of temporary things. */
bool rule_matters(sp_span path);

/* The command that words[from..] are, by its program. */
sp_alarm rule_judge(const rule_words *w, size_t from);
/* Text of a database: SQL, or the words of other stores. */
sp_alarm rule_sql(sp_span text);
/* A program in another language, given as a word. */
sp_alarm rule_script(sp_span text);

static inline sp_alarm rule_worst(sp_alarm a, sp_alarm b)
{
    return b.confidence > a.confidence ? b : a;
}

#endif
