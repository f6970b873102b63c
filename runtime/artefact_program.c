/*
 * What the programs among the artefacts have in common: the report of a self-test, and how they end.
 *
 * Holds: numbers come first, they are the test; the bytes say whether what ran is what was built.
 */
#include "runtime/artefact.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* That the running program's own file is, byte for byte, what was built. */
static ftso_status check_file(void)
{
    static const char self[] = "/proc/self/exe";
    struct stat info;
    int fd = open(self, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &info) < 0 || info.st_size <= 0) {
        if (fd >= 0) close(fd);
        return ftso_error(FTSO_ERROR_DATA, "cannot read this program's own file: %s",
                          strerror(errno));
    }
    size_t size = (size_t)info.st_size, at;
    void *file = mmap(NULL, size, PROT_READ, MAP_PRIVATE, fd, 0);
    close(fd);
    if (file == MAP_FAILED)
        return ftso_error(FTSO_ERROR_DATA, "cannot read this program's own file: %s",
                          strerror(errno));
    ftso_status status = FTSO_STATUS_OK;
    ftso_seal seal;
    if (!ftso_seal_find(file, size, &at)) {
        status = ftso_error(FTSO_ERROR_INTERNAL, "this program's seal is gone");
    } else {
        memcpy(&seal, (const char *)file + at, sizeof(seal));
        uint64_t hash = ftso_seal_hash(file, size, at);
        if (hash != seal.hash)
            status =
                ftso_error(FTSO_ERROR_INTERNAL,
                           "these are not the bytes that were built: hash %016llx, not %016llx",
                           (unsigned long long)hash, (unsigned long long)seal.hash);
    }
    munmap(file, size);
    return status;
}

ftso_status ftso_artefact_report_numbers(ftso_net *net, bool *out_passed)
{
    const ftso_artefact *a = net->artefact;
    float *logits = ftso_mem_alloc(a->test_logit_bytes);
    if (!logits) return ftso_error(FTSO_ERROR_LIMIT, "no memory for the self-test");
    ftso_self_test test = ftso_net_self_test(net, logits);
    ftso_mem_free(logits);
    printf("numbers: %s, code for %s, %lld images: distance %.2e of %.2e allowed, largest "
           "difference %.2e\n",
           test.passed ? "ok" : "WRONG", net->code->cpu, (long long)a->test_count, test.distance,
           a->test_tolerance, test.largest);
    *out_passed = test.passed;
    return FTSO_STATUS_OK;
}

ftso_status ftso_artefact_report_bytes(bool passed)
{
    ftso_status bytes = check_file();
    printf("bytes: %s\n", bytes.code == FTSO_OK ? "ok" : "WRONG");
    if (passed) return bytes;
    return ftso_error(FTSO_ERROR_INTERNAL,
                      "results differ from the stored ones; this program is damaged");
}

int ftso_artefact_end(const char *program, ftso_status status)
{
    if (fflush(stdout) == EOF && status.code == FTSO_OK)
        status = ftso_error(FTSO_ERROR_LIMIT, "cannot write to standard output");
    if (status.code != FTSO_OK) fprintf(stderr, "%s: %s\n", program, status.message);
    return (int)status.code;
}
