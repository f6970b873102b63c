/*
 * Checkpoints: what is saved comes back; whatever happens during a save, and whatever happens to the files, the newest
 * whole one loads. The system calls of a save are wrapped (tests/CMakeLists.txt), so that each can kill, fail or fall short.
 */
#include "support.h"

#include "runtime/train.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---------------------------------------------------------------- wrapped system calls */

typedef enum fault { NO_FAULT, KILL, FULL, BROKEN, SHORT } fault;

/* The `at`-th call from here on meets the fault. */
static struct {
    fault kind;
    int at, seen, writes;
    bool hit, no_space;
} plan;

static void arm(fault kind, int at)
{
    plan.kind = kind;
    plan.at = at;
    plan.seen = 0;
    plan.hit = false;
}

/* True where this call is to fail. */
static bool meets(void)
{
    if (plan.kind == NO_FAULT || plan.kind == SHORT || ++plan.seen != plan.at) return false;
    plan.hit = true;
    if (plan.kind == KILL) raise(SIGKILL);
    errno = plan.kind == FULL ? ENOSPC : EIO;
    return true;
}

int __real_open(const char *path, int flags, ...);
ssize_t __real_write(int fd, const void *bytes, size_t count);
int __real_fsync(int fd);
int __real_close(int fd);
int __real_rename(const char *from, const char *to);
int __real_renameat2(int a, const char *from, int b, const char *to, unsigned flags);
int __real_mkdir(const char *path, mode_t mode);
int __real_unlink(const char *path);
int __real_rmdir(const char *path);
int __real_statvfs(const char *path, struct statvfs *info);
int __wrap_open(const char *path, int flags, ...);
ssize_t __wrap_write(int fd, const void *bytes, size_t count);
int __wrap_fsync(int fd);
int __wrap_close(int fd);
int __wrap_rename(const char *from, const char *to);
int __wrap_renameat2(int a, const char *from, int b, const char *to, unsigned flags);
int __wrap_mkdir(const char *path, mode_t mode);
int __wrap_unlink(const char *path);
int __wrap_rmdir(const char *path);
int __wrap_statvfs(const char *path, struct statvfs *info);

int __wrap_open(const char *path, int flags, ...)
{
    /* reading is no part of a save's danger, and every file is made with this mode */
    if (((flags & O_ACCMODE) != O_RDONLY || (flags & O_DIRECTORY)) && meets()) return -1;
    return __real_open(path, flags, 0666);
}

ssize_t __wrap_write(int fd, const void *bytes, size_t count)
{
    if (plan.kind == SHORT && ++plan.seen == plan.at) {
        plan.hit = true;
        return __real_write(fd, bytes, count > 1 ? count / 2 : count);
    }
    return meets() ? -1 : __real_write(fd, bytes, count);
}

int __wrap_fsync(int fd)
{
    return meets() ? -1 : __real_fsync(fd);
}

int __wrap_close(int fd)
{
    int done = __real_close(fd); /* closed in any case, as Linux does */
    return meets() ? -1 : done;
}

int __wrap_rename(const char *from, const char *to)
{
    return meets() ? -1 : __real_rename(from, to);
}

int __wrap_renameat2(int a, const char *from, int b, const char *to, unsigned flags)
{
    return meets() ? -1 : __real_renameat2(a, from, b, to, flags);
}

int __wrap_mkdir(const char *path, mode_t mode)
{
    return meets() ? -1 : __real_mkdir(path, mode);
}

int __wrap_unlink(const char *path)
{
    return meets() ? -1 : __real_unlink(path);
}

int __wrap_rmdir(const char *path)
{
    return meets() ? -1 : __real_rmdir(path);
}

int __wrap_statvfs(const char *path, struct statvfs *info)
{
    int done = __real_statvfs(path, info);
    if (plan.no_space) info->f_bavail = 0;
    return done;
}

/* ---------------------------------------------------------------- a run to save */

enum { NUMBERS = 30000, STATES = 3 };

static float numbers[STATES][NUMBERS];

