/*
 * base: what every other folder stands on and nothing else knows about it.
 *
 * In: bytes and numbers. Out: arenas, strings, vectors, diagnostics, statuses, files.
 * Three kinds of error never mix (docs/base.md): the user's text goes to an ftso_diag, the world to an
 * ftso_status, our own bugs to FTSO_ASSERT. Start reading at ftso_arena.
 */
#ifndef FTSO_BASE_H
#define FTSO_BASE_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define FTSO_VERSION "0.1.0"

#if defined(__GNUC__)
#define FTSO_PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))
#define FTSO_MUST_USE __attribute__((warn_unused_result))
#else
#define FTSO_PRINTF(fmt, args)
#define FTSO_MUST_USE
#endif

#define FTSO_COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* A broken invariant of this program: prints the place and aborts. Never reachable from user input. */
#define FTSO_ASSERT(cond) ((cond) ? (void)0 : ftso_assert_failed(#cond, __FILE__, __LINE__))
_Noreturn void ftso_assert_failed(const char *cond, const char *file, int line);

/* ---------------------------------------------------------------- memory: the one place that allocates */

/* Replaceable allocator, for fault injection. Set before any other call; not thread-safe to change later. */
typedef struct ftso_allocator {
    void *(*alloc)(void *user, size_t size_bytes);
    void *(*resize)(void *user, void *block, size_t size_bytes);
    void (*release)(void *user, void *block);
    void *user;
} ftso_allocator;

/* The process's allocator: malloc, or what a test put in its place for the calling thread. */
const ftso_allocator *ftso_allocator_get(void);
/* For tests: the calling thread allocates through `allocator` until this is called with NULL. */
void ftso_allocator_override(const ftso_allocator *allocator);

/* Return NULL when memory is short. `ftso_mem_resize` keeps the old block then. */
void *ftso_mem_alloc(size_t size_bytes);
void *ftso_mem_resize(void *block, size_t size_bytes);
void ftso_mem_free(void *block);

/* Checked size arithmetic: false on overflow, `*out` untouched then. */
bool ftso_size_mul(size_t a, size_t b, size_t *out);
bool ftso_size_add(size_t a, size_t b, size_t *out);
bool ftso_i64_mul(int64_t a, int64_t b, int64_t *out);
bool ftso_i64_add(int64_t a, int64_t b, int64_t *out);

/*
 * Arena: memory with one lifetime. Nothing in it is freed alone; the blocks go together.
 * Out of memory inside an arena is fatal to the unit of work: the arena calls `on_exhausted` if set (it must not
 * return), else prints what was asked for and ends the process with SIGABRT, whose value is FTSO_ERROR_LIMIT, so that a
 * program's own handler can tell it from a broken invariant. Blocks are 16-byte aligned, zeroed.
 */
typedef struct ftso_arena_block ftso_arena_block;
typedef struct ftso_arena {
    ftso_arena_block *blocks;
    size_t used_bytes; /* handed out, all blocks together */
    void (*on_exhausted)(void *user, size_t size_bytes);
    void *user;
} ftso_arena;

/* How that ends: with a message, through abort. */
_Noreturn void ftso_arena_failed(size_t size_bytes, size_t used_bytes);
void ftso_arena_init(ftso_arena *arena);
void ftso_arena_deinit(ftso_arena *arena);
/* Frees all that was handed out but keeps the arena usable. */
void ftso_arena_reset(ftso_arena *arena);
void *ftso_arena_alloc(ftso_arena *arena, size_t size_bytes);
/* `count * size` bytes with the product checked. */
void *ftso_arena_array(ftso_arena *arena, size_t count, size_t size_bytes);
#define FTSO_NEW(arena, type) ((type *)ftso_arena_alloc((arena), sizeof(type)))
#define FTSO_ARRAY(arena, type, count) ((type *)ftso_arena_array((arena), (count), sizeof(type)))

/* Growing array in an arena: FTSO_PUSH(arena, items, count, capacity, value). The old block is abandoned to the arena. */
void *ftso_arena_grow(ftso_arena *arena, void *items, size_t count, size_t *capacity,
                      size_t item_bytes);
#define FTSO_PUSH(arena, items, count, capacity, value)                                            \
    do {                                                                                           \
        if ((count) == (capacity))                                                                 \
            (items) = ftso_arena_grow((arena), (items), (count), &(capacity), sizeof(*(items)));   \
        (items)[(count)++] = (value);                                                              \
    } while (0)

/* ---------------------------------------------------------------- strings */

/* A NUL-terminated copy in the arena. */
const char *ftso_strdup(ftso_arena *arena, const char *text);
const char *ftso_strndup(ftso_arena *arena, const char *text, size_t length);
const char *ftso_format(ftso_arena *arena, const char *fmt, ...) FTSO_PRINTF(2, 3);
const char *ftso_vformat(ftso_arena *arena, const char *fmt, va_list args);

/* Text under construction, on the heap; `deinit` frees. After memory ran short `failed` is set and text stays as it was. */
typedef struct ftso_text {
    char *data; /* NUL-terminated once anything was appended, else NULL */
    size_t length;
    size_t capacity;
    bool failed;
} ftso_text;

