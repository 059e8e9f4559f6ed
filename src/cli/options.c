/* Parsing of the command line by the table. Opens no files and prints nothing. */
#include "cli/options.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define N_OPTIONS_MAX 64

struct parser {
    struct pz_cli_args *args;
    struct pz_cli_error *error;
    int argc, i;
    char **argv;
    bool seen[N_OPTIONS_MAX]; /* options given, by table index: those that may be given once */
};

static enum pz_result fail(struct pz_cli_error *e, enum pz_result code, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

static enum pz_result fail(struct pz_cli_error *e, enum pz_result code, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(e->text, sizeof e->text, fmt, ap);
    va_end(ap);
    e->result = code;
    return code;
}

/* What of an argument may be echoed in an error line: no control bytes, not endless, not cut inside a
 * character. */
static const char *echo(const char *s, char out[64])
{
    size_t n = 0;
    for (; n < 60 && s[n]; n++)
        out[n] = (unsigned char)s[n] < 0x20 || s[n] == 0x7f ? '?' : s[n];
    while (s[n] && n && ((unsigned char)s[n] & 0xc0) == 0x80)
        n--;
    snprintf(out + n, 64 - n, "%s", s[n] ? "…" : "");
    return out;
}

static int find_long(const char *name, size_t n)
{
    for (int k = 0; k < pz_cli_n_options; k++)
        if (strlen(pz_cli_options[k].name) == n && strncmp(pz_cli_options[k].name, name, n) == 0)
            return k;
    return -1;
}

static int find_letter(char c)
{
    for (int k = 0; k < pz_cli_n_options; k++)
        if (pz_cli_options[k].letter && pz_cli_options[k].letter == c)
            return k;
    return -1;
}

/* Edits (insert, delete, replace) between two short words; large for long ones. */
static int distance(const char *a, size_t n, const char *b)
{
    size_t m = strlen(b);
    int row[64];
    if (n >= 64 || m >= 64)
        return 64;
    for (size_t j = 0; j <= m; j++)
        row[j] = (int)j;
    for (size_t i = 1; i <= n; i++) {
        int diagonal = row[0];
        row[0] = (int)i;
        for (size_t j = 1; j <= m; j++) {
            int best = diagonal + (a[i - 1] != b[j - 1]);
            diagonal = row[j];
            if (row[j] + 1 < best)
                best = row[j] + 1;
            if (row[j - 1] + 1 < best)
                best = row[j - 1] + 1;
            row[j] = best;
        }
    }
    return row[m];
}

static enum pz_result unknown_option(struct parser *p, const char *arg, size_t n)
{
    char shown[64];
    const char *command = pz_cli_commands[p->args->command].name;
    const char *near = NULL;
    int best = 4;
    for (int k = 0; n > 2 && k < pz_cli_n_options; k++) {
        int d = distance(arg, n, pz_cli_options[k].name);
        if (d < best && (pz_cli_options[k].commands & PZ_CMD_BIT(p->args->command))) {
            best = d;
            near = pz_cli_options[k].name;
        }
    }
    const char *given = echo(p->argv[p->i], shown);
    if (near)
        return fail(p->error, PZ_RESULT_USAGE, "unknown option %s; did you mean --%s?", given, near);
    return fail(p->error, PZ_RESULT_USAGE,
                "unknown option %s; see personalize %s%s--help (own variables: --var NAME=VALUE)", given,
                command, *command ? " " : "");
}

static enum pz_result add_pair(struct parser *p, struct pz_cli_pairs *list, const char *name, size_t n,
                               const char *value)
{
    char *copy = strndup(name, n);
    for (size_t i = 0; copy && i < n; i++)
        if (copy[i] == '-')
            copy[i] = '_';
    for (int k = 0; copy && k < list->n; k++)
        if (!strcmp(list->names[k], copy)) {
            free(copy);
            return fail(p->error, PZ_RESULT_USAGE, "variable %s is given twice; keep one", list->names[k]);
        }
    char **names = realloc(list->names, (size_t)(list->n + 1) * sizeof *names);
    if (names)
        list->names = names;
    const char **values = realloc(list->values, (size_t)(list->n + 1) * sizeof *values);
    if (values)
        list->values = values;
    if (!names || !values || !copy) {
        free(copy);
        return fail(p->error, PZ_RESULT_DEVICE, "out of memory");
    }
    list->names[list->n] = copy;
    list->values[list->n++] = value;
    return PZ_RESULT_DONE;
}

static enum pz_result set_pair(struct parser *p, const struct pz_cli_option *o, const char *text)
{
    struct pz_cli_pairs *list = (struct pz_cli_pairs *)((char *)p->args + o->offset);
    const char *name = o->choices, *value = text;
    char shown[64];
    size_t n = name ? strlen(name) : 0;
    if (o->kind == PZ_OPT_PAIR) {
        const char *eq = strchr(text, '=');
        if (!eq)
            return fail(p->error, PZ_RESULT_USAGE, "--%s %s: want %s", o->name, echo(text, shown), o->arg);
        name = text;
        n = (size_t)(eq - text);
        value = eq + 1;
        if (!pz_cli_name_ok(name, n))
            return fail(
                p->error, PZ_RESULT_USAGE,
                "--%s %s: a variable's name is made of small letters, digits and _, starting with a letter",
                o->name, echo(text, shown));
    }
    const char *wrong = pz_cli_value_check(value);
    if (wrong)
        return fail(p->error, PZ_RESULT_INPUT, "value of %.*s (--%s): %s", (int)n, name, o->name, wrong);
    return add_pair(p, list, name, n, value);
}

static bool is_choice(const char *choices, const char *text)
{
    size_t n = strlen(text);
    for (const char *c = strchr(text, '|') ? NULL : choices; n && c; c = strchr(c, '|'), c = c ? c + 1 : NULL)
        if (strncmp(c, text, n) == 0 && (c[n] == '|' || c[n] == '\0'))
            return true;
    return false;
}

static enum pz_result set_int(struct parser *p, const struct pz_cli_option *o, const char *text)
{
    char *end, shown[64];
    errno = 0;
    long long v = strtoll(text, &end, 10);
    if (errno || end == text || *end || v < o->min || v > o->max) {
        if (o->max == INT64_MAX)
            return fail(p->error, PZ_RESULT_USAGE, "--%s %s: want a whole number, %lld or more", o->name,
                        echo(text, shown), (long long)o->min);
        return fail(p->error, PZ_RESULT_USAGE, "--%s %s: want a whole number from %lld to %lld", o->name,
                    echo(text, shown), (long long)o->min, (long long)o->max);
    }
    *(int64_t *)((char *)p->args + o->offset) = v;
    return PZ_RESULT_DONE;
}

static enum pz_result set_option(struct parser *p, const struct pz_cli_option *o, const char *text)
{
    void *field = (char *)p->args + o->offset;
    char shown[64];
    switch (o->kind) {
    case PZ_OPT_FLAG:
        *(bool *)field = true;
        return PZ_RESULT_DONE;
    case PZ_OPT_TEXT:
        if (!*text)
            return fail(p->error, PZ_RESULT_USAGE, "--%s is empty; want %s", o->name, o->arg);
        *(const char **)field = text;
        return PZ_RESULT_DONE;
    case PZ_OPT_CHOICE:
        if (!is_choice(o->choices, text))
            return fail(p->error, PZ_RESULT_USAGE, "--%s %s: want one of %s", o->name, echo(text, shown),
                        o->choices);
        *(const char **)field = text;
        return PZ_RESULT_DONE;
    case PZ_OPT_INT:
        return set_int(p, o, text);
    case PZ_OPT_PAIR:
    case PZ_OPT_VAR:
        return set_pair(p, o, text);
    }
    return PZ_RESULT_USAGE;
}

/* True when `arg` is one of our options, so that it was hardly meant as the value of the option before it. */
static bool looks_like_option(const char *arg)
{
    if (strncmp(arg, "--", 2) == 0)
        return find_long(arg + 2, strcspn(arg + 2, "=")) >= 0;
    return arg[0] == '-' && arg[1] && !arg[2] && find_letter(arg[1]) >= 0;
}

/* argv[i] starts with '-': take it and, when it needs one, its value. */
static enum pz_result parse_option(struct parser *p)
{
    const char *arg = p->argv[p->i], *value = NULL, *name;
    int k;
    size_t n;
    if (arg[1] == '-') {
        name = arg + 2;
        n = strcspn(name, "=");
        k = find_long(name, n);
        if (name[n] == '=')
            value = name + n + 1;
    } else {
        name = arg + 1;
        n = 1;
        k = find_letter(arg[1]);
        if (k >= 0 && arg[2])
            value = arg + 2; /* -oFILE */
    }
    if (k < 0)
        return unknown_option(p, name, n);
    const struct pz_cli_option *o = &pz_cli_options[k];
    const char *command = pz_cli_commands[p->args->command].name;
    if (!(o->commands & PZ_CMD_BIT(p->args->command)))
        return fail(p->error, PZ_RESULT_USAGE,
                    "--%s does not belong to personalize %s; see personalize %s%s--help", o->name,
                    *command ? command : "VIDEO", command, *command ? " " : "");
    if (o->kind == PZ_OPT_FLAG) {
        if (value)
            return fail(p->error, PZ_RESULT_USAGE, "--%s takes no value", o->name);
        return set_option(p, o, NULL);
    }
    if (!value) {
        if (p->i + 1 >= p->argc || looks_like_option(p->argv[p->i + 1]))
            return fail(p->error, PZ_RESULT_USAGE, "--%s needs a value: --%s %s", o->name, o->name, o->arg);
        value = p->argv[++p->i];
    }
    if (o->kind != PZ_OPT_PAIR && p->seen[k])
        return fail(p->error, PZ_RESULT_USAGE, "--%s is given twice; keep one", o->name);
    p->seen[k] = true;
    return set_option(p, o, value);
}

/* Commands of the design that this version does not have: an honest line instead of "no such file". */
static bool is_later_command(const char *word)
{
    return !strcmp(word, "batch") || !strcmp(word, "serve") || !strcmp(word, "benchmark");
}

static enum pz_result parse_command(struct parser *p)
{
    const char *word = p->argc > 1 ? p->argv[1] : "";
    p->args->command = PZ_CMD_RUN;
    for (int c = PZ_CMD_RUN + 1; c < PZ_CMD_COUNT; c++)
        if (!strcmp(word, pz_cli_commands[c].name)) {
            p->args->command = (enum pz_cli_command)c;
            p->i = 2;
            return PZ_RESULT_DONE;
        }
    if (is_later_command(word))
        return fail(p->error, PZ_RESULT_USAGE,
                    "this version has no command %s; personalize --help lists those it has (a file of that "
                    "name: ./%s)",
                    word, word);
    p->i = 1;
    return PZ_RESULT_DONE;
}

/* What only the whole line can tell. */
static enum pz_result check_whole(struct parser *p)
{
    const struct pz_cli_args *a = p->args;
    const struct pz_cli_command_info *c = &pz_cli_commands[a->command];
    if (a->n_operands < c->min_operands)
        return fail(p->error, PZ_RESULT_USAGE,
                    "%s is missing: personalize %s%s%s …; see personalize %s%s--help", c->operands, c->name,
                    *c->name ? " " : "", c->operands, c->name, *c->name ? " " : "");
    bool writes = a->command == PZ_CMD_RUN || a->command == PZ_CMD_PREPARE || a->command == PZ_CMD_RENDER;
    if (writes && !a->output)
        return fail(p->error, PZ_RESULT_USAGE, "nowhere to write to; add -o %s",
                    a->command == PZ_CMD_PREPARE ? "NAME.pzt" : "OUT.mp4");
    if (a->quiet && a->verbose)
        return fail(p->error, PZ_RESULT_USAGE, "--quiet and --verbose exclude each other; keep one");
    if (a->no_lip_sync && a->lip_sync_model)
        return fail(p->error, PZ_RESULT_USAGE,
                    "--no-lip-sync and --lip-sync-model exclude each other; keep one");
    if (a->device && strcmp(a->device, "auto") && strcmp(a->device, "cpu") && strcmp(a->device, "cuda") &&
        (strncmp(a->device, "cuda:", 5) || strspn(a->device + 5, "0123456789") != strlen(a->device + 5) ||
         strlen(a->device + 5) < 1 || strlen(a->device + 5) > 3))
        return fail(p->error, PZ_RESULT_USAGE, "--device: want auto, cpu, cuda or cuda:N");
    if (a->guidance) {
        char *end;
        double g = strtod(a->guidance, &end);
        if (*end || !(g >= 1 && g <= 10))
            return fail(p->error, PZ_RESULT_USAGE, "--guidance: want a number from 1 to 10");
    }
    if (a->memory) {
        char *end;
        double gb = strtod(a->memory, &end);
        if (*end || !(gb >= 0.1 && gb <= 10000))
            return fail(p->error, PZ_RESULT_USAGE, "--memory: want gigabytes, e.g. 6");
    }
    return PZ_RESULT_DONE;
}

enum pz_result pz_cli_parse(int argc, char **argv, struct pz_cli_args *args, struct pz_cli_error *error)
{
    struct parser p = {.args = args, .error = error, .argc = argc, .argv = argv};
    bool only_operands = false;
    memset(args, 0, sizeof *args);
    memset(error, 0, sizeof *error);
    args->seed = 1;
    enum pz_result code = parse_command(&p);
    for (; code == PZ_RESULT_DONE && p.i < argc; p.i++) {
        const char *arg = argv[p.i];
        if (!only_operands && arg[0] == '-' && arg[1]) {
            if (!strcmp(arg, "--"))
                only_operands = true;
            else
                code = parse_option(&p);
            continue;
        }
        char shown[64];
        if (args->n_operands >= pz_cli_commands[args->command].max_operands)
            code = fail(error, PZ_RESULT_USAGE, "one argument too many: %s", echo(arg, shown));
        else if (!*arg)
            code = fail(error, PZ_RESULT_USAGE, "an argument is empty; want %s",
                        pz_cli_commands[args->command].operands);
        else
            args->operands[args->n_operands++] = arg;
    }
    if (code != PZ_RESULT_DONE || args->help || args->version || args->help_man)
        return code;
    return check_whole(&p);
}

static void free_pairs(struct pz_cli_pairs *list)
{
    for (int k = 0; k < list->n; k++)
        free(list->names[k]);
    free(list->names);
    free(list->values);
    memset(list, 0, sizeof *list);
}

void pz_cli_args_free(struct pz_cli_args *args)
{
    free_pairs(&args->vars);
    free_pairs(&args->spoken);
    free_pairs(&args->say);
    free_pairs(&args->audio);
}