static void states_of(int64_t step, ftso_safetensor out[STATES])
{
    static const char *const names[STATES] = {"weights", "weights.momentum", "running"};
    for (int s = 0; s < STATES; s++) {
        for (int i = 0; i < NUMBERS; i++)
            numbers[s][i] = (float)(step * 1000 + s * 100) + (float)i / 7;
        out[s] = (ftso_safetensor){.name = names[s],
                                   .dtype = FTSO_F32,
                                   .rank = 1,
                                   .dim = {NUMBERS},
                                   .size_bytes = sizeof(numbers[s]),
                                   .data = numbers[s]};
    }
}

static ftso_checkpoint place_of(int64_t step, int64_t measured)
{
    return (ftso_checkpoint){.step = step,
                             .measured = measured,
                             .seed = 0xfedcba9876543210u,
                             .best = {2, 2, 77, 100, 12.25},
                             .loss_sum = 0.1 + (double)step,
                             .top1 = 31,
                             .images = 96,
                             .seconds = 1.0 / 3,
                             .log_bytes = 4096 + step,
                             .layout = 0x0123456789abcdefu,
                             .origin = 42};
}

static ftso_status save(const char *folder, int64_t step, int64_t measured)
{
    ftso_safetensor states[STATES];
    states_of(step, states);
    ftso_checkpoint place = place_of(step, measured);
    return ftso_checkpoint_save(folder, &place, states, STATES, 3);
}

/* What loads is whole and of one of the two steps; returns which. Nothing may be noted as damaged. */
static int64_t load(const char *folder, const char *wanted_note)
{
    ftso_checkpoint_file file;
    ftso_text notes;
    ftso_text_init(&notes);
    test_ok(ftso_checkpoint_load(folder, &notes, &file));
    assert_true(file.found);
    if (wanted_note)
        assert_non_null(strstr(ftso_text_get(&notes), wanted_note));
    else
        assert_string_equal(ftso_text_get(&notes), "");
    int64_t step = file.place.step;
    ftso_checkpoint place = place_of(step, file.place.measured);
    assert_memory_equal(&place, &file.place, sizeof(place));
    ftso_safetensor states[STATES];
    states_of(step, states);
    assert_int_equal(file.tensors.tensor_count, STATES);
    for (int s = 0; s < STATES; s++) {
        const ftso_safetensor *got = ftso_safetensors_find(&file.tensors, states[s].name);
        assert_non_null(got);
        assert_int_equal(got->size_bytes, states[s].size_bytes);
        assert_memory_equal(got->data, states[s].data, states[s].size_bytes);
    }
    ftso_checkpoint_deinit(&file);
    ftso_text_deinit(&notes);
    return step;
}

static void clear(const char *folder)
{
    char command[300];
    snprintf(command, sizeof(command), "rm -rf '%s'", folder);
    assert_int_equal(system(command), 0);
}

/* "2 3 4 5": names of the checkpoints; anything else in the folder is named as it is. */
static void listing(const char *folder, char out[512])
{
    struct dirent **entries;
    int count = scandir(folder, &entries, NULL, alphasort);
    assert_true(count >= 0);
    out[0] = '\0';
    for (int i = 0; i < count; i++) {
        long long step;
        const char *name = entries[i]->d_name;
        if (sscanf(name, "step-%lld", &step) == 1)
            sprintf(out + strlen(out), "%lld ", step);
        else if (name[0] != '.')
            sprintf(out + strlen(out), "%s ", name);
        free(entries[i]);
    }
    free(entries);
}

/* ---------------------------------------------------------------- keeping */

static void test_kept(void **state)
{
    (void)state;
    const char *folder = "checkpoints-kept/deep";
    char names[512];
    clear("checkpoints-kept");
    ftso_checkpoint_file none;
    ftso_text notes;
    ftso_text_init(&notes);
    test_ok(ftso_checkpoint_load(folder, &notes, &none));
    assert_false(none.found);
    for (int64_t step = 1; step <= 7; step++) {
        test_ok(save(folder, step, step));
        assert_int_equal(load(folder, NULL), step);
    }
    listing(folder, names);
    assert_string_equal(names, "2 5 6 7 "); /* three, and the best */
    assert_int_equal(ftso_checkpoint_load_step(folder, 2, &none).code, FTSO_OK);
    ftso_checkpoint_deinit(&none);
    assert_int_equal(ftso_checkpoint_load_step(folder, 3, &none).code, FTSO_ERROR_DATA);

    /* The same place twice is one checkpoint; the same step judged replaces the one that was not. */
    test_ok(save(folder, 7, 7));
    test_ok(save(folder, 7, 8));
    assert_int_equal(load(folder, NULL), 7);
    test_ok(ftso_checkpoint_load_step(folder, 7, &none));
    assert_int_equal(none.place.measured, 8);
    ftso_checkpoint_deinit(&none);
    listing(folder, names);
    assert_string_equal(names, "2 5 6 7 ");

    /* No room: said before anything is touched. */
    plan.no_space = true;
    ftso_status status = save(folder, 8, 8);
    plan.no_space = false;
    assert_int_equal(status.code, FTSO_ERROR_LIMIT);
    assert_non_null(strstr(status.message, "a checkpoint takes 0.4 MB"));
    assert_non_null(strstr(status.message, folder));
    assert_int_equal(load(folder, NULL), 7);
    ftso_text_deinit(&notes);
    clear("checkpoints-kept");
}

