/* The option table: every line parsed as it should be, every error with its code and its words; help and man
 * page name every option once. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "cli/help.h"
#include "cli/options.h"

#define MAX_WORDS 16

/* The help prints the library's version; here is a version to print. */
const char *pz_version(void)
{
    return "9.8.7";
}

static enum pz_result parse(const char *const *words, struct pz_cli_args *a, struct pz_cli_error *e)
{
    char *argv[MAX_WORDS + 2] = {(char *)"personalize"};
    int argc = 1;
    for (; words[argc - 1]; argc++)
        argv[argc] = (char *)words[argc - 1];
    return pz_cli_parse(argc, argv, a, e);
}

static const char c400[] =
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";

static const struct {
    const char *words[MAX_WORDS];
    enum pz_result code;
    const char *says; /* must be part of the error line */
} errors[] = {
    {{NULL}, PZ_RESULT_USAGE, "VIDEO is missing"},
    {{"v.mp4"}, PZ_RESULT_USAGE, "add -o OUT.mp4"},
    {{"prepare", "v.mp4"}, PZ_RESULT_USAGE, "add -o NAME.pzt"},
    {{"render", "-o", "x.mp4"}, PZ_RESULT_USAGE, "TEMPLATE is missing"},
    {{"v.mp4", "w.mp4", "-o", "x.mp4"}, PZ_RESULT_USAGE, "one argument too many: w.mp4"},
    {{"v.mp4", "", "-o", "x.mp4"}, PZ_RESULT_USAGE, "too many"},
    {{""}, PZ_RESULT_USAGE, "an argument is empty"},
    {{"v.mp4", "--custmer-name", "A"},
     PZ_RESULT_USAGE,
     "unknown option --custmer-name; did you mean --customer-name?"},
    {{"v.mp4", "--colour", "A"}, PZ_RESULT_USAGE, "unknown option --colour"},
    {{"v.mp4", "-x"}, PZ_RESULT_USAGE, "unknown option -x"},
    {{"v.mp4", "--out\x1b[31mput"}, PZ_RESULT_USAGE, "unknown option --out?[31mput"},
    {{"detect", "v.mp4", "--output", "A"}, PZ_RESULT_USAGE, "--output does not belong to personalize detect"},
    {{"v.mp4", "-o", "x.mp4", "--memory", "much"}, PZ_RESULT_USAGE, "--memory: want gigabytes"},
    {{"v.mp4", "-o", "x.mp4", "--memory", "0"}, PZ_RESULT_USAGE, "--memory: want gigabytes"},
    {{"render", "t.pzt", "--spoken", "a=b"},
     PZ_RESULT_USAGE,
     "--spoken does not belong to personalize render"},
    {{"v.mp4", "--crf"}, PZ_RESULT_USAGE, "--crf needs a value"},
    {{"v.mp4", "--customer-name", "--destination", "P"}, PZ_RESULT_USAGE, "--customer-name needs a value"},
    {{"v.mp4", "-o", "-q"}, PZ_RESULT_USAGE, "--output needs a value"},
    {{"v.mp4", "--json=yes"}, PZ_RESULT_USAGE, "--json takes no value"},
    {{"v.mp4", "--crf", "41"}, PZ_RESULT_USAGE, "--crf 41: want a whole number from 1 to 40"},
    {{"v.mp4", "--crf", "0"}, PZ_RESULT_USAGE, "from 1 to 40"},
    {{"v.mp4", "--crf", "18x"}, PZ_RESULT_USAGE, "--crf 18x"},
    {{"v.mp4", "--seed", "99999999999999999999"}, PZ_RESULT_USAGE, "--seed"},
    {{"v.mp4", "--seed", "-1"}, PZ_RESULT_USAGE, "0 or more"},
    {{"v.mp4", "--fit", "squeeze"}, PZ_RESULT_USAGE, "--fit squeeze: want one of auto|stretch|borrow|retime"},
    {{"v.mp4", "--fit", "str"}, PZ_RESULT_USAGE, "--fit str: want one of"},
    {{"v.mp4", "--fit", "stretch|borrow"}, PZ_RESULT_USAGE, "want one of"},
    {{"v.mp4", "--fit="}, PZ_RESULT_USAGE, "want one of"},
    {{"v.mp4", "--voice="}, PZ_RESULT_USAGE, "--voice is empty"},
    {{"v.mp4", "--var", "name"}, PZ_RESULT_USAGE, "want NAME=VALUE"},
    {{"v.mp4", "--var", "=x"}, PZ_RESULT_USAGE, "small letters"},
    {{"v.mp4", "--var", "Name=x"}, PZ_RESULT_USAGE, "small letters"},
    {{"v.mp4", "--var", "a-b=x", "--var", "a_b=y"}, PZ_RESULT_USAGE, "variable a_b is given twice"},
    {{"v.mp4", "--customer-name", "A", "--var", "customer_name=B"},
     PZ_RESULT_USAGE,
     "customer_name is given twice"},
    {{"v.mp4", "--fit", "auto", "--fit", "auto"}, PZ_RESULT_USAGE, "--fit is given twice"},
    {{"v.mp4", "-o", "x.mp4", "-q", "-v"}, PZ_RESULT_USAGE, "exclude each other"},
    {{"v.mp4", "-o", "x.mp4", "--no-lip-sync", "--lip-sync-model", "auto"},
     PZ_RESULT_USAGE,
     "exclude each other"},
    {{"v.mp4", "-o", "x.mp4", "--device", "gpu"}, PZ_RESULT_USAGE, "--device: want"},
    {{"v.mp4", "-o", "x.mp4", "--device", "cuda:"}, PZ_RESULT_USAGE, "--device: want"},
    {{"v.mp4", "-o", "x.mp4", "--device", "cuda:x"}, PZ_RESULT_USAGE, "--device: want"},
    {{"serve"}, PZ_RESULT_USAGE, "this version has no command serve"},
    {{"batch", "t.pzt", "c.csv"}, PZ_RESULT_USAGE, "this version has no command batch"},
    {{"benchmark"}, PZ_RESULT_USAGE, "this version has no command benchmark"},
    {{"v.mp4", "--customer-name", ""}, PZ_RESULT_INPUT, "value of customer_name (--customer-name): is empty"},
    {{"v.mp4", "--customer-name="}, PZ_RESULT_INPUT, "is empty"},
    {{"v.mp4", "--customer-name", " \xc2\xa0 "}, PZ_RESULT_INPUT, "is empty"},
    {{"v.mp4", "--var", "a="}, PZ_RESULT_INPUT, "value of a (--var): is empty"},
    {{"v.mp4", "--destination", c400}, PZ_RESULT_INPUT, "longer than 200 characters"},
    {{"v.mp4", "--destination", "Par\xc3("}, PZ_RESULT_INPUT, "not valid UTF-8"},
    {{"v.mp4", "--destination", "Par\xff"}, PZ_RESULT_INPUT, "not valid UTF-8"},
    {{"v.mp4", "--destination", "\xc0\xaf"}, PZ_RESULT_INPUT, "not valid UTF-8"},
    {{"v.mp4", "--destination", "\xed\xa0\x80"}, PZ_RESULT_INPUT, "not valid UTF-8"},
    {{"v.mp4", "--destination", "\xf5\x80\x80\x80"}, PZ_RESULT_INPUT, "not valid UTF-8"},
    {{"v.mp4", "--destination", "Pa\nris"}, PZ_RESULT_INPUT, "control characters"},
    {{"v.mp4", "--destination", "Pa\x1bris"}, PZ_RESULT_INPUT, "control characters"},
    {{"v.mp4", "--destination", "Pa\xc2\x85ris"}, PZ_RESULT_INPUT, "control characters"},
    {{"v.mp4", "--destination", "Pa\xe2\x80\xaeris"}, PZ_RESULT_INPUT, "control characters"},
    {{"v.mp4", "--spoken", "a="}, PZ_RESULT_INPUT, "value of a (--spoken): is empty"},
};

