#include "pixeldp/import_model.hpp"

#include "engine/error.hpp"

namespace pixeldp {
namespace {

/// The tensors under the names of our layers.
SafetensorsFile renamed(const SafetensorsFile& file, const std::string& what) {
  SafetensorsFile result;
  for (const auto& [foreign, tensor] : file.tensors) {
    std::string_view name = foreign;
    for (const std::string_view wrapper : {"module.", "model."})
      if (name.starts_with(wrapper)) name.remove_prefix(wrapper.size());
    if (name.ends_with(".num_batches_tracked")) continue;
    if (!result.tensors.emplace(name, tensor).second)
      fail("{}: two tensors are named '{}' when wrappers are left out", what, name);
  }
  return result;
}

/// An extent of a tensor with `rank` axes, the outermost being axis 0.
std::int64_t extent(const SafetensorsFile& file, const std::string& what, const std::string& tensor,
                    std::size_t rank, std::size_t axis) {
  const auto found = file.tensors.find(tensor);
  if (found == file.tensors.end())
    fail("{}: there is no tensor '{}'; is the architecture another?", what, tensor);
  if (found->second.shape.size() != rank)
    fail("{}: tensor '{}' has {} axes, not {}", what, tensor, found->second.shape.size(), rank);
  return found->second.shape[axis];
}

}  // namespace

Model import_model(const SafetensorsFile& file, const std::string& what,
                   const ImportOptions& options) {
  if (is_model(file))
    fail(
        "{} is a model of this program, whose noise an import would leave out: its own folder can "
        "be certified",
        what);
  const SafetensorsFile ours = renamed(file, what);
  Model model{.name = options.name,
              .dataset = options.dataset,
              .pixel_shift = options.pixel_shift,
              .spec = options.spec,
              .network = {},
              .calibration = {},
              .form = SensitivityForm::tight};
  // Every architecture reads the image by conv1; how its head is named, a network of it tells.
  model.spec.channels = extent(ours, what, "conv1.weight", 4, 1);
  const std::string head = layers::make_network(model.spec, 0).head->name();
  model.spec.classes = extent(ours, what, head + ".weight", 2, 0);
  model.network = layers::make_network(model.spec, 0);
  load_parameters(ours, what, model.network);
  check_no_other_tensors(ours, what, model.network);
  return model;
}

}  // namespace pixeldp
