/* Base: arenas under failing allocations, strings, atomic files, the layout of diagnostics. */
#include "support.h"

#include <math.h>
#include <signal.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

typedef struct counting {
    int live, calls, fail_at;
} counting;

static void *counting_alloc(void *user, size_t size_bytes)
{
    counting *c = user;
    if (++c->calls == c->fail_at) return NULL;
    void *block = malloc(size_bytes);
    if (block) c->live++;
    return block;
}

static void *counting_resize(void *user, void *block, size_t size_bytes)
{
    counting *c = user;
    if (++c->calls == c->fail_at) return NULL;
    if (!block) c->live++;
    return realloc(block, size_bytes);
}

static void counting_release(void *user, void *block)
{
    ((counting *)user)->live--;
    free(block);
}

static void arena_blocks_are_zeroed_aligned_and_freed(void **state)
{
    (void)state;
    counting count = {0};
    ftso_allocator allocator = {counting_alloc, counting_resize, counting_release, &count};
    ftso_allocator_override(&allocator);
    ftso_arena arena;
    ftso_arena_init(&arena);
    for (size_t size = 1; size < 100000; size = size * 3 + 1) {
        unsigned char *block = ftso_arena_alloc(&arena, size);
        assert_int_equal((uintptr_t)block % 16, 0);
        for (size_t i = 0; i < size; i++) assert_int_equal(block[i], 0);
        memset(block, 0xa5, size);
    }
    assert_true(count.live > 1);
    ftso_arena_deinit(&arena);
    assert_int_equal(count.live, 0);
    ftso_allocator_override(NULL);
}

typedef struct escape {
    jmp_buf place;
    size_t wanted;
} escape;

static void leave(void *user, size_t size_bytes)
{
    escape *e = user;
    e->wanted = size_bytes;
    longjmp(e->place, 1);
}

static void arena_reports_exhaustion(void **state)
{
    (void)state;
    counting count = {.fail_at = 2};
    ftso_allocator allocator = {counting_alloc, counting_resize, counting_release, &count};
    ftso_allocator_override(&allocator);
    escape e = {.wanted = 0};
    ftso_arena arena;
    ftso_arena_init(&arena);
    arena.on_exhausted = leave;
    arena.user = &e;
    if (setjmp(e.place) == 0) {
        ftso_arena_alloc(&arena, 16);
        ftso_arena_alloc(&arena, 1 << 20);
        fail_msg("the second block was handed out though no memory was left");
    }
    assert_int_equal(e.wanted, 1 << 20);
    if (setjmp(e.place) == 0) {
        ftso_arena_array(&arena, SIZE_MAX / 2, 3);
        fail_msg("a product past SIZE_MAX was handed out");
    }
    ftso_arena_deinit(&arena);
    assert_int_equal(count.live, 0);
    ftso_allocator_override(NULL);
}

static void text_keeps_what_it_had_when_memory_is_short(void **state)
{
    (void)state;
    counting count = {.fail_at = 2};
    ftso_allocator allocator = {counting_alloc, counting_resize, counting_release, &count};
    ftso_allocator_override(&allocator);
    ftso_text text;
    ftso_text_init(&text);
    ftso_text_puts(&text, "kept");
    for (int i = 0; i < 100; i++) ftso_text_puts(&text, "lost");
    assert_true(text.failed);
    assert_memory_equal(text.data, "kept", 4);
    assert_int_equal(text.data[text.length], 0);
    ftso_text_deinit(&text);
    assert_int_equal(count.live, 0);
    ftso_allocator_override(NULL);
}

static void doubles_read_back_as_themselves(void **state)
{
    (void)state;
    char buffer[32];
    test_random random = {7};
    for (int i = 0; i < 10000; i++) {
        double value = ldexp(test_normal(&random), (int)test_below(&random, 600) - 300);
        ftso_double_print(value, buffer);
        assert_true(ftso_double_parse(buffer, NULL) == value);
    }
    ftso_double_print(0.1, buffer);
    assert_string_equal(buffer, "0.1");
    ftso_double_print(3e-4, buffer);
    assert_string_equal(buffer, "0.0003");
    ftso_double_print(50, buffer);
    assert_string_equal(buffer, "50");
    ftso_double_print(-1e300, buffer);
    assert_string_equal(buffer, "-1e+300");
}

