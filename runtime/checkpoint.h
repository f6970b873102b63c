/*
 * checkpoint: the state of a run on disk, whole or not at all.
 *
 * In: tensors and the place in the run. Out: folders `step-N` under one folder, each with a manifest (lengths and
 * checksums) and tensors.safetensors. Must hold: a folder is written under another name, synced, then renamed; the one
 * before it is removed only after that. So whatever happens at whatever moment, the newest whole one loads.
 */
#ifndef FTSO_RUNTIME_CHECKPOINT_H
#define FTSO_RUNTIME_CHECKPOINT_H

#include "runtime/safetensors.h"

/* The best epoch so far; `epoch` 0: none yet. */
typedef struct ftso_best {
    int64_t epoch, step; /* counted from 1; the step that its checkpoint has */
    int64_t top1, images;
    double loss;
} ftso_best;

/* The place in a run. With the tensors it is all that the rest of the run depends on. */
typedef struct ftso_checkpoint {
    int64_t
        step; /* optimiser steps taken: fixes epoch, data position, schedule and all random numbers */
    int64_t measured; /* epochs that were judged */
    uint64_t seed;
    ftso_best best;
    double loss_sum; /* of the epoch at hand, so far */
    int64_t top1, images;
    double seconds;
    int64_t log_bytes; /* length of the log at this place */
    uint64_t layout;   /* hash of the network's tensors: another one's are refused */
    uint64_t origin;   /* hash of recipe, code generator and images: another one is said */
} ftso_checkpoint;

/* A checkpoint that was read. */
typedef struct ftso_checkpoint_file {
    ftso_checkpoint place;
    ftso_safetensors tensors;
    void *bytes; /* that the tensors lie in */
    bool found;  /* false: there is none */
} ftso_checkpoint_file;

/*
 * Makes folder/step-N with the tensors. Then removes all but the newest `keep` and that of `place->best`. Checks the free
 * space first. A failure names the file and the reason, and leaves what was there before.
 */
ftso_status FTSO_MUST_USE ftso_checkpoint_save(const char *folder, const ftso_checkpoint *place,
                                               const ftso_safetensor *tensors, size_t count,
                                               int keep);
/* The newest whole one. Damaged ones are passed over, each with a line in `notes`; none whole is an error, none at all is not. */
ftso_status FTSO_MUST_USE ftso_checkpoint_load(const char *folder, ftso_text *notes,
                                               ftso_checkpoint_file *out);
/* That of a step. */
ftso_status FTSO_MUST_USE ftso_checkpoint_load_step(const char *folder, int64_t step,
                                                    ftso_checkpoint_file *out);
void ftso_checkpoint_deinit(ftso_checkpoint_file *file);

#endif