static void every_error_has_its_code_and_words(void **state)
{
    for (size_t i = 0; i < sizeof errors / sizeof errors[0]; i++) {
        struct pz_cli_args a;
        struct pz_cli_error e;
        enum pz_result code = parse(errors[i].words, &a, &e);
        if (code != errors[i].code || !strstr(e.text, errors[i].says))
            fail_msg("case %zu (%s …): code %d, '%s', expected %d, '%s'", i, errors[i].words[0], code, e.text,
                     errors[i].code, errors[i].says);
        assert_int_equal(e.result, code);
        assert_null(strchr(e.text, '\n'));
        pz_cli_args_free(&a);
    }
}

static void a_full_line_fills_every_field(void **state)
{
    const char *const words[] = {"film.mp4",
                                 "--customer-name",
                                 "José-Łukasz",
                                 "--destination=Paris",
                                 "--spoken",
                                 "customer_name=Anuj K",
                                 "-oout.mp4",
                                 "--var",
                                 "day=next = May",
                                 "--crf",
                                 "20",
                                 "--seed=7",
                                 "--no-lip-sync",
                                 "-q",
                                 "--fit=retime",
                                 NULL};
    struct pz_cli_args a;
    struct pz_cli_error e;
    assert_int_equal(parse(words, &a, &e), PZ_RESULT_DONE);
    assert_int_equal(a.command, PZ_CMD_RUN);
    assert_int_equal(a.n_operands, 1);
    assert_string_equal(a.operands[0], "film.mp4");
    assert_string_equal(a.output, "out.mp4");
    assert_int_equal(a.vars.n, 3);
    assert_string_equal(a.vars.names[0], "customer_name");
    assert_string_equal(a.vars.values[0], "José-Łukasz");
    assert_string_equal(a.vars.names[1], "destination");
    assert_string_equal(a.vars.values[1], "Paris");
    assert_string_equal(a.vars.names[2], "day");
    assert_string_equal(a.vars.values[2], "next = May");
    assert_int_equal(a.spoken.n, 1);
    assert_string_equal(a.spoken.values[0], "Anuj K");
    assert_int_equal(a.crf, 20);
    assert_int_equal(a.seed, 7);
    assert_string_equal(a.fit, "retime");
    assert_true(a.no_lip_sync && a.quiet && !a.json && !a.verbose);
    pz_cli_args_free(&a);
}

