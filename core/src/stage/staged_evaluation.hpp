// Held-out loss of a model whose layers are spread over a pipeline. Activations travel as they are:
// what compressors remember is of training samples only.
#pragma once

#include "dist/world.hpp"
#include "model/decoder.hpp"
#include "stage/perplexity.hpp"
#include "train/training_model.hpp"

namespace qtk::stage {

/// Mean loss, nat per prediction; the same on all processes, which all call it. Replicas share the
/// batches.
double staged_held_out_loss(dist::World& world, model::Decoder& decoder,
                            train::TrainingModel& model, const EvaluationPlan& plan);

}  // namespace qtk::stage
