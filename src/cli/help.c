/* Help and man page. Everything about options comes from the table; only exit codes and files are told here.
 */
#include "cli/help.h"

#include <string.h>

#define WIDTH 96
#define INDENT 30

static const struct {
    int code;
    const char *text;
} exit_codes[] = {
    {PZ_RESULT_DONE, "done"},
    {PZ_RESULT_USAGE, "bad usage: an option, name or combination that does not exist"},
    {PZ_RESULT_INPUT, "bad input: a file, transcript or value that cannot be used"},
    {PZ_RESULT_UNUSABLE, "nothing usable in the footage: no face, no such word"},
    {PZ_RESULT_WEIGHTS, "weights of a model are missing"},
    {PZ_RESULT_DEVICE, "device or memory failed"},
    {PZ_RESULT_WRITE, "the output could not be written"},
    {PZ_RESULT_CANCELLED, "interrupted"},
};
#define N_EXIT_CODES ((int)(sizeof exit_codes / sizeof exit_codes[0]))

/* Print `text` wrapped at WIDTH; the cursor stands at column `at`, further lines start at `indent`. */
static void wrap(FILE *out, const char *text, int at, int indent)
{
    bool first = true; /* no blank before the first word of a line, so that no line ends with one */
    while (*text) {
        int n = (int)strcspn(text, " ");
        if (!first && at + 1 + n > WIDTH) {
            fprintf(out, "\n%*s", indent, "");
            at = indent;
            first = true;
        }
        at += fprintf(out, "%s%.*s", first ? "" : " ", n, text);
        first = false;
        text += n;
        text += strspn(text, " ");
    }
    fputc('\n', out);
}

static void help_option(FILE *out, const struct pz_cli_option *o)
{
    int at =
        o->letter ? fprintf(out, "  -%c, --%s", o->letter, o->name) : fprintf(out, "      --%s", o->name);
    if (o->arg)
        at += fprintf(out, " %s", o->arg);
    if (at > INDENT - 2) {
        fprintf(out, "\n%*s", INDENT, "");
        at = INDENT;
    } else {
        at += fprintf(out, "%*s", INDENT - at, "");
    }
    if (o->kind == PZ_OPT_CHOICE) {
        char text[512];
        snprintf(text, sizeof text, "%s (%s)", o->help, o->choices);
        wrap(out, text, at, INDENT);
    } else {
        wrap(out, o->help, at, INDENT);
    }
}

void pz_cli_help(FILE *out, enum pz_cli_command command)
{
    const struct pz_cli_command_info *c = &pz_cli_commands[command];
    if (command == PZ_CMD_RUN) {
        fprintf(out, "personalize %s: one film, the same film for every customer\n\n", pz_version());
        fprintf(out, "usage: personalize VIDEO [--customer-name VALUE] [OPTION …] -o OUT.mp4\n");
        for (int k = PZ_CMD_RUN + 1; k < PZ_CMD_COUNT; k++)
            fprintf(out, "       personalize %s %s [OPTION …]\n", pz_cli_commands[k].name,
                    pz_cli_commands[k].operands);
        fprintf(out, "\ncommands (each has --help):\n");
        for (int k = PZ_CMD_RUN; k < PZ_CMD_COUNT; k++)
            fprintf(out, "  %-*s%s\n", INDENT - 2, k == PZ_CMD_RUN ? "VIDEO" : pz_cli_commands[k].name,
                    pz_cli_commands[k].brief);
    } else {
        fprintf(out, "usage: personalize %s %s [OPTION …]\n\n%s.\n", c->name, c->operands, c->brief);
    }
    fputc('\n', out);
    wrap(out, c->text, 0, 0);
    fprintf(out, "\noptions:\n");
    for (int k = 0; k < pz_cli_n_options; k++)
        if (pz_cli_options[k].help && (pz_cli_options[k].commands & PZ_CMD_BIT(command)))
            help_option(out, &pz_cli_options[k]);
    fprintf(out, "\nexit codes:\n");
    for (int k = 0; k < N_EXIT_CODES; k++)
        fprintf(out, "  %3d  %s\n", exit_codes[k].code, exit_codes[k].text);
    if (command == PZ_CMD_RUN)
        fprintf(
            out,
            "\nexample:\n  personalize video.mp4 --spoken customer_name=Anuj --spoken destination=Bali \\\n"
            "      --customer-name John --destination Paris -o john.mp4\n");
}

/* Text in roff: a backslash and a dash are escaped, a line may not start with a dot or quote. `word` in
 * backquotes becomes bold. */
