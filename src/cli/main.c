/* Entry point. SIGPIPE is ignored so that a closed pipe is an error we can report, with the outputs complete.
 */
#include <signal.h>

#include "cli/run.h"

int main(int argc, char **argv)
{
    signal(SIGPIPE, SIG_IGN);
    return pz_cli_main(argc, argv);
}