static void commands_and_their_defaults(void **state)
{
    for (int c = PZ_CMD_RUN + 1; c < PZ_CMD_COUNT; c++) {
        const char *const help[] = {pz_cli_commands[c].name, "--help", NULL};
        struct pz_cli_args a;
        struct pz_cli_error e;
        assert_int_equal(parse(help, &a, &e), PZ_RESULT_DONE);
        assert_int_equal(a.command, c);
        assert_true(a.help);
        pz_cli_args_free(&a);
    }
    const char *const dashes[] = {"detect", "--json", "--", "-film.mp4", NULL};
    struct pz_cli_args a;
    struct pz_cli_error e;
    assert_int_equal(parse(dashes, &a, &e), PZ_RESULT_DONE);
    assert_string_equal(a.operands[0], "-film.mp4");
    assert_int_equal(a.seed, 1);
    assert_int_equal(a.threads, 0);
    pz_cli_args_free(&a);
}

static void values_at_the_limit(void **state)
{
    char text[PZ_CLI_MAX_VALUE * 4 + 8] = "";
    for (int i = 0; i < PZ_CLI_MAX_VALUE; i++)
        memcpy(text + 4 * i, "\xf0\x9f\x98\x80", 5);
    assert_null(pz_cli_value_check(text));
    memcpy(text + 4 * PZ_CLI_MAX_VALUE, "a", 2);
    assert_non_null(pz_cli_value_check(text));
    assert_null(pz_cli_value_check("अनुज"));
    assert_null(pz_cli_value_check("O'Brien, 2nd"));
    assert_non_null(pz_cli_value_check("\xe0\x80"));
}

/* How often `word` stands in `text`. */
static int count(const char *text, const char *word)
{
    int n = 0;
    for (const char *p = text; (p = strstr(p, word)); p += strlen(word))
        n++;
    return n;
}

static void help_and_man_name_every_option(void **state)
{
    char *text = NULL, word[64];
    size_t n = 0;
    for (int c = 0; c < PZ_CMD_COUNT; c++) {
        FILE *f = open_memstream(&text, &n);
        pz_cli_help(f, (enum pz_cli_command)c);
        fclose(f);
        for (int k = 0; k < pz_cli_n_options; k++) {
            const struct pz_cli_option *o = &pz_cli_options[k];
            snprintf(word, sizeof word, "--%s%s%s\n", o->name, o->arg ? " " : "", o->arg ? o->arg : "");
            bool listed = o->help && (o->commands & PZ_CMD_BIT(c));
            word[strlen(word) - 1] = '\0';
            if (!listed && o->arg)
                assert_int_equal(count(strstr(text, "\noptions:"), word), 0);
            else if (listed)
                assert_true(count(strstr(text, "\noptions:"), word) >= 1);
        }
        assert_int_equal(count(text, "help-man"), 0);
        assert_true(count(text, "  130  interrupted") == 1);
        assert_int_equal(count(text, "serve"), 0);
        free(text);
    }
    FILE *f = open_memstream(&text, &n);
    pz_cli_man(f);
    fclose(f);
    for (int k = 0; k < pz_cli_n_options; k++) {
        int at = snprintf(word, sizeof word, "\\fB\\-\\-");
        for (const char *p = pz_cli_options[k].name; *p; p++)
            at += snprintf(word + at, sizeof word - (size_t)at, "%s%c", *p == '-' ? "\\" : "", *p);
        snprintf(word + at, sizeof word - (size_t)at, "\\fR");
        if (strcmp(pz_cli_options[k].name, "consent")) /* NOTES names it once more */
            assert_int_equal(count(text, word), pz_cli_options[k].help ? 1 : 0);
    }
    assert_non_null(strstr(text, "personalize 9.8.7"));
    free(text);
}

static void the_table_is_sound(void **state)
{
    assert_true(pz_cli_n_options <= 64);
    for (int k = 0; k < pz_cli_n_options; k++) {
        const struct pz_cli_option *o = &pz_cli_options[k];
        assert_true(o->offset < sizeof(struct pz_cli_args));
        assert_true(o->commands != 0);
        assert_true((o->kind == PZ_OPT_FLAG) == (o->arg == NULL));
        assert_true((o->kind == PZ_OPT_CHOICE || o->kind == PZ_OPT_VAR) == (o->choices != NULL));
        for (int j = 0; j < k; j++) {
            assert_string_not_equal(o->name, pz_cli_options[j].name);
            assert_true(!o->letter || o->letter != pz_cli_options[j].letter);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_error_has_its_code_and_words), cmocka_unit_test(a_full_line_fills_every_field),
        cmocka_unit_test(commands_and_their_defaults),        cmocka_unit_test(values_at_the_limit),
        cmocka_unit_test(help_and_man_name_every_option),     cmocka_unit_test(the_table_is_sound),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
