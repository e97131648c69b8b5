#include "trainers/checkpoint.hpp"

#include "engine/error.hpp"
#include "pixeldp/metadata.hpp"
#include "pixeldp/model.hpp"

namespace pixeldp {
namespace {

constexpr const char* velocity_suffix = ".velocity";

}  // namespace

void save_checkpoint(const Stream& stream, const std::filesystem::path& path,
                     const layers::Network& network, const TrainingState& state,
                     const std::string& config, const std::string& images) {
  SafetensorsFile file;
  const auto parameters = network.parameters();
  for (std::size_t i = 0; i < parameters.size(); ++i) {
    const layers::Parameter& p = *parameters[i];
    const auto add = [&](const std::string& name, const Tensor& values) {
      file.tensors[name] = SafeTensor::from_floats(p.shape, values.to(stream, Device()).values());
    };
    add(p.name, p.value);
    add(p.name + velocity_suffix, state.velocity[i]);
  }
  for (const layers::LayerBuffer* buffer : network.buffers()) {
    if (buffer->saved)
      file.tensors[buffer->name] =
          SafeTensor::from_floats(buffer->shape, buffer->value.to(stream, Device()).values());
  }
  file.metadata = {{"step", fmt::format("{}", state.step)},
                   {"seconds", fmt::format("{}", state.seconds)},
                   {"interval_loss", fmt::format("{}", state.interval_loss)},
                   {"interval_correct", fmt::format("{}", state.interval_correct)},
                   {"interval_images", fmt::format("{}", state.interval_images)},
                   {"config", config},
                   {"images", images}};
  if (state.last_loss) file.metadata["last_loss"] = fmt::format("{}", *state.last_loss);
  write_safetensors(path, file);
}

Checkpoint read_checkpoint(const std::filesystem::path& path) {
  Checkpoint checkpoint{path, read_safetensors(path)};
  if (!checkpoint.file.metadata.contains("config"))
    fail("{}: this is no checkpoint of a training", path.string());
  return checkpoint;
}

std::int64_t Checkpoint::step() const {
  return Metadata(file, path.string()).number<std::int64_t>("step");
}

std::optional<std::string> Checkpoint::images() const {
  const Metadata metadata(file, path.string());
  return metadata.has("images") ? std::optional(metadata.string("images")) : std::nullopt;
}

TrainingState Checkpoint::restore(layers::Network& network) const {
  load_parameters(file, path.string(), network);
  TrainingState state;
  state.step = step();
  const Metadata metadata(file, path.string());
  state.seconds = metadata.number<double>("seconds");
  state.interval_loss = metadata.number<double>("interval_loss");
  state.interval_correct = metadata.number<std::int64_t>("interval_correct");
  state.interval_images = metadata.number<std::int64_t>("interval_images");
  if (metadata.has("last_loss")) state.last_loss = metadata.number<double>("last_loss");
  for (const layers::Parameter* p : network.parameters()) {
    const auto found = file.tensors.find(p->name + velocity_suffix);
    if (found == file.tensors.end() || found->second.shape != p->shape) {
      fail("{}: tensor '{}{}' is missing or has another shape; remove the file and train anew",
           path.string(), p->name, velocity_suffix);
    }
    const std::vector<float> values = found->second.to_floats();
    Tensor velocity(p->value.shape());
    std::copy(values.begin(), values.end(), velocity.data());
    state.velocity.push_back(std::move(velocity));
  }
  return state;
}

}  // namespace pixeldp
