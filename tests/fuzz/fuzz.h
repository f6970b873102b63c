/* tests/fuzz: what every target defines, and replay.c or libFuzzer calls. */
#ifndef FTSO_TESTS_FUZZ_H
#define FTSO_TESTS_FUZZ_H

#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#endif
