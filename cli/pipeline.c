/*
 * The road: a graph becomes a program. Search, training and inference all go this way.
 */
#include "cli/cli.h"

#include <string.h>

/* Stages before and behind the graph passes, whose names come from their own table. */
static const char *const before[] = {"ast", "space", "graph"};
static const char *const behind[] = {"regions", "plan", "llvm", "asm"};

const char *const *ftso_stage_names(ftso_arena *arena)
{
    const ftso_pass_table *passes = ftso_passes();
    const char **names = FTSO_ARRAY(arena, const char *,
                                    FTSO_COUNT(before) + passes->count + FTSO_COUNT(behind) + 1);
    size_t count = 0;
    for (size_t i = 0; i < FTSO_COUNT(before); i++) names[count++] = before[i];
    for (size_t i = 0; i < passes->count; i++) {
        bool seen = false;
        for (size_t j = 0; j < count; j++) seen |= strcmp(names[j], passes->rows[i].name) == 0;
        if (!seen) names[count++] = passes->rows[i].name;
    }
    for (size_t i = 0; i < FTSO_COUNT(behind); i++) names[count++] = behind[i];
    return names;
}

ftso_pipeline ftso_pipeline_default(void)
{
    return (ftso_pipeline){.fusion = ftso_fusion_default(), .out = stdout};
}

static bool is_stage(const char *wanted, const char *stage)
{
    return wanted && strcmp(wanted, stage) == 0;
}

void ftso_pipeline_time(const ftso_pipeline *pipeline, const char *label, const char *stage,
                        double seconds)
{
    if (pipeline->time) fprintf(stderr, "time  %-8s %-14s %9.2f ms\n", label, stage, 1e3 * seconds);
}

static void dump(const ftso_pipeline *pipeline, const char *label, const char *stage,
                 const ftso_text *text)
{
    fprintf(pipeline->out, "# %s of %s\n%s", stage, label, ftso_text_get(text));
}

typedef struct watching {
    const ftso_pipeline *pipeline;
    const char *label;
    bool stopped;
} watching;

static bool watch(void *user, const ftso_pass *pass, const ftso_graph *graph, double seconds)
{
    watching *w = user;
    ftso_pipeline_time(w->pipeline, w->label, pass->name, seconds);
    if (is_stage(w->pipeline->dump, pass->name)) {
        ftso_text text;
        ftso_text_init(&text);
        ftso_graph_print(graph, &text);
        dump(w->pipeline, w->label, pass->name, &text);
        ftso_text_deinit(&text);
    }
    w->stopped |= is_stage(w->pipeline->stop_after, pass->name);
    return !w->stopped;
}

static int64_t layout_rule(const void *user, ftso_shape shape, ftso_element element)
{
    return ftso_layout_bytes(user, shape, element);
}

static void print_plan(const ftso_schedule *schedule, const ftso_plan *plan, ftso_text *out)
{
    for (size_t v = 0; v < schedule->graph->node_count; v++) {
        const ftso_place *place = &plan->places[v];
        if (place->stored)
            ftso_text_printf(out, "%%%zu at %lld, %lld bytes\n", v, (long long)place->offset_bytes,
                             (long long)place->size_bytes);
    }
    ftso_text_printf(out, "total %lld bytes, of which inputs and states %lld\n",
                     (long long)plan->total_bytes, (long long)plan->leaf_bytes);
}

/* Text of one of the stages behind the passes. */
static ftso_status stage_text(const char *stage, ftso_arena *arena,
                              const ftso_compiler_options *options, const ftso_schedule *schedule,
                              ftso_text *out)
{
    if (strcmp(stage, "regions") == 0) {
        ftso_schedule_print(schedule, out);
        return FTSO_STATUS_OK;
    }
    if (strcmp(stage, "plan") == 0) {
        ftso_plan *plan;
        FTSO_TRY(ftso_plan_make(arena, schedule, layout_rule, &options->target, 64, &plan));
        print_plan(schedule, plan, out);
        return FTSO_STATUS_OK;
    }
    return ftso_compile_text(options, schedule, strcmp(stage, "asm") == 0, out);
}

