/**
 * Options: one table that says which commands and options there are; parsing, `--help` and the man page all
 * read it.
 *
 * Strings in `struct pz_cli_args` point into argv (or are static), except pair names, which it owns.
 * Threads: everything here is used by the main thread only.
 */
#ifndef PZ_CLI_OPTIONS_H
#define PZ_CLI_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "personalize.h"

enum pz_cli_command {
    PZ_CMD_RUN = 0, /**< no command word: prepare and render */
    PZ_CMD_PREPARE,
    PZ_CMD_RENDER,
    PZ_CMD_DETECT,
    PZ_CMD_CHECK,
    PZ_CMD_EVALUATE,
    PZ_CMD_MODELS,
    PZ_CMD_COUNT
};

struct pz_cli_command_info {
    const char *name;     /**< word on the command line; "" for PZ_CMD_RUN */
    const char *operands; /**< synopsis of what is not an option */
    int min_operands, max_operands;
    const char *brief; /**< one line, no full stop */
    const char *text;  /**< a paragraph for `--help` and the man page */
};

/** The commands, by enum pz_cli_command. */
extern const struct pz_cli_command_info pz_cli_commands[PZ_CMD_COUNT];

enum pz_cli_kind {
    PZ_OPT_FLAG,   /**< bool field */
    PZ_OPT_TEXT,   /**< const char * field, any non-empty text */
    PZ_OPT_CHOICE, /**< const char * field, one of `choices` */
    PZ_OPT_INT,    /**< int64_t field in [min,max] */
    PZ_OPT_PAIR,   /**< NAME=VALUE added to a struct pz_cli_pairs */
    PZ_OPT_VAR,    /**< VALUE for the variable `choices`, added to a struct pz_cli_pairs */
};

/** Bit of a command in `struct pz_cli_option.commands`. */
#define PZ_CMD_BIT(c) (1u << (c))

struct pz_cli_option {
    const char *name; /**< long name without dashes */
    char letter;      /**< short name or 0 */
    enum pz_cli_kind kind;
    const char *arg;     /**< what help calls the argument; NULL for flags */
    const char *choices; /**< "a|b|c" for CHOICE, the variable for VAR, else NULL */
    int64_t min, max;    /**< for INT */
    unsigned commands;   /**< which commands take it */
    size_t offset;       /**< of the field in struct pz_cli_args */
    const char *help;    /**< one sentence; NULL = not shown (used by the build) */
};

/** The options, in the order of the help, and how many there are. */
extern const struct pz_cli_option pz_cli_options[];
extern const int pz_cli_n_options;

/** Names and values in the order given. */
struct pz_cli_pairs {
    char **names;        /**< [n], owned */
    const char **values; /**< [n], borrowed from argv */
    int n;
};

struct pz_cli_args {
    enum pz_cli_command command;
    const char *operands[3];
    int n_operands;
    struct pz_cli_pairs vars, spoken, say, audio;
    const char *output, *transcript, *recogniser, *slots, *plot, *language, *consent, *lip_sync_model, *face,
        *voice, *fit, *device, *precision, *quality, *face_detector, *guidance, *size, *memory;
    const char *models_dir, *cache_dir, *preset, *strip, *profile, *judge;
    int64_t threads; /**< 0 = one per CPU */
    int64_t seed;    /**< 1 when not given */
    int64_t steps;   /**< 0 = what the quality says */
    int64_t crf;     /**< 0 = the library's default */
    bool no_lip_sync, no_smooth, hide_values, accept_licence, json, quiet, verbose, help, version, help_man;
};

/** What went wrong, for the one line on stderr. */
struct pz_cli_error {
    enum pz_result result;
    char text[512]; /**< what, where, what to do; no prefix, no newline */
};

/**
 * Parse a command line.
 *
 * `args` is filled completely; free it with pz_cli_args_free() also after a failure. Operands and values are
 * checked (pz_cli_value_check()), files are not opened. With `--help` or `--version` the rest need not be
 * complete. Returns PZ_RESULT_DONE, or what is wrong, with `*error` filled.
 */
enum pz_result pz_cli_parse(int argc, char **argv, struct pz_cli_args *args, struct pz_cli_error *error);

void pz_cli_args_free(struct pz_cli_args *args);

/** Most characters (code points) a value may have. */
#define PZ_CLI_MAX_VALUE 200

/**
 * Check that `value` can be spoken: UTF-8, 1 to PZ_CLI_MAX_VALUE characters, no control characters, not
 * blank. Returns NULL when it can, else what is wrong and what to do, as static text.
 */
const char *pz_cli_value_check(const char *value);

/** Variable names as they are typed: [a-z][a-z0-9_-]*, at most 63 bytes; a dash means an underscore. */
bool pz_cli_name_ok(const char *name, size_t n_bytes);

#endif