static void spoil(const char *path, long at, bool cut)
{
    int fd = open(path, O_RDWR);
    assert_true(fd >= 0);
    char byte;
    if (cut) {
        assert_int_equal(ftruncate(fd, at), 0);
    } else {
        assert_int_equal(pread(fd, &byte, 1, at), 1);
        byte = (char)(byte ^ 0x20);
        assert_int_equal(pwrite(fd, &byte, 1, at), 1);
    }
    close(fd);
}

static void test_damage(void **state)
{
    (void)state;
    const char *folder = "checkpoints-damage";
    static const char *const files[] = {"manifest", "tensors.safetensors"};
    clear(folder);
    test_ok(save(folder, 1, 1));
    for (size_t f = 0; f < FTSO_COUNT(files); f++) {
        char path[200];
        snprintf(path, sizeof(path), "%s/step-%012d/%s", folder, 2, files[f]);
        for (int k = 0; k < 12; k++) {
            test_ok(save(folder, 2, 2)); /* a damaged one is written anew */
            assert_int_equal(load(folder, NULL), 2);
            struct stat info;
            assert_int_equal(stat(path, &info), 0);
            spoil(path, (long)(info.st_size - 1) * (k / 2) / 5, k % 2);
            assert_int_equal(load(folder, files[f]), 1);
        }
        assert_int_equal(unlink(path), 0);
        assert_int_equal(load(folder, files[f]), 1);
    }
    /* None whole: an error that says so, not a fresh start. */
    clear("checkpoints-damage/step-000000000002");
    spoil("checkpoints-damage/step-000000000001/manifest", 30, false);
    ftso_checkpoint_file file;
    ftso_text notes;
    ftso_text_init(&notes);
    ftso_status status = ftso_checkpoint_load(folder, &notes, &file);
    assert_int_equal(status.code, FTSO_ERROR_DATA);
    assert_non_null(strstr(status.message, folder));
    ftso_text_deinit(&notes);
    clear(folder);
}

/* ---------------------------------------------------------------- every system call of a save */

/* Steps 2 (the best) to 5 are there; with `again`, step 6 as well, not judged yet. */
static void set_up(const char *folder, bool again)
{
    clear(folder);
    for (int64_t step = 2; step <= (again ? 6 : 5); step++) test_ok(save(folder, step, step));
}

static void check_after(const char *folder, bool saved, bool again)
{
    int64_t step = load(folder, NULL);
    assert_true(step == 6 || (step == 5 && !saved && !again));
    test_ok(save(folder, 6, 7)); /* and the next save goes as if nothing had been */
    assert_int_equal(load(folder, NULL), 6);
    char names[512];
    listing(folder, names);
    assert_string_equal(names, "2 4 5 6 ");
}

static void kill_at_each(const char *folder, bool again)
{
    int calls = 0;
    for (bool killed = true; killed;) {
        set_up(folder, again);
        pid_t child = fork();
        assert_true(child >= 0);
        if (child == 0) {
            arm(KILL, ++calls);
            _exit(save(folder, 6, 7).code);
        }
        calls++;
        int how;
        assert_int_equal(waitpid(child, &how, 0), child);
        killed = WIFSIGNALED(how);
        assert_true(killed ? WTERMSIG(how) == SIGKILL : WEXITSTATUS(how) == 0);
        check_after(folder, !killed, again);
    }
    if (calls < 20) fail_msg("a save has only %d system calls?", calls);
    clear(folder);
}