static void checksums_are_those_of_zlib(void **state)
{
    (void)state;
    assert_int_equal(ftso_crc32(0, "123456789", 9), 0xcbf43926);
    assert_int_equal(ftso_crc32(ftso_crc32(0, "1234", 4), "56789", 5), 0xcbf43926);
    assert_int_equal(ftso_crc32(0, "", 0), 0);
}

static void checked_arithmetic_refuses_overflow(void **state)
{
    (void)state;
    size_t size = 5;
    int64_t wide = 5;
    assert_false(ftso_size_mul(SIZE_MAX, 2, &size));
    assert_false(ftso_size_add(SIZE_MAX, 1, &size));
    assert_false(ftso_i64_mul(INT64_MAX, -2, &wide));
    assert_false(ftso_i64_add(INT64_MIN, -1, &wide));
    assert_int_equal(size, 5);
    assert_int_equal(wide, 5);
    assert_true(ftso_size_mul(3, 4, &size) && size == 12);
}

static void near_names_are_found_and_far_ones_are_not(void **state)
{
    (void)state;
    const char *const names[] = {"sep_conv_3x3", "dil_conv_3x3", "skip_connect", "none"};
    assert_string_equal(ftso_nearest_name("sep_cnov_3x3", names, 4), "sep_conv_3x3");
    assert_string_equal(ftso_nearest_name("skip_conect", names, 4), "skip_connect");
    assert_null(ftso_nearest_name("conv", names, 4));
    assert_null(ftso_nearest_name("x", names, 4));
}

static const char *temporary_folder(void)
{
    static char folder[64];
    snprintf(folder, sizeof(folder), "test_base_%ld", (long)getpid());
    return folder;
}

static void atomic_write_keeps_the_old_file_when_it_fails(void **state)
{
    (void)state;
    char path[128];
    snprintf(path, sizeof(path), "%s/a/b/file", temporary_folder());
    char folder[128];
    snprintf(folder, sizeof(folder), "%s/a/b", temporary_folder());
    test_ok(ftso_dir_create(folder));
    test_ok(ftso_file_write_atomic(path, "first", 5));

    struct rlimit old, small;
    getrlimit(RLIMIT_FSIZE, &old);
    small = old;
    small.rlim_cur = 16;
    signal(SIGXFSZ, SIG_IGN);
    setrlimit(RLIMIT_FSIZE, &small);
    char big[64] = {0};
    ftso_status status = ftso_file_write_atomic(path, big, sizeof(big));
    setrlimit(RLIMIT_FSIZE, &old);
    assert_int_equal(status.code, FTSO_ERROR_LIMIT);
    assert_non_null(strstr(status.message, path));

    ftso_arena arena;
    ftso_arena_init(&arena);
    char *bytes;
    size_t length;
    test_ok(ftso_file_read(&arena, path, 100, &bytes, &length));
    assert_int_equal(length, 5);
    assert_string_equal(bytes, "first");
    status = ftso_file_read(&arena, path, 4, &bytes, &length);
    assert_int_equal(status.code, FTSO_ERROR_LIMIT);
    status = ftso_file_read(&arena, folder, 100, &bytes, &length);
    assert_non_null(strstr(status.message, "a folder"));
    status = ftso_file_read(&arena, "/dev/zero", 100, &bytes, &length);
    assert_non_null(strstr(status.message, "a device"));
    ftso_arena_deinit(&arena);
    unlink(path);
    rmdir(folder);
    snprintf(folder, sizeof(folder), "%s/a", temporary_folder());
    assert_int_equal(rmdir(folder), 0); /* no temporary file was left behind */
    rmdir(temporary_folder());
}

static const char *rendered(ftso_arena *arena, const char *source, uint32_t begin, uint32_t end)
{
    ftso_diag diag;
    ftso_diag_init(&diag, arena);
    uint32_t file = ftso_diag_add_source(&diag, "x.ftso", source, strlen(source));
    ftso_diag_entry *entry =
        ftso_diag_error(&diag, "E0001", (ftso_span){file, begin, end}, "wrong");
    entry->label = "here";
    entry->help = "mend it";
    ftso_text text;
    ftso_text_init(&text);
    ftso_diag_print(&diag, &text, false);
    const char *copy = ftso_strdup(arena, ftso_text_get(&text));
    ftso_text_deinit(&text);
    return copy;
}