static void roff(FILE *out, const char *text)
{
    bool bold = false;
    if (*text == '.' || *text == '\'')
        fputs("\\&", out);
    for (; *text; text++) {
        if (*text == '\\')
            fputs("\\e", out);
        else if (*text == '-')
            fputs("\\-", out);
        else if (*text == '`')
            fputs((bold = !bold) ? "\\fB" : "\\fR", out);
        else
            fputc(*text, out);
    }
}

static void man_option(FILE *out, const struct pz_cli_option *o)
{
    fputs(".TP\n", out);
    if (o->letter)
        fprintf(out, "\\fB\\-%c\\fR, ", o->letter);
    fputs("\\fB\\-\\-", out);
    roff(out, o->name);
    fputs("\\fR", out);
    if (o->arg) {
        fputs(" \\fI", out);
        roff(out, o->arg);
        fputs("\\fR", out);
    }
    fputc('\n', out);
    roff(out, o->help);
    if (o->kind == PZ_OPT_CHOICE) {
        fputs("\nOne of ", out);
        for (const char *c = o->choices; *c;) {
            int n = (int)strcspn(c, "|");
            fprintf(out, "\\fB%.*s\\fR", n, c);
            c += n;
            if (*c) {
                c++;
                fputs(strchr(c, '|') ? ", " : " or ", out);
            }
        }
        fputc('.', out);
    }
    if (o->commands != (1u << PZ_CMD_COUNT) - 1) {
        fputs("\nCommands:", out);
        const char *between = " ";
        for (int k = 0; k < PZ_CMD_COUNT; k++)
            if (o->commands & PZ_CMD_BIT(k)) {
                fprintf(out, "%s\\fB%s\\fR", between, k == PZ_CMD_RUN ? "VIDEO" : pz_cli_commands[k].name);
                between = ", ";
            }
        fputc('.', out);
    }
    fputc('\n', out);
}

void pz_cli_man(FILE *out)
{
    fprintf(out, ".TH PERSONALIZE 1 \"\" \"personalize %s\" \"User Commands\"\n", pz_version());
    fputs(".SH NAME\npersonalize \\- one film, the same film for every customer\n.SH SYNOPSIS\n", out);
    for (int k = 0; k < PZ_CMD_COUNT; k++) {
        fputs(k ? ".br\n" : "", out);
        fprintf(out, "\\fBpersonalize\\fR %s%s%s\\fI", k ? "\\fB" : "", pz_cli_commands[k].name,
                k ? "\\fR " : "");
        roff(out, pz_cli_commands[k].operands);
        fprintf(out, "\\fR [\\fIOPTION\\fR ...]%s\n", k == PZ_CMD_RUN ? " \\fB\\-o\\fR \\fIOUT.mp4\\fR" : "");
    }
    fputs(
        ".SH DESCRIPTION\nSomebody films a speaker once. Every customer gets the same film in which the "
        "speaker says "
        "that customer's name, in the speaker's place, with lips that match, and nothing else in the picture "
        "changed.\n.SH COMMANDS\n",
        out);
    for (int k = 0; k < PZ_CMD_COUNT; k++) {
        fputs(".TP\n\\fB", out);
        fprintf(out, "%s%s", pz_cli_commands[k].name, k ? "\\fR \\fI" : "");
        roff(out, pz_cli_commands[k].operands);
        fputs("\\fR\n", out);
        roff(out, pz_cli_commands[k].text);
        fputc('\n', out);
    }
    fputs(".SH OPTIONS\n", out);
    for (int k = 0; k < pz_cli_n_options; k++)
        if (pz_cli_options[k].help)
            man_option(out, &pz_cli_options[k]);
    fputs(".SH EXIT STATUS\n", out);
    for (int k = 0; k < N_EXIT_CODES; k++)
        fprintf(out, ".TP\n\\fB%d\\fR\n%s\n", exit_codes[k].code, exit_codes[k].text);
    fputs(".SH ENVIRONMENT\n.TP\n\\fBPERSONALIZE_MODELS\\fR\nFolder of downloaded weights.\n"
          ".SH FILES\nThe film is written beside a temporary name and renamed when complete. Its report "
          "stands beside "
          "it with the same stem and the ending .json.\n"
          ".SH NOTES\nA personalised film is synthetic media of a real person: ask the speaker first, and "
          "keep the "
          "consent (\\fB\\-\\-consent\\fR). Every output is marked as synthetic in its metadata.\n",
          out);
}