ftso_status ftso_pipeline_reference(const ftso_pipeline *pipeline, ftso_arena *arena,
                                    const ftso_graph *graph, ftso_reference *out_reference)
{
    *out_reference = (ftso_reference){graph, NULL};
    if (graph->storage == FTSO_ELEMENT_FP32) return FTSO_STATUS_OK;
    ftso_graph *lean;
    ftso_schedule *schedule;
    FTSO_TRY(ftso_passes_run(arena, graph, pipeline->disabled, pipeline->disabled_count, NULL, NULL,
                             &lean));
    FTSO_TRY(ftso_schedule_form(arena, lean, &pipeline->fusion, &schedule));
    *out_reference = (ftso_reference){lean, schedule->elements};
    return FTSO_STATUS_OK;
}

ftso_status ftso_reference_interp(const ftso_reference *reference, ftso_interp **out_interp)
{
    *out_interp = ftso_interp_new(reference->graph);
    if (!*out_interp) return ftso_error(FTSO_ERROR_LIMIT, "no memory for the reference");
    ftso_interp_store(*out_interp, reference->elements);
    return FTSO_STATUS_OK;
}

ftso_status ftso_pipeline_run(const ftso_pipeline *pipeline, ftso_arena *arena,
                              ftso_compiler *compiler, const ftso_compiler_options *options,
                              const char *label, const ftso_graph *graph,
                              ftso_program **out_program)
{
    *out_program = NULL;
    ftso_text text;
    if (is_stage(pipeline->dump, "graph")) {
        ftso_text_init(&text);
        ftso_graph_print(graph, &text);
        dump(pipeline, label, "graph", &text);
        ftso_text_deinit(&text);
    }
    if (is_stage(pipeline->stop_after, "graph")) return FTSO_STATUS_OK;

    watching w = {pipeline, label, false};
    ftso_graph *lean;
    FTSO_TRY(ftso_passes_run(arena, graph, pipeline->disabled, pipeline->disabled_count, watch, &w,
                             &lean));
    if (w.stopped) return FTSO_STATUS_OK;

    double start = ftso_clock_s();
    ftso_schedule *schedule;
    FTSO_TRY(ftso_schedule_form(arena, lean, &pipeline->fusion, &schedule));
    FTSO_TRY(ftso_schedule_verify(schedule));
    ftso_pipeline_time(pipeline, label, "regions", ftso_clock_s() - start);
    for (size_t i = 0; i < FTSO_COUNT(behind); i++) {
        if (is_stage(pipeline->dump, behind[i])) {
            ftso_text_init(&text);
            ftso_status status = stage_text(behind[i], arena, options, schedule, &text);
            if (status.code == FTSO_OK) dump(pipeline, label, behind[i], &text);
            ftso_text_deinit(&text);
            if (status.code != FTSO_OK) return status;
        }
        if (is_stage(pipeline->stop_after, behind[i])) return FTSO_STATUS_OK;
    }

    ftso_compile_report report = {0};
    FTSO_TRY(ftso_compile(compiler, arena, schedule, out_program, &report));
    ftso_pipeline_time(pipeline, label, "emit", report.emit_s);
    ftso_pipeline_time(pipeline, label, "optimise", report.optimise_s);
    ftso_pipeline_time(pipeline, label, "link", report.link_s);
    ftso_pipeline_time(pipeline, label, "code in all", report.total_s);
    if (pipeline->time)
        fprintf(stderr, "time  %-8s %lld regions, %lld of them different, %lld from the cache\n",
                label, (long long)report.regions, (long long)report.unique_regions,
                (long long)report.cache_hits);
    return FTSO_STATUS_OK;
}
