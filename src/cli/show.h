/** Reports for people: the library's JSON as lines a person reads. */
#ifndef PZ_CLI_SHOW_H
#define PZ_CLI_SHOW_H

#include <stdbool.h>
#include <stdio.h>

/** Any report, as indented "name: value" lines; an array of objects gives one line each; an evaluation with
 * controls as a table. Text that is not JSON is printed as it is. */
void pz_cli_show(FILE *out, const char *json);

/** A render report in short: the film, its slots, what was made and copied, time, quality. */
void pz_cli_show_render(FILE *out, const char *json);

/** Number at the top level of a report, or `other` when there is none. */
double pz_cli_report_number(const char *json, const char *name, double other);

/** True when the text `name` at the top level of a report is `value`. */
bool pz_cli_report_is(const char *json, const char *name, const char *value);

#endif