static void test_killed(void **state)
{
    (void)state;
    kill_at_each("checkpoints-killed", false);
    kill_at_each("checkpoints-killed", true);
}

/* The message names a file of the folder and the reason. */
static void check_message(const ftso_status *status, const char *folder, fault kind)
{
    assert_int_equal(status->code, kind == FULL ? FTSO_ERROR_LIMIT : FTSO_ERROR_DATA);
    const char *reason = strerror(kind == FULL ? ENOSPC : EIO);
    if (!strstr(status->message, folder) || !strstr(status->message, reason))
        fail_msg("'%s' names no file or no reason", status->message);
}

static void test_failing(void **state)
{
    (void)state;
    const char *folder = "checkpoints-failing";
    static const fault kinds[] = {FULL, BROKEN, SHORT};
    for (size_t k = 0; k < FTSO_COUNT(kinds); k++) {
        int failures = 0, calls = 0;
        do {
            set_up(folder, calls % 2);
            arm(kinds[k], ++calls);
            ftso_status status = save(folder, 6, 7);
            bool hit = plan.hit;
            arm(NO_FAULT, 0);
            if (status.code != FTSO_OK) check_message(&status, folder, kinds[k]);
            assert_true(hit || status.code == FTSO_OK);
            assert_true(kinds[k] != SHORT || status.code == FTSO_OK);
            failures += status.code != FTSO_OK;
            check_after(folder, status.code == FTSO_OK, calls % 2 == 0);
            if (!hit) break;
        } while (true);
        assert_true(kinds[k] == SHORT ? calls >= 4 : failures >= 8);
    }
    clear(folder);
}

/* ---------------------------------------------------------------- what answers are worth */

static void test_score(void **state)
{
    (void)state;
    /* seven classes; rows: right; fifth; sixth; equal logits; what is no number */
    const float logits[5][7] = {{5, 1, 1, 1, 1, 1, 1},
                                {3, 4, 5, 6, 2, 1, 0},
                                {1, 2, 3, 4, 5, 6, 0},
                                {7, 7, 0, 0, 0, 0, 0},
                                {NAN, -1, -2, -3, -4, -5, -6}};
    const float labels[5] = {0, 4, 0, 1, 0};
    int64_t confusion[49] = {0};
    int32_t said[5];
    ftso_score score = {0};
    ftso_score_add(&score, logits[0], labels, 4, 7, confusion, said);
    assert_int_equal(score.images, 4);
    assert_int_equal(score.top1, 1);
    assert_int_equal(score.top5, 3);
    const int32_t wanted[] = {0, 3, 5, 0};
    for (int i = 0; i < 4; i++) assert_int_equal(said[i], wanted[i]);
    assert_int_equal(confusion[0 * 7 + 0], 1);
    assert_int_equal(confusion[4 * 7 + 3], 1);
    assert_int_equal(confusion[1 * 7 + 0], 1);
    double loss = 0;
    for (int i = 0; i < 4; i++) {
        double sum = 0;
        for (int c = 0; c < 7; c++) sum += exp((double)logits[i][c]);
        loss += log(sum) - (double)logits[i][(int)labels[i]];
    }
    assert_true(fabs(score.loss_sum - loss) < 1e-12);
    ftso_score_add(&score, logits[4], labels + 4, 1, 7, NULL, said);
    assert_int_equal(score.top5, 3);
    assert_int_equal(said[0], 1);
    /* large logits do not overflow */
    const float large[2] = {3e38f, -3e38f};
    score = (ftso_score){0};
    ftso_score_add(&score, large, labels, 1, 2, NULL, NULL);
    assert_true(score.loss_sum == 0);
}

/* In memory where there is such a place: thousands of syncs of a disk would take minutes. */
static int enter_scratch(void **state)
{
    static char scratch[] = "/dev/shm/ftso-test-XXXXXX";
    *state = mkdtemp(scratch) && chdir(scratch) == 0 ? scratch : NULL;
    return 0;
}

static int leave_scratch(void **state)
{
    if (*state && chdir("/") == 0) clear(*state);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_kept),   cmocka_unit_test(test_damage),
        cmocka_unit_test(test_killed), cmocka_unit_test(test_failing),
        cmocka_unit_test(test_score),
    };
    return cmocka_run_group_tests(tests, enter_scratch, leave_scratch);
}
