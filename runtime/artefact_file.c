/*
 * The file of the running artefact against its own seal.
 */
#include "runtime/artefact.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

ftso_status ftso_artefact_check_file(void)
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
