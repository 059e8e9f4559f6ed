/** Help and man page, written from the table of options. */
#ifndef PZ_CLI_HELP_H
#define PZ_CLI_HELP_H

#include <stdio.h>

#include "cli/options.h"

/** `personalize --help` (PZ_CMD_RUN: also lists the commands) or `personalize COMMAND --help`. */
void pz_cli_help(FILE *out, enum pz_cli_command command);

/** The man page personalize(1), in man(7) macros. */
void pz_cli_man(FILE *out);

#endif
