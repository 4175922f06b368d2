/* SPDX-License-Identifier: Apache-2.0
 * completion: the script that makes bash complete our words.
 * OWNS nothing. PROCESS cli. TRUST none. SPEC bash(1) "Programmable Completion".
 */
#include "cli/args.h"
#include "cli/commands.h"
#include "lib/base/mem.h"

#include <stdio.h>

static const char script[] =
    "# bash completion of sallyport: eval \"$(sallyport completion bash)\"\n"
    "_sallyport() {\n"
    "  local words=\"${COMP_WORDS[1]}\" here=\"${COMP_WORDS[COMP_CWORD]}\" next=\n"
    "  if [ \"$COMP_CWORD\" -eq 1 ]; then\n"
    "    next=\"$(sallyport --help | sed -n 's/^  \\([a-z-]*\\) .*/\\1/p')\"\n"
    "  elif [ \"$COMP_CWORD\" -eq 2 ]; then\n"
    "    next=\"$(sallyport \"$words\" --help 2>/dev/null | sed -n 's/^  \\([a-z-]*\\) "
    ".*/\\1/p')\"\n"
    "  else\n"
    "    next=\"$(sallyport \"$words\" \"${COMP_WORDS[2]}\" --help 2>/dev/null |\n"
    "      sed -n 's/^  \\(-[a-z0-9-]*\\) .*/\\1/p')\"\n"
    "  fi\n"
    "  COMPREPLY=($(compgen -W \"$next\" -- \"$here\"))\n"
    "}\n"
    "complete -o default -F _sallyport sallyport\n";

int sp_completion_command(int argc, char **argv)
{
    const sp_usage usage = {
        "completion bash",
        "Prints a script for the shell: eval \"$(sallyport completion bash)\" in ~/.bashrc.",
        NULL,
        0,
        1,
        1};
    const char *words[SP_WORDS_MAX];
    size_t count = 0;
    int status = sp_args_read(&usage, argc, argv, words, &count);
    if (status != SP_GO_ON) {
        return status;
    }
    if (!sp_span_eq(sp_span_cstr(words[0]), SP_SPAN_LIT("bash"))) {
        sp_complain("there is a script for bash only");
        return SP_EXIT_USAGE;
    }
    fputs(script, stdout);
    return SP_EXIT_OK;
}