static void carets_stand_under_the_text_in_display_cells(void **state)
{
    (void)state;
    ftso_arena arena;
    ftso_arena_init(&arena);
    assert_string_equal(rendered(&arena, "one\ntwo three\n", 8, 13),
                        "x.ftso:2:5: error[E0001]: wrong\n"
                        "    2 | two three\n"
                        "      |     ^~~~~ here\n"
                        "help: mend it\n"
                        "1 error, 0 warnings (more: ftso explain E0001)\n");
    /* two wide characters take four cells, a combining acute none, a tab one */
    assert_non_null(strstr(rendered(&arena, "漢字\te\xcc\x81 bad", 11, 14),
                           "x.ftso:1:8: error[E0001]: wrong\n"
                           "    1 | 漢字 e\xcc\x81 bad\n"
                           "      |        ^~~ here\n"));
    assert_non_null(
        strstr(rendered(&arena, "\xff\xfe bad", 3, 6), "    1 | ?? bad\n      |    ^~~ here\n"));
    ftso_arena_deinit(&arena);
}

static void diagnostics_are_sorted_counted_and_said_once(void **state)
{
    (void)state;
    ftso_arena arena;
    ftso_arena_init(&arena);
    ftso_diag diag;
    ftso_diag_init(&diag, &arena);
    char source[100];
    memset(source, 'x', sizeof(source));
    uint32_t file = ftso_diag_add_source(&diag, "x.ftso", source, sizeof(source));
    for (uint32_t i = 30; i > 0; i--)
        for (int twice = 0; twice < 2; twice++)
            ftso_diag_error(&diag, "E0002", (ftso_span){file, i, i + 1}, "wrong");
    assert_int_equal(diag.error_count,
                     30 + 10); /* the ten past the limit are not remembered, so counted again */
    ftso_text text;
    ftso_text_init(&text);
    ftso_diag_print(&diag, &text, true);
    const char *first = strstr(ftso_text_get(&text), "x.ftso:1:12:"),
               *second = strstr(ftso_text_get(&text), "x.ftso:1:13:");
    assert_non_null(first);
    assert_true(first < second);
    assert_non_null(strstr(ftso_text_get(&text), "the first 20 are shown"));
    ftso_text_deinit(&text);
    ftso_arena_deinit(&arena);
}

static void annotations_go_in_front(void **state)
{
    (void)state;
    ftso_status status =
        ftso_annotate(ftso_error(FTSO_ERROR_DATA, "%d bytes", 7), "reading '%s'", "f");
    assert_int_equal(status.code, FTSO_ERROR_DATA);
    assert_string_equal(status.message, "reading 'f': 7 bytes");
    assert_int_equal(ftso_annotate(FTSO_STATUS_OK, "x").code, FTSO_OK);
    char wide[600];
    memset(wide, 'w', sizeof(wide) - 1);
    wide[sizeof(wide) - 1] = '\0';
    status = ftso_annotate(ftso_error(FTSO_ERROR_DATA, "%s", wide), "%s", wide);
    assert_int_equal(strlen(status.message), sizeof(status.message) - 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(arena_blocks_are_zeroed_aligned_and_freed),
        cmocka_unit_test(arena_reports_exhaustion),
        cmocka_unit_test(text_keeps_what_it_had_when_memory_is_short),
        cmocka_unit_test(doubles_read_back_as_themselves),
        cmocka_unit_test(checksums_are_those_of_zlib),
        cmocka_unit_test(checked_arithmetic_refuses_overflow),
        cmocka_unit_test(near_names_are_found_and_far_ones_are_not),
        cmocka_unit_test(atomic_write_keeps_the_old_file_when_it_fails),
        cmocka_unit_test(carets_stand_under_the_text_in_display_cells),
        cmocka_unit_test(diagnostics_are_sorted_counted_and_said_once),
        cmocka_unit_test(annotations_go_in_front),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
