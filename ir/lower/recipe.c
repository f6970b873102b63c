/*
 * A recipe to options: how a training wants its network lowered.
 *
 * In: an ftso_train. Out: ftso_lower_options, of the training form or of the form that is judged and shipped.
 * Must hold: both forms list the same tensors at the same offsets, so one state serves both.
 */
#include "ir/ir.h"

ftso_lower_options ftso_train_lower_options(const ftso_train *train, bool inference)
{
    return (ftso_lower_options){
        .batch = train->batch,
        .image_channels = train->dataset->channels,
        .image_side = train->dataset->side,
        .classes = train->dataset->classes,
        .layers = train->layers,
        .channels = train->channels,
        .parameters = train->parameters,
        .parameter_count = train->parameter_count,
        .inference = inference,
        .running = true,
        .drop_path = !inference && train->drop_path > 0,
        .aux = train->aux_weight > 0,
        .aux_weight = train->aux_weight,
        .label_smoothing = train->label_smoothing,
        .storage = train->precision,
    };
}