void ftso_text_init(ftso_text *text);
void ftso_text_deinit(ftso_text *text);
void ftso_text_append(ftso_text *text, const char *bytes, size_t length);
void ftso_text_puts(ftso_text *text, const char *string);
void ftso_text_printf(ftso_text *text, const char *fmt, ...) FTSO_PRINTF(2, 3);
/* `data`, or "" when empty. */
const char *ftso_text_get(const ftso_text *text);

/* Shortest decimal form that reads back as the same double, with '.' whatever the locale. Returns its length; buffer >= 32. */
int ftso_double_print(double value, char buffer[32]);
/* strtod with '.' whatever the locale. */
double ftso_double_parse(const char *text, char **end);

/* The member of `names` nearest to `name` by Damerau-Levenshtein distance (at most 2; 1 below five letters), or NULL. */
const char *ftso_nearest_name(const char *name, const char *const *names, size_t count);

/* CRC-32 as zlib and PNG have it; begin with 0, go on with the last value. */
uint32_t ftso_crc32(uint32_t crc, const void *bytes, size_t length);
/* FNV-1a, 64 bit: for tables and cache keys, not for secrets. Chain calls by passing the last value; start with FTSO_HASH_SEED. */
#define FTSO_HASH_SEED 0xcbf29ce484222325ull
uint64_t ftso_hash(uint64_t seed, const void *bytes, size_t length);

/* ---------------------------------------------------------------- status: the world said no */

typedef enum ftso_code {
    FTSO_OK = 0,
    FTSO_ERROR_USER = 1,  /* the user's file or values are wrong (details are in the diagnostics) */
    FTSO_ERROR_USAGE = 2, /* the command line is wrong */
    FTSO_ERROR_LIMIT = 3, /* does not fit: memory, disk, a constraint */
    FTSO_ERROR_DEVICE = 4,      /* device or toolkit */
    FTSO_ERROR_DATA = 5,        /* a data set or another input file is missing or damaged */
    FTSO_ERROR_INTERRUPTED = 6, /* stopped by the user, work saved */
    FTSO_ERROR_INTERNAL = 70    /* ours */
} ftso_code;                    /* the values are the process's exit codes */

/* A result and, on failure, one line of text that names the thing, the value and the limit. Passed by value; no ownership. */
typedef struct ftso_status {
    ftso_code code;
    char message[480];
} ftso_status;

#define FTSO_STATUS_OK ((ftso_status){.code = FTSO_OK})
ftso_status FTSO_MUST_USE ftso_error(ftso_code code, const char *fmt, ...) FTSO_PRINTF(2, 3);
/* Puts "context: " before the message of a failure; passes success through. */
ftso_status FTSO_MUST_USE ftso_annotate(ftso_status status, const char *fmt, ...) FTSO_PRINTF(2, 3);
#define FTSO_TRY(expr)                                                                             \
    do {                                                                                           \
        ftso_status try_status_ = (expr);                                                          \
        if (try_status_.code != FTSO_OK) return try_status_;                                       \
    } while (0)

/* ---------------------------------------------------------------- diagnostics: the user's text is wrong */

/* A piece of source: bytes [begin, end) of file number `file` in the diag's source table. */
typedef struct ftso_span {
    uint32_t file, begin, end;
} ftso_span;

typedef enum ftso_severity { FTSO_NOTE, FTSO_WARNING, FTSO_SEVERE } ftso_severity;

typedef struct ftso_source {
    const char *path; /* as the user wrote it, relative where it was */
    const char *text;
    size_t length;
    uint32_t *line_starts;
    size_t line_count;
} ftso_source;

typedef struct ftso_diag_entry {
    ftso_severity severity;
    const char *code; /* "E0312" */
    ftso_span span;
    const char *message; /* what is wrong, in one line */
    const char *label;   /* what to write under the caret, or NULL */
    const char *help;    /* the remedy, or NULL */
    ftso_span note_span; /* a second place, when note is not NULL */
    const char *note;
    size_t order;
} ftso_diag_entry;

/* All that is to be said about one unit of input. Owned by `arena`. */
typedef struct ftso_diag {
    ftso_arena *arena;
    ftso_source *sources;
    size_t source_count, source_capacity;
    ftso_diag_entry *entries;
    size_t entry_count, entry_capacity;
    size_t error_count, warning_count;
} ftso_diag;

enum { FTSO_DIAG_MAX_ERRORS = 20 };

void ftso_diag_init(ftso_diag *diag, ftso_arena *arena);
/* Registers a text; returns its number for spans. The text is copied into the arena. */
uint32_t ftso_diag_add_source(ftso_diag *diag, const char *path, const char *text, size_t length);
/* Adds an entry and returns it, to fill in label, help and note. Errors past the limit, and repeats of the same code at the
 * same span, are counted but not kept (the returned entry is then a throw-away). */
ftso_diag_entry *ftso_diag_error(ftso_diag *diag, const char *code, ftso_span span, const char *fmt,
                                 ...) FTSO_PRINTF(4, 5);
