#include "trainers/training_settings.hpp"

#include "engine/io/dataset.hpp"
#include "engine/named.hpp"
#include "layers/networks/network_spec.hpp"
#include "pixeldp/sensitivity.hpp"

namespace pixeldp {
namespace {

using Number = Setting::Number;
using Integer = Setting::Integer;
using Flag = Setting::Flag;
using Text = Setting::Text;
using Choice = Setting::Choice;
using List = Setting::List;

constexpr std::int64_t most_steps = 100'000'000;

Setting::Condition with(std::string key, std::vector<std::string> values) {
  return {std::move(key), std::move(values)};
}

std::vector<Setting> run_and_data() {
  const auto folder = with("data.set", {"image-folder"});
  constexpr std::int64_t largest_side = 16384;
  return {{.key = "name", .type = Text{}, .meaning = "Names the run and its folder, runs/NAME."},
          {.key = "data.set",
           .type = Choice{trainable_datasets()},
           .meaning = "The data set. It also says what images the network takes; of image-folder, "
                      "pictures of any size in folders by class, the keys below do."},
          {.key = "data.directory",
           .type = Text{},
           .meaning = "The folder of its files.",
           .otherwise = "$PIXELDP_DATA/SET",
           .changeable = true},
          {.key = "data.height",
           .type = Integer{1, largest_side},
           .meaning = "Pixels of the images that the network takes.",
           .taken = folder},
          {.key = "data.width",
           .type = Integer{1, largest_side},
           .meaning = "Pixels of the images that the network takes.",
           .taken = folder},
          {.key = "data.short_side",
           .type = Integer{1, largest_side},
           .meaning = "Pictures are resized until their shorter side has so many pixels; then "
                      "their middle is cut out.",
           .otherwise = "the larger of data.height and data.width",
           .taken = folder},
          {.key = "data.channels",
           .type = Choice{{"1", "3"}, "3"},
           .meaning = "1: pictures become grey; 3: red, green and blue.",
           .taken = folder},
          {.key = "data.classes",
           .type = Integer{2, 1'000'000},
           .meaning = "How many classes, each a folder, there must be.",
           .taken = folder},
          {.key = "data.pixel_shift",
           .type = Number{Range::closed(-1.0, 1.0), -0.5},
           .meaning = "Added to pixels, which span 0 to 1."}};
}

std::vector<Setting> network() {
  const auto key = "network.architecture";
  return {
      {.key = key, .type = Choice{layers::architecture_names()}, .meaning = "The network."},
      {.key = "network.depth",
       .type = Integer{1, 10000, 28},
       .meaning = "Layers with weights, 6 n + 4.",
       .taken = with(key, {"wide-resnet"})},
      {.key = "network.depth",
       .type = Integer{1, 10000, 20},
       .meaning = "Layers with weights, 6 n + 2.",
       .taken = with(key, {"resnet"})},
      {.key = "network.width",
       .type = Integer{1, 1000, 10},
       .meaning = "Multiplies the numbers of channels.",
       .taken = with(key, {"wide-resnet"})},
      {.key = "network.slope",
       .type = Number{Range::closed(0.0, 1.0), 0.1},
       .meaning = "Of the leaky ReLUs; 0: ReLU.",
       .taken = with(key, {"wide-resnet"})},
      {.key = "network.classifier",
       .type = Text{},
       .meaning = "The folder of a run, or the model's file, of the network behind the "
                  "auto-encoder: one without noise.",
       .taken = with(key, {"autoencoder"})},
      {.key = "network.autoencoder",
       .type = Text{},
       .meaning = "Another run whose auto-encoder's weights this one starts from.",
       .otherwise = "random weights",
       .taken = with(key, {"autoencoder"})},
      {.key = "network.encoder",
       .type = List{},
       .meaning =
           "The layers of the encoder, as in [{kernel: 5, filters: 32, stride: 2}]; the "
           "decoder has their transposes. []: those of the paper, or for images of less than "
           "64 pixels smaller ones.",
       .taken = with(key, {"autoencoder"})},
      {.key = "network.encoder.*.kernel",
       .type = Integer{1, 31},
       .meaning = "Pixels of a side of its kernels."},
      {.key = "network.encoder.*.filters",
       .type = Integer{1, 1024},
       .meaning = "How many kernels it has."},
      {.key = "network.encoder.*.stride",
       .type = Integer{1, 8, 1},
       .meaning = "Pixels from one place of its kernels to the next."},
      {.key = "network.trained",
       .type = Choice{{"autoencoder", "classifier", "both"}, "autoencoder"},
       .meaning = "What is trained after training.reconstruction_steps; the other part stays as it "
                  "is.",
       .taken = with(key, {"autoencoder"})},
      {.key = "network.output",
       .type = Choice{names_of(kernels::output_kinds, kernels::name), "sigmoid"},
       .meaning = "What bounds the real output: a sigmoid, a limit (truncated), or nothing.",
       .taken = with("data.set", {"mnist-angle"})},
      {.key = "network.output_low",
       .type = Number{Range::closed(-1e6, 1e6)},
       .meaning = "The lower end of its range, which holds all labels.",
       .taken = with("data.set", {"mnist-angle"})},
      {.key = "network.output_high",
       .type = Number{Range::closed(-1e6, 1e6)},
       .meaning = "The upper end of its range.",
       .taken = with("data.set", {"mnist-angle"})},
      {.key = "network.standardise",
       .type = Choice{{"none", "image"}, "none"},
       .meaning = "image: each image is standardised, (x - mean) / deviation, which multiplies the "
                  "sensitivity by the square root of its values."}};
}

std::vector<Setting> noise() {
  const auto key = "noise.mechanism";
  const auto noisy = with(key, names_of(noise_mechanisms, name));
  return {{.key = key,
           .type = Choice{names_of(mechanisms, name)},
           .meaning = "The noise; none: a network that certifies nothing."},
          {.key = "noise.after_layers",
           .type = Integer{0, 2, 1},
           .meaning = "How many layers lie before the noise; 0: it is added to the image."},
          {.key = "noise.before_activation",
           .type = Flag{true},
           .meaning = "Whether the noise is added before the activation of the layer before it."},
          {.key = "noise.attack_norm",
           .type = Choice{names_of(attack_norms, name), "2"},
           .meaning = "The norm in which attacks are measured.",
           .taken = noisy},
          {.key = "noise.construction_bound",
           .type = Number{Range::above(0.0)},
           .meaning = "L, the attack size that the noise is made for.",
           .taken = noisy},
          {.key = "noise.epsilon",
           .type = Number{{.min = 0.0, .max = 1.0, .min_excluded = true}, 1.0},
           .meaning = "Of the differential privacy at L: the smaller, the more noise.",
           .taken = with(key, {"gaussian"})},
          {.key = "noise.epsilon",
           .type = Number{Range::above(0.0), 1.0},
           .meaning = "Of the differential privacy at L: the smaller, the more noise.",
           .taken = with(key, {"laplace"})},
          {.key = "noise.delta",
           .type = Number{Range::open(0.0, 1.0), 0.05},
           .meaning = "Of the differential privacy at L: the smaller, the more noise.",
           .taken = with(key, {"gaussian"})},
          {.key = "noise.ramp_up",
           .type = Flag{true},
           .meaning =
               "Whether training begins with a tenth of the noise; all of it comes from step 9,210 "
               "on.",
           .taken = noisy},
          {.key = "noise.assumed_sensitivity",
           .type = Number{Range::above(0.0)},
           .meaning = "The sensitivity that the noise is scaled for. Certificates take the one "
                      "measured after training.",
           .otherwise = "from norm, mechanism, place and control",
           .taken = noisy}};
}

std::vector<Setting> sensitivity() {
  const auto key = "sensitivity.control";
  return {
      {.key = key,
       .type = Choice{{"none", "parseval", "normalise-columns", "normalise-rows"}, "none"},
       .meaning = "What holds the sensitivity of the layers before the noise: Parseval projection "
                  "(2-norm attacks), columns (1-norm) or rows (infinity-norm) of norm 1."},
      {.key = "sensitivity.parseval_step",
       .type = Number{{.min = 0.0, .max = 0.5, .min_excluded = true}, 0.0003},
       .meaning = "Of the projection: how far each loop goes.",
       .taken = with(key, {"parseval"})},
      {.key = "sensitivity.parseval_loops",
       .type = Integer{1, 10000, 10},
       .meaning = "Of the projection, after each training step.",
       .taken = with(key, {"parseval"})},
      {.key = "sensitivity.form",
       .type = Choice{names_of(sensitivity_forms, name), "tight"},
       .meaning = "How it is bounded: tightly, or as the original program does."}};
}

std::vector<Setting> training() {
  const auto adversarial = "training.adversarial.norm";
  std::vector<std::string> with_none = names_of(attack_norms, name);
  const auto attacked = with(adversarial, with_none);
  with_none.insert(with_none.begin(), "none");
  return {{.key = "training.steps",
           .type = Integer{1, most_steps},
           .meaning = "How many steps to train.",
           .changeable = true},
          {.key = "training.reconstruction_steps",
           .type = Integer{0, most_steps, 0},
           .meaning = "The first so many steps train the auto-encoder to give back its image; the "
                      "loss is the root of the mean squared difference.",
           .taken = with("network.architecture", {"autoencoder"})},
          {.key = "training.batch",
           .type = Integer{.min = 1, .fallback = 128},
           .meaning = "Images per step, at most those of the data set."},
          {.key = "training.learning_rate",
           .type = Number{Range::above(0.0)},
           .meaning = "Of the first step.",
           .changeable = true},
          {.key = "training.learning_rate_changes",
           .type = List{},
           .meaning = "Later learning rates, as in [{step: 30000, rate: 0.01}].",
           .changeable = true},
          {.key = "training.learning_rate_changes.*.step",
           .type = Integer{1, most_steps},
           .meaning = "The first step of this rate; ascending."},
          {.key = "training.learning_rate_changes.*.rate",
           .type = Number{Range::above(0.0)},
           .meaning = "The learning rate from there on."},
          {.key = "training.momentum",
           .type = Number{{.min = 0.0, .max = 1.0, .max_excluded = true}, 0.9},
           .meaning = "Of stochastic gradient descent."},
          {.key = "training.weight_decay",
           .type = Number{Range::at_least(0.0), 0.0002},
           .meaning = "Times half the squared weights, added to the loss."},
          {.key = "training.augment.pad",
           .type = Integer{0, 31, 0},
           .meaning = "Images are framed by so many black pixels and cropped at random."},
          {.key = "training.augment.mirror",
           .type = Flag{false},
           .meaning = "Images are mirrored at random; not digits."},
          {.key = adversarial,
           .type = Choice{with_none, "none"},
           .meaning = "The norm of attacks to train on instead of the images (Madry et al. 2018)."},
          {.key = "training.adversarial.size",
           .type = Number{Range::above(0.0)},
           .meaning = "How far they go, where a pixel spans 1.",
           .taken = attacked},
          {.key = "training.adversarial.step",
           .type = Number{Range::above(0.0)},
           .meaning = "The length of each of their steps.",
           .taken = attacked},
          {.key = "training.adversarial.steps",
           .type = Integer{1, 1000},
           .meaning = "How many steps they take.",
           .taken = attacked},
          {.key = "training.dual_bound.size",
           .type = Number{Range::closed(0.0, 1.0), 0.0},
           .meaning = "Trains on what is proved of all pictures whose pixels are so far from the "
                      "image's (Wong and Kolter 2018); 0: on the image."},
          {.key = "training.dual_bound.ramp",
           .type = Integer{0, most_steps, 0},
           .meaning = "Steps in which that size grows from 0."},
          {.key = "training.batch_norm",
           .type = Choice{{"local", "synchronised"}, "local"},
           .meaning = "Whether batch normalisation takes mean and variance of each rank's part of "
                      "the batch, or of the whole."},
          {.key = "training.gradients",
           .type = Choice{{"ordered", "nccl"}, "ordered"},
           .meaning = "Whether ranks sum their gradients in the order of ranks, to the same bits "
                      "each time, or in one that NCCL chooses, between GPUs."},
          {.key = "training.precision",
           .type = Choice{{"fp32", "tf32", "bf16"}, "fp32"},
           .meaning = "To what the operands of products after the noise are rounded."},
          {.key = "training.seed",
           .type = Integer{.min = 0, .fallback = 1},
           .meaning = "Of weights, order, augmentation and noise."},
          {.key = "training.log_every",
           .type = Integer{1, most_steps, 100},
           .meaning = "Steps between lines of training.csv.",
           .changeable = true},
          {.key = "training.evaluate_every",
           .type = Integer{1, most_steps, 1000},
           .meaning = "Steps between evaluations on the test set.",
           .changeable = true},
          {.key = "training.checkpoint_every",
           .type = Integer{1, most_steps, 1000},
           .meaning = "Steps between checkpoints, from which --resume goes on.",
           .changeable = true},
          {.key = "training.evaluation_images",
           .type = Integer{1, most_steps, 1000},
           .meaning = "The first so many images of the test set are evaluated.",
           .changeable = true},
          {.key = "training.evaluation_draws",
           .type = Integer{1, 1'000'000, 10},
           .meaning = "Noise draws per image of an evaluation.",
           .changeable = true}};
}

}  // namespace

std::span<const Setting> training_settings() {
  static const std::vector<Setting> all = [] {
    std::vector<Setting> settings = run_and_data();
    for (const auto& section : {network(), noise(), sensitivity(), training()})
      settings.insert(settings.end(), section.begin(), section.end());
    return settings;
  }();
  return all;
}

}  // namespace pixeldp
