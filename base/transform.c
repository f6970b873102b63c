/*
 * The steps of an image's way into a network: their table, and a list of them as text.
 *
 * In: step records, or their text from a weights file or an artefact. Out: the other one. Holds: what is parsed is within
 * its row's ranges and in an order that can be carried out; printing and parsing give the same doubles.
 */
#include "base/base.h"

#include <math.h>
#include <string.h>

/* Row number = kind. The language takes names, parameters and ranges from here. */
static const ftso_augment_row rows[] = {
    [FTSO_AUG_CROP] = {"crop",
                       2,
                       {{"side", NAN, 1, 4096, true}, {"pad", 0, 0, 256, true}},
                       .random = true,
                       .sides = true},
    [FTSO_AUG_FLIP] = {"flip", 1, {{"p", 0.5, 0, 1, false}}, .random = true},
    [FTSO_AUG_CUTOUT] = {"cutout", 1, {{"side", NAN, 1, 4096, true}}, .random = true},
    [FTSO_AUG_NORMALIZE] = {"normalize", 0, {{0}}},
    [FTSO_AUG_RESIZED_CROP] = {"resized_crop",
                               5,
                               {{"side", NAN, 1, 4096, true},
                                {"area_from", 0.08, 0.001, 1, false},
                                {"area_to", 1, 0.001, 1, false},
                                {"ratio_from", 0.75, 0.1, 10, false},
                                {"ratio_to", 4.0 / 3, 0.1, 10, false}},
                               .random = true,
                               .sides = true},
    [FTSO_AUG_COLOR_JITTER] = {"color_jitter",
                               4,
                               {{"brightness", 0, 0, 1, false},
                                {"contrast", 0, 0, 1, false},
                                {"saturation", 0, 0, 1, false},
                                {"hue", 0, 0, 0.5, false}},
                               .random = true},
    [FTSO_AUG_RESIZE] = {"resize", 1, {{"side", NAN, 1, 4096, true}}, .sides = true},
    [FTSO_AUG_CENTER_CROP] = {"center_crop", 1, {{"side", NAN, 1, 4096, true}}, .sides = true},
};

const ftso_augment_row *ftso_augment_rows(size_t *out_count)
{
    *out_count = FTSO_COUNT(rows);
    return rows;
}

const char *ftso_transform_fault(const ftso_transform *transform, size_t *out_step)
{
    bool numbers = false, cut = false; /* pixels are numbers now; a square was cut out */
    for (size_t i = 0; i < transform->count; i++) {
        const ftso_augment *step = &transform->steps[i];
        *out_step = i;
        if (step->kind == FTSO_AUG_NORMALIZE && cut)
            return "cutout sets normalised pixels to zero, so it must come after normalize";
        if (step->kind != FTSO_AUG_CUTOUT && (numbers || cut))
            return "only cutout may come after normalize or cutout";
        if (step->kind == FTSO_AUG_RESIZED_CROP &&
            (step->args[1] > step->args[2] || step->args[3] > step->args[4]))
            return "the area and the ratio of resized_crop go from low to high";
        numbers = numbers || step->kind == FTSO_AUG_NORMALIZE;
        cut = cut || step->kind == FTSO_AUG_CUTOUT;
    }
    return NULL;
}

void ftso_transform_print(const ftso_transform *transform, ftso_text *out)
{
    char number[32];
    for (size_t i = 0; i < transform->count; i++) {
        const ftso_augment *step = &transform->steps[i];
        ftso_text_printf(out, "%s%s", i ? " -> " : "", rows[step->kind].name);
        for (size_t a = 0; a < step->arg_count; a++) {
            ftso_double_print(step->args[a], number);
            ftso_text_printf(out, "%s%s", a ? ", " : "(", number);
        }
        if (step->arg_count) ftso_text_puts(out, ")");
    }
}

/* ---------------------------------------------------------------- reading */

static ftso_status broken(const char *text, const char *at, const char *wanted)
{
    return ftso_error(FTSO_ERROR_DATA,
                      "the transform '%.80s' is damaged: %s was expected at '%.20s'", text, wanted,
                      at);
}

static const char *skip(const char *at)
{
    while (*at == ' ') at++;
    return at;
}

static ftso_status parse_name(const char *text, const char **at, ftso_augment *step)
{
    size_t length = strspn(*at, "abcdefghijklmnopqrstuvwxyz_");
    for (size_t i = 0; i < FTSO_COUNT(rows); i++)
        if (strlen(rows[i].name) == length && strncmp(*at, rows[i].name, length) == 0) {
            step->kind = (ftso_augment_kind)i;
            *at = skip(*at + length);
            return FTSO_STATUS_OK;
        }
    return broken(text, *at, "the name of a step");
}

/* "(1, 2.5)" or nothing. */
static ftso_status parse_numbers(const char *text, const char **at, ftso_augment *step)
{
    if (**at != '(') return FTSO_STATUS_OK;
    do {
        if (step->arg_count == FTSO_AUG_ARGS) return broken(text, *at, ")");
        char *end;
        const char *number = skip(*at + 1);
        double value = ftso_double_parse(number, &end);
        if (end == number || !isfinite(value)) return broken(text, number, "a number");
        step->args[step->arg_count++] = value;
        *at = skip(end);
    } while (**at == ',');
    if (**at != ')') return broken(text, *at, ")");
    *at = skip(*at + 1);
    return FTSO_STATUS_OK;
}

static ftso_status check_numbers(const char *text, const ftso_augment *step)
{
    const ftso_augment_row *row = &rows[step->kind];
    bool fits = step->arg_count == row->param_count;
    if (step->kind == FTSO_AUG_NORMALIZE) {
        fits = step->arg_count >= 2 && step->arg_count % 2 == 0;
        for (size_t a = step->arg_count / 2; a < step->arg_count; a++)
            fits = fits && step->args[a] >= 1e-6;
    }
    for (size_t a = 0; a < row->param_count && fits; a++)
        fits = step->args[a] >= row->params[a].lowest && step->args[a] <= row->params[a].highest &&
               (!row->params[a].whole || step->args[a] == floor(step->args[a]));
    if (fits) return FTSO_STATUS_OK;
    return ftso_error(FTSO_ERROR_DATA,
                      "the transform '%.80s' is damaged: the numbers of %s are not what it takes",
                      text, row->name);
}

ftso_status ftso_transform_parse(const char *text, ftso_transform *out)
{
    memset(out, 0, sizeof(*out));
    const char *at = skip(text);
    while (*at) {
        if (out->count == FTSO_AUG_MAX) return broken(text, at, "the end");
        ftso_augment *step = &out->steps[out->count++];
        FTSO_TRY(parse_name(text, &at, step));
        FTSO_TRY(parse_numbers(text, &at, step));
        FTSO_TRY(check_numbers(text, step));
        if (!*at) break;
        if (strncmp(at, "->", 2) != 0) return broken(text, at, "->");
        at = skip(at + 2);
        if (!*at) return broken(text, at, "a step");
    }
    size_t where;
    const char *fault = ftso_transform_fault(out, &where);
    if (fault) return ftso_error(FTSO_ERROR_DATA, "the transform '%.80s': %s", text, fault);
    return FTSO_STATUS_OK;
}
