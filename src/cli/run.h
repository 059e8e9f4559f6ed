/** The program: parse, do, report, exit code. */
#ifndef PZ_CLI_RUN_H
#define PZ_CLI_RUN_H

/** What main() does; returns the exit code. */
int pz_cli_main(int argc, char **argv);

#endif