ftso_diag_entry *ftso_diag_warning(ftso_diag *diag, const char *code, ftso_span span,
                                   const char *fmt, ...) FTSO_PRINTF(4, 5);
/* 1-based line and 1-based column counted in display cells (tabs count one, wide characters two, combining marks none). */
void ftso_diag_locate(const ftso_diag *diag, ftso_span span, unsigned *out_line,
                      unsigned *out_column);
/* Prints all entries, sorted by place, with source line and caret, then the totals line. `color` switches ANSI colours. */
void ftso_diag_print(const ftso_diag *diag, ftso_text *out, bool color);

/* ---------------------------------------------------------------- what is done to an image: a list of steps */

/*
 * Recipes name these steps, the runtime carries them out (runtime/augment.c), weights and artefacts carry them as text; so
 * their record and their table stand here, beneath all three. A row's index is its kind.
 */
typedef enum ftso_augment_kind {
    FTSO_AUG_CROP,
    FTSO_AUG_FLIP,
    FTSO_AUG_CUTOUT,
    FTSO_AUG_NORMALIZE,
    FTSO_AUG_RESIZED_CROP,
    FTSO_AUG_COLOR_JITTER,
    FTSO_AUG_RESIZE,
    FTSO_AUG_CENTER_CROP
} ftso_augment_kind;

/* A number that is given by place or by name. */
typedef struct ftso_call_param {
    const char *name;
    double fallback; /* NAN: must be given */
    double lowest, highest;
    bool whole;
} ftso_call_param;

typedef struct ftso_augment_row {
    const char *name;
    size_t param_count;
    ftso_call_param params[5];
    bool random; /* chance has a part in it: not for tests */
    bool sides;  /* the images come out with side args[0] */
} ftso_augment_row;

enum { FTSO_AUG_ARGS = 8, FTSO_AUG_MAX = 16 };

/* Parameters in the row's order. normalize: the mean of each channel, then the standard deviation of each. */
typedef struct ftso_augment {
    ftso_augment_kind kind;
    size_t arg_count;
    double args[FTSO_AUG_ARGS];
} ftso_augment;

/* Plain data: copied by value. */
typedef struct ftso_transform {
    size_t count;
    ftso_augment steps[FTSO_AUG_MAX];
} ftso_transform;

const ftso_augment_row *ftso_augment_rows(size_t *out_count);
/* What is wrong with the list as a whole (steps out of order, a ratio from high to low), or NULL; `*out_step` says where. */
const char *ftso_transform_fault(const ftso_transform *transform, size_t *out_step);
/* The compact form: `resize(256) -> center_crop(224) -> normalize(0.5, 0.25)`; an empty list is the empty text. */
void ftso_transform_print(const ftso_transform *transform, ftso_text *out);
/* Its inverse, bit for bit. The text may come from anywhere: everything is checked. */
ftso_status FTSO_MUST_USE ftso_transform_parse(const char *text, ftso_transform *out);

/* ---------------------------------------------------------------- files: the one place that reads and writes them */

/* Reads the whole file into the arena, NUL added. Refuses directories, devices and more than `limit_bytes`. */
ftso_status FTSO_MUST_USE ftso_file_read(ftso_arena *arena, const char *path, size_t limit_bytes,
                                         char **out_bytes, size_t *out_length);
/* A file read from front to back. The path must live as long. */
typedef struct ftso_file {
    const char *path;
    int fd;
    size_t length;
} ftso_file;
/* Refuses folders, devices and pipes. After a failure there is nothing to close. */
ftso_status FTSO_MUST_USE ftso_file_open(ftso_file *file, const char *path);
/* The next `count` bytes; *out_got is less at the end of the file only. */
ftso_status FTSO_MUST_USE ftso_file_take(ftso_file *file, void *out, size_t count, size_t *out_got);
void ftso_file_close(ftso_file *file);

/* Writes to a temporary name beside `path`, syncs, renames: after a crash the old or the new content is there, never a mix. */
ftso_status FTSO_MUST_USE ftso_file_write_atomic(const char *path, const void *bytes,
                                                 size_t length);
/* The same with content that lies in pieces. */
typedef struct ftso_piece {
    const void *bytes;
    size_t length;
} ftso_piece;
ftso_status FTSO_MUST_USE ftso_file_write_pieces(const char *path, const ftso_piece *pieces,
                                                 size_t count);
/*
 * For tests: `before` is called ahead of each system call by which the calling thread changes files ("open", "write",
 * "sync", "close", "rename", "mkdir"). It returns 0 to let it happen or the errno to fail it with, may lower *count of
 * a write (a short one), or end the process. NULL switches it off.
 */
typedef struct ftso_file_fault {
    int (*before)(void *user, const char *call, const char *path, size_t *count);
    void *user;
} ftso_file_fault;
void ftso_file_fault_override(const ftso_file_fault *fault);
/* Creates the folder and its missing parents. */
ftso_status FTSO_MUST_USE ftso_dir_create(const char *path);
bool ftso_file_exists(const char *path);

/* Seconds of a monotonic clock. */
double ftso_clock_s(void);

#endif
