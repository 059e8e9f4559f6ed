/* Reports for people. Knows JSON and, for the short form, the names of the report's fields (docs/report.md).
 */
#include "cli/show.h"

#include <jansson.h>
#include <string.h>

static void scalar(FILE *out, const json_t *v)
{
    switch (json_typeof(v)) {
    case JSON_STRING:
        fputs(json_string_value(v), out);
        break;
    case JSON_INTEGER:
        fprintf(out, "%lld", (long long)json_integer_value(v));
        break;
    case JSON_REAL:
        fprintf(out, "%.6g", json_real_value(v));
        break;
    case JSON_TRUE:
        fputs("yes", out);
        break;
    case JSON_FALSE:
        fputs("no", out);
        break;
    default:
        fputs("-", out);
    }
}

static bool is_flat(const json_t *v)
{
    return !json_is_object(v) && !json_is_array(v);
}

/* One line: "a 1, b [2, 3], c (d 4)". */
static void inline_value(FILE *out, json_t *v, int depth)
{
    const char *name, *between = "";
    json_t *e;
    size_t i;
    if (is_flat(v) || depth > 4) {
        if (is_flat(v))
            scalar(out, v);
        return;
    }
    if (json_is_array(v)) {
        fputc('[', out);
        json_array_foreach(v, i, e)
        {
            fputs(between, out);
            inline_value(out, e, depth + 1);
            between = ", ";
        }
        fputc(']', out);
        return;
    }
    fputs(depth ? "(" : "", out);
    json_object_foreach(v, name, e)
    {
        fprintf(out, "%s%s ", between, name);
        inline_value(out, e, depth + 1);
        between = ", ";
    }
    fputs(depth ? ")" : "", out);
}

static void block(FILE *out, json_t *object, int indent)
{
    const char *name;
    json_t *v, *e;
    size_t i;
    json_object_foreach(object, name, v)
    {
        fprintf(out, "%*s%s:", indent, "", name);
        if (json_is_object(v) && indent < 8) {
            fputc('\n', out);
            block(out, v, indent + 2);
        } else if (json_is_array(v) && json_array_size(v) && !is_flat(json_array_get(v, 0))) {
            fputc('\n', out);
            json_array_foreach(v, i, e)
            {
                fprintf(out, "%*s", indent + 2, "");
                inline_value(out, e, 0);
                fputc('\n', out);
            }
        } else {
            fputc(' ', out);
            inline_value(out, v, 0);
            fputc('\n', out);
        }
    }
}

static void cell(FILE *out, const json_t *v)
{
    if (json_is_number(v))
        fprintf(out, " %10.5g", json_number_value(v));
    else
        fprintf(out, " %10s", "-");
}

/* Figures of an evaluation beside those of its controls: one line a figure. False when it is not one. */
static bool comparison(FILE *out, json_t *root)
{
    json_t *figures = json_object_get(root, "figures"), *controls = json_object_get(root, "controls"), *v, *c;
    const char *name, *other;
    if (!json_is_object(figures) || !json_is_object(controls))
        return false;
    json_object_foreach(root, name, v)
    {
        if (!is_flat(v))
            continue;
        fprintf(out, "%s: ", name);
        inline_value(out, v, 0);
        fputc('\n', out);
    }
    fprintf(out, "\n%-18s %10s", "", "made");
    json_object_foreach(controls, other, c)
    {
        fprintf(out, " %10s", other);
    }
    fputc('\n', out);
    json_object_foreach(figures, name, v)
    {
        fprintf(out, "%-18s", name);
        cell(out, v);
        json_object_foreach(controls, other, c)
        {
            cell(out, json_object_get(c, name));
        }
        fputc('\n', out);
    }
    return true;
}

void pz_cli_show(FILE *out, const char *json)
{
    json_t *root = json_loads(json, 0, NULL);
    if (!json_is_object(root))
        fprintf(out, "%s\n", json);
    else if (!comparison(out, root))
        block(out, root, 0);
    json_decref(root);
}

static double number(json_t *object, const char *name, double other)
{
    json_t *v = json_object_get(object, name);
    return json_is_number(v) ? json_number_value(v) : other;
}

static const char *string(json_t *object, const char *name)
{
    const char *s = json_string_value(json_object_get(object, name));
    return s ? s : "?";
}

static void show_slot(FILE *out, json_t *slot)
{
    fprintf(out, "  %s: '%s' -> '%s' at %.2f-%.2f s, fit %s, face %s\n", string(slot, "name"),
            string(slot, "spoken"), string(slot, "value"), number(slot, "out_start_s", 0),
            number(slot, "out_end_s", 0), string(slot, "fit"),
            string(json_object_get(slot, "face"), "verdict"));
}

void pz_cli_show_render(FILE *out, const char *json)
{
    json_t *root = json_loads(json, 0, NULL), *v;
    size_t i;
    if (!json_is_object(root)) {
        fprintf(out, "%s\n", json);
        json_decref(root);
        return;
    }
    fprintf(out, "%s: %.2f s, %.0f frames: %.0f made, %.0f encoded, %.0f copied\n", string(root, "output"),
            number(root, "duration_s", 0), number(root, "frames_total", 0), number(root, "frames_touched", 0),
            number(root, "frames_encoded", 0), number(root, "frames_copied", 0));
    json_array_foreach(json_object_get(root, "slots"), i, v)
    {
        show_slot(out, v);
    }
    json_t *timings = json_object_get(root, "timings_s");
    fprintf(out, "  lip-sync %s on %s, %.1f s (prepare %.1f s)\n", string(root, "model"),
            string(root, "device"), number(timings, "total", 0), number(timings, "prepare", 0));
    json_t *heard = json_object_get(json_object_get(root, "qc"), "readback");
    if (json_is_object(heard))
        fprintf(out, "  read back: '%s', score %.2f\n", string(heard, "text"), number(heard, "score", 0));
    json_decref(root);
}

double pz_cli_report_number(const char *json, const char *name, double other)
{
    json_t *root = json_loads(json, 0, NULL);
    double value = number(root, name, other);
    json_decref(root);
    return value;
}

bool pz_cli_report_is(const char *json, const char *name, const char *value)
{
    json_t *root = json_loads(json, 0, NULL);
    const char *text = json_string_value(json_object_get(root, name));
    bool same = text && !strcmp(text, value);
    json_decref(root);
    return same;
}
