/*
 * Fuzz target for the reader of safetensors.
 *
 * In: any bytes. Must hold: nothing crashes, leaks or overflows; an error is one of the data's and says something; what is
 * accepted is what the format promises: names ascend, tensors fill the data, every number can be read.
 */
#include <stdlib.h>
#include <string.h>

#include "runtime/safetensors.h"
#include "tests/fuzz/fuzz.h"

static void expect(bool holds, const char *what)
{
    if (holds) return;
    fprintf(stderr, "%s\n", what);
    abort();
}

static void look(const ftso_safetensors *file, size_t size)
{
    size_t total = 0;
    for (size_t i = 0; i < file->tensor_count; i++) {
        const ftso_safetensor *tensor = &file->tensors[i];
        expect(i == 0 || strcmp(file->tensors[i - 1].name, tensor->name) < 0, "names in disorder");
        expect(ftso_safetensors_find(file, tensor->name) == tensor, "a tensor is not found");
        int64_t count = ftso_safetensor_count(tensor);
        float *numbers = malloc((size_t)count * sizeof(float) + 1);
        if (numbers) ftso_safetensor_floats(tensor, numbers);
        free(numbers);
        total += tensor->size_bytes;
    }
    for (size_t i = 0; i < file->metadata_count; i++)
        expect(ftso_safetensors_metadata(file, file->metadata[i].key) == file->metadata[i].value,
               "metadata are not found");
    uint64_t header = 0;
    for (int i = 0; i < 8; i++) header |= (uint64_t)((const uint8_t *)file->bytes)[i] << 8 * i;
    expect(total == size - 8 - header, "tensors do not fill the data");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    ftso_safetensors file;
    ftso_status status = ftso_safetensors_parse("fuzz", data, size, &file);
    if (status.code != FTSO_OK) {
        expect(status.code == FTSO_ERROR_DATA && status.message[0], "not an error of the data");
        return 0;
    }
    file.bytes = (void *)(uintptr_t)data; /* for look */
    look(&file, size);
    file.bytes = NULL;
    ftso_safetensors_deinit(&file);
    return 0;
}
