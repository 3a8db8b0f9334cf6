// Names, bounds and sentences of the keys of a run that trains.
#include "config/train_config.hpp"

namespace qtk::config {

void TrainData::describe(OptionSet<TrainData>& o) {
  o.field("files", &TrainData::files).doc("Texts to train on.");
  o.field("shards", &TrainData::shards)
      .doc(
          "Token files in place of texts: *.bin of little-endian uint16; a data.json beside them "
          "may name their tokenizer.");
  o.field("format", &TrainData::format)
      .one_of({"text", "jsonl", "wikitext"})
      .doc("How the files are read.");
  o.field("field", &TrainData::field).doc("Key of the text in a line of a JSONL file.");
  o.field("ctx", &TrainData::ctx).range(2, 1 << 20).unit("token").doc("Length of a window.");
  o.field("packing", &TrainData::packing)
      .one_of({"packed", "padded"})
      .doc(
          "packed: documents one after another, cut into full windows; padded: every document "
          "begins a window of its own.");
}

void SchedulerSection::describe(OptionSet<SchedulerSection>& o) {
  describe_use(o, "scheduler");
  o.field("sensitivity", &SchedulerSection::sensitivity)
      .doc("A sensitivity.json of the same model; unset: that of this run's stage calibrate.");
}

void SchedulerSection::sections(SectionSet<SchedulerSection>& s) { declare_plugin(s, "scheduler"); }

void DistillSection::describe(OptionSet<DistillSection>& o) {
  o.field("weight", &DistillSection::weight)
      .range(0, 1)
      .doc(
          "Share of the loss that is the divergence from the base model; the rest is "
          "cross-entropy.");
  o.field("temperature", &DistillSection::temperature)
      .range(0.01, 100)
      .doc("Both models' logits are divided by it.");
}

void TrainSection::describe(OptionSet<TrainSection>& o) {
  o.field("tokens", &TrainSection::tokens).at_least(0).unit("token").doc("Length by tokens.");
  o.field("steps", &TrainSection::steps).at_least(0).unit("step").doc("Length by steps.");
  o.field("epochs", &TrainSection::epochs)
      .at_least(0)
      .doc("Length by passes over the data; a part of a pass is allowed.");
  o.field("global_batch", &TrainSection::global_batch)
      .range(1, 1 << 20)
      .unit("window")
      .doc("Windows of an optimizer step.");
  o.field("micro_batch", &TrainSection::micro_batch)
      .range(1, 1 << 20)
      .unit("window")
      .doc("Windows that go through the model at once; divides global_batch.");
  o.field("precision", &TrainSection::precision)
      .one_of({"auto", "fp32", "bf16"})
      .doc(
          "Type to compute in; weights and moments are fp32 always. auto: bf16 on CUDA, fp32 on "
          "the CPU.");
  o.field("clip", &TrainSection::clip)
      .at_least(0)
      .doc("Largest norm of all gradients together; 0 does not clip.");
  o.field("activation_checkpointing", &TrainSection::activation_checkpointing)
      .doc("Keep only the input of every block and compute the rest again in the backward pass.");
  o.field("train_rest", &TrainSection::train_rest)
      .doc("Also train what no quantizer takes: embedding, head, norms, biases.");
  o.field("eval_every", &TrainSection::eval_every)
      .at_least(0)
      .unit("step")
      .doc(
          "Evaluate the deployed weights on data.eval every so often and keep the best; 0: never.");
  o.field("log_every", &TrainSection::log_every)
      .at_least(1)
      .unit("step")
      .doc("Write metrics every so often.");
  o.field("checkpoint_every", &TrainSection::checkpoint_every)
      .at_least(0)
      .unit("step")
      .doc(
          "Save everything every so often, and at the end; 0: only when asked to stop and at the "
          "end.");
  o.field("keep", &TrainSection::keep)
      .at_least(1)
      .doc("Newest checkpoints to keep, besides the best one.");
  o.field("result", &TrainSection::result)
      .one_of({"last", "best"})
      .doc("Which step's weights the run goes on with: the last, or the best evaluated one.");
  o.field("on_nan", &TrainSection::on_nan)
      .one_of({"stop", "skip"})
      .doc("What a step with NaN or infinity does: end the run, or leave the weights as they are.");
  o.field("divergence_factor", &TrainSection::divergence_factor)
      .at_least(0)
      .doc("Stop when the loss exceeds its running median by this factor; 0: never.");
}

void TrainSection::sections(SectionSet<TrainSection>& s) {
  s.section("lr_schedule", &TrainSection::lr_schedule)
      .doc("Scheduler whose knob `lr` multiplies the learning rates; without one they stay.");
  s.section("distill", &TrainSection::distill).doc("Learning from the model as it was loaded.");
}

void OptimizerGroup::describe(OptionSet<OptimizerGroup>& o) {
  o.field("lr", &OptimizerGroup::lr).at_least(0).doc("Learning rate.");
  o.field("betas", &OptimizerGroup::betas).range(0, 1).doc("Decay of both moments.");
  o.field("eps", &OptimizerGroup::eps).at_least(0).doc("Added to the root of the second moment.");
  o.field("weight_decay", &OptimizerGroup::weight_decay).at_least(0).doc("Decoupled weight decay.");
}

void OptimizerSection::describe(OptionSet<OptimizerSection>& o) {
  o.field("lr", &OptimizerSection::lr).at_least(0).doc("Learning rate of AdamW.");
  o.field("betas", &OptimizerSection::betas).range(0, 1).doc("Decay of both moments.");
  o.field("eps", &OptimizerSection::eps).at_least(0).doc("Added to the root of the second moment.");
  o.field("weight_decay", &OptimizerSection::weight_decay)
      .at_least(0)
      .doc("Decoupled weight decay; norms, biases and other tensors of one dimension have none.");
}

void OptimizerSection::sections(SectionSet<OptimizerSection>& s) {
  s.map("groups", &OptimizerSection::groups)
      .doc("Other settings for the tensors that a method puts into a group of this name.");
}

}  // namespace qtk::config
