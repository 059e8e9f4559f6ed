/**
 * SIGINT, SIGTERM and SIGHUP: the first asks the library to stop (it then removes what it began), a second
 * one removes this process's temporary files beside the output and ends the process at once.
 *
 * The one place of the program with state outside `main`: a signal handler needs it. Children started later
 * get the default handlers back (exec resets them) and no blocked signals.
 */
#ifndef PZ_CLI_INTERRUPT_H
#define PZ_CLI_INTERRUPT_H

#include <stdbool.h>

/** Install the handlers and start the watching thread. `output` (may be NULL) names the file or folder whose
 * temporary files a second signal removes; it must live until the process ends. False when that fails
 * (errno). */
bool pz_cli_interrupt_start(const char *output);

/** True once a signal came. Any thread. */
bool pz_cli_interrupted(void);

/** Remove files and folders "DIR/.*.pz-PID-*.tmp", DIR being the folder of `output`; the library's temporary
 * names. */
void pz_cli_remove_temporaries(const char *output, long pid);

#endif
