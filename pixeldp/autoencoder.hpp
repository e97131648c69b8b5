#pragma once

#include <filesystem>
#include <string>

#include "pixeldp/model.hpp"

namespace pixeldp {

/// A model on its way behind, or into, an auto-encoder.
struct ModelFile {
  std::filesystem::path path;
  std::string sha256;
  Model model;
};

/// Of a run's folder, or the model's file itself.
ModelFile read_model_file(const std::filesystem::path& run_or_file);

/// The specification of a classifier behind an auto-encoder, which hands it pixels from 0 to 1:
/// what it added to those itself becomes part of its normalisation. Throws a usage error for a
/// model with noise of its own, or with an auto-encoder.
layers::NetworkSpec classifier_spec(const ModelFile& classifier);

/// Puts the tensors of a classifier, or of the auto-encoder of another model, into those of a
/// network with an auto-encoder. Returns whether they were there already. Throws an Error for
/// tensors that are missing or of another shape.
bool put_classifier(const ModelFile& classifier, layers::Network& network);
bool put_autoencoder(const ModelFile& other, layers::Network& network);

/// The auto-encoder of a model before another classifier, with its noise and sensitivity: neither
/// is trained any further. Throws what classifier_spec throws, and a usage error where the one has
/// no auto-encoder, or makes images that the other does not take.
Model behind_autoencoder(const ModelFile& autoencoder, const ModelFile& classifier);

}  // namespace pixeldp
