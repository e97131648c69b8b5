#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include "engine/io/dataset.hpp"
#include "engine/io/safetensors.hpp"
#include "layers/networks/network_spec.hpp"
#include "pixeldp/calibration.hpp"
#include "pixeldp/precision.hpp"
#include "pixeldp/sensitivity.hpp"

namespace pixeldp {

/// A trained network with everything a certificate must know of it. In the file (safetensors) the
/// parameters and the buffers of layers carry PyTorch-like names and the rest is metadata.
struct Model {
  std::string name;
  std::string dataset;       ///< the data set it was trained on
  double pixel_shift = 0.0;  ///< added to pixels in [0, 1]
  /// ImageForm::short_side, and what its labels are called, where the data set's name does not say.
  std::int64_t short_side = 0;
  std::vector<std::string> class_names = {};
  layers::NetworkSpec spec;
  layers::Network network;
  Calibration calibration;  ///< its sensitivity is measured on the parameters
  SensitivityForm form = SensitivityForm::tight;
  std::optional<Quantisation> quantisation = {};  ///< what int8 takes
  /// Of the file of the classifier that stands untouched behind its auto-encoder; else empty.
  std::string classifier_sha256 = {};
  /// Its noise is not in its file, but was given to it afterwards (give_input_noise).
  bool noise_at_certification = false;
};

/// The model's scales for int8, null where it has none.
inline const Quantisation* quantisation(const Model& model) {
  return model.quantisation ? &*model.quantisation : nullptr;
}

/// The form in which it takes pictures of any size.
ImageForm image_form(const Model& model);

/// Each throws an Error unless the model takes images, and has as many classes, as these; and of
/// the same names, where both say them.
void check_images_fit(const Model& model, std::string_view dataset, const ImageForm& form);
void check_images_fit(const Model& model, const Dataset& dataset);

/// Throws a usage error for a regression network, which `what`, in the plural, are not for.
void refuse_regression(const Model& model, std::string_view what);

/// The network's noise layer as the calibration demands it.
void apply_calibration(const Calibration& calibration, layers::Network& network);

/// Parameters and buffers under their names, and the metadata, as a file in memory.
SafetensorsFile model_to_safetensors(const Model& model);

/// Whether it is a file that save_model wrote, of this or another version.
bool is_model(const SafetensorsFile& file);

/// Atomically.
void save_model(const std::filesystem::path& path, const Model& model);

/// What is done about damaged scales for int8 in a model's file: an Error, or, where they will be
/// made anew, none.
enum class Scales { read, mend };

/// Throws an Error that names the file and the tensor or metadata key that is missing or does not
/// fit. A file without a sensitivity loads, but cannot be certified (Calibration::sensitivity is
/// 0).
Model load_model(const std::filesystem::path& path, Scales scales = Scales::read);

/// Copies the tensors of a file into the parameters and buffers of those names; shapes must agree
/// and values be finite. `what` names the file in errors.
void load_parameters(const SafetensorsFile& file, const std::string& what,
                     layers::Network& network);

/// Throws an Error if the file has a tensor that the network has not: it belongs to another one.
void check_no_other_tensors(const SafetensorsFile& file, const std::string& what,
                            const layers::Network& network);

/// Throws an Error unless the model may be certified: its calibration is complete, and the recorded
/// sensitivity bounds its parameters, which is computed afresh, but for the rounding of two
/// processors. Returns the calibration for its certificates, with the larger of the two.
Calibration check_certifiable(const Model& model);

}  // namespace pixeldp
