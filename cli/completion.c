/* SPDX-License-Identifier: Apache-2.0
 * completion: the script that makes bash complete our words.
 * OWNS nothing. PROCESS cli. TRUST none. SPEC bash(1) "Programmable Completion".
 */
#include "cli/args.h"
#include "cli/handlers.h"

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

int sp_completion(const sp_given *given)
{
    if (!sp_same(given->words[0], "bash")) {
        sp_complain("there is a script for bash only");
        return SP_EXIT_USAGE;
    }
    fputs(script, stdout);
    return SP_EXIT_OK;
}
