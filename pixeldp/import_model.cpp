#include "pixeldp/import_model.hpp"

#include <algorithm>
#include <cmath>
#include <functional>
#include <optional>
#include <set>

#include <fmt/ranges.h>

#include "engine/error.hpp"

namespace pixeldp {
namespace {

/// The names under which our network saves its tensors, whatever the channels and classes.
struct Names {
  std::vector<std::string> in_order;  ///< of the layers
  std::set<std::string, std::less<>> all;

  explicit Names(layers::NetworkSpec spec) {
    spec.input_mean.clear();
    spec.input_deviation.clear();
    const layers::Network network = layers::make_network(spec, 0);
    for (const layers::NamedTensor* tensor : network.saved_tensors())
      in_order.push_back(tensor->name);
    all.insert(in_order.begin(), in_order.end());
  }

  /// Whether it is one of them behind the prefix.
  bool contain(std::string_view name, std::string_view prefix) const {
    return name.starts_with(prefix) && all.contains(name.substr(prefix.size()));
  }
};

/// What only training needs: counts of batches, and Inception-v3's auxiliary head.
bool is_trainers_own(std::string_view name) {
  return name.ends_with("num_batches_tracked") || name.starts_with("AuxLogits.") ||
         name.find(".AuxLogits.") != name.npos;
}

/// Some of the file's names, those that no tensor of the network has first.
std::string names_in(const SafetensorsFile& file, const Names& known, std::string_view prefix) {
  constexpr std::size_t most = 6;
  std::vector<std::string> others, ours;
  for (const auto& [name, tensor] : file.tensors) {
    if (is_trainers_own(name)) continue;
    (known.contain(name, prefix) ? ours : others).push_back(name);
  }
  others.insert(others.end(), ours.begin(), ours.end());
  if (others.empty()) return "no tensor at all";
  const std::size_t left = others.size() - std::min(most, others.size());
  others.resize(others.size() - left);
  return fmt::format("{}{}", fmt::join(others, ", "),
                     left > 0 ? fmt::format(" and {} more", left) : "");
}

/// What stands before the longest name of ours that the name ends with; none where it ends with
/// none.
std::optional<std::string> prefix_of(const std::string& name, const Names& known) {
  for (std::size_t at = 0;; ++at) {
    if (known.contain(name, std::string_view(name).substr(0, at))) return name.substr(0, at);
    at = name.find('.', at);
    if (at == std::string::npos) return std::nullopt;
  }
}

/// The prefix under which the file has all tensors of the network.
std::string find_prefix(const SafetensorsFile& file, const std::string& what,
                        const layers::NetworkSpec& spec, const Names& known) {
  std::set<std::string> prefixes;
  for (const auto& entry : file.tensors)
    if (auto prefix = prefix_of(entry.first, known)) prefixes.insert(std::move(*prefix));
  if (prefixes.empty()) {
    fail("{}: there is no tensor of architecture {}, with or without a prefix; the file has {}",
         what, spec.architecture, names_in(file, known, ""));
  }
  const auto missing = [&](const std::string& prefix) {
    return std::ranges::find_if(known.in_order, [&](const std::string& ours) {
      return !file.tensors.contains(prefix + ours);
    });
  };
  std::vector<std::string> complete;
  for (const std::string& prefix : prefixes)
    if (missing(prefix) == known.in_order.end()) complete.push_back(prefix);
  if (complete.size() > 1) {
    fail("{}: it holds the whole network {} times, under the prefixes '{}': keep one of them", what,
         complete.size(), fmt::join(complete, "', '"));
  }
  if (complete.size() == 1) return complete.front();
  // Parts of the network may look like another one, under longer prefixes.
  const std::string& shortest = *std::ranges::min_element(prefixes, {}, &std::string::size);
  fail(
      "{}: tensor '{}' of architecture {} is missing{}: its kind or depth is another; the file has "
      "{}",
      what, *missing(shortest), spec.architecture,
      shortest.empty() ? "" : fmt::format(" under the prefix '{}'", shortest),
      names_in(file, known, shortest));
}

enum class Statistic { none, mean, deviation };

/// What a normalising layer calls it: "0.means", "normalize.std", "pixel_mean". Batch
/// normalisations have running statistics.
Statistic statistic_of(std::string_view name) {
  name = name.substr(name.rfind('.') + 1);  // the whole name where there is no dot
  if (name.starts_with("running_")) return Statistic::none;
  name = name.substr(name.rfind('_') + 1);
  for (const std::string_view word : {"mean", "means", "mu"})
    if (name == word) return Statistic::mean;
  for (const std::string_view word : {"std", "stds", "sd", "sds", "sigma", "sigmas"})
    if (name == word) return Statistic::deviation;
  return Statistic::none;
}

/// One value for each channel, or one for all, along a single axis: C or 1xCx1x1. A float is taken
/// for the shortest decimal that it is nearest to, which is what somebody once wrote.
std::optional<std::vector<double>> channel_values(const SafeTensor& tensor, std::int64_t channels) {
  const std::int64_t size = tensor.size();
  if (size != channels && size != 1) return std::nullopt;
  if (std::ranges::any_of(tensor.shape, [&](std::int64_t n) { return n != 1 && n != size; }))
    return std::nullopt;
  std::vector<double> values;
  for (const float value : tensor.to_floats())
    values.push_back(std::stod(fmt::format("{}", value)));
  if (size == 1) values.assign(static_cast<std::size_t>(channels), values.front());
  return values;
}

/// Takes what a tensor of the file says in place of what was given, which must agree.
void take(GivenStatistic& given, const std::string& what, const std::string& tensor,
          std::vector<double> others) {
  constexpr double three_decimals = 5e-4;
  const bool agree =
      given.values.empty() || std::ranges::equal(given.values, others, [](double a, double b) {
        return std::abs(a - b) <= three_decimals;
      });
  if (!agree) {
    fail(
        "{}: images are normalised by ({}) according to {}, but by ({}) according to the file's "
        "'{}': leave the option out to take the file's",
        what, fmt::join(given.values, ", "), given.source, fmt::join(others, ", "), tensor);
  }
  given.values = std::move(others);
  given.source = "'" + tensor + "'";
}

/// An extent of a tensor with `rank` axes, the outermost being axis 0.
std::int64_t extent(const SafetensorsFile& file, const std::string& what, const std::string& tensor,
                    std::size_t rank, std::size_t axis) {
  const auto& shape = file.tensors.at(tensor).shape;
  if (shape.size() != rank)
    fail("{}: tensor '{}' has {} axes, not {}", what, tensor, shape.size(), rank);
  return shape[axis];
}

}  // namespace

void check_normalisation(const std::string& what, const GivenStatistic& mean,
                         const GivenStatistic& deviation, double shift) {
  if (!(std::abs(shift) <= 1.0))
    fail_usage("{}: --pixel-shift {}: pixels span 1, and are shifted by -1 to 1", what, shift);
  if (std::ranges::any_of(mean.values, [&](double m) { return !(m >= shift && m <= 1 + shift); })) {
    fail_usage(
        "{}: the means ({}) of {} are outside of the pixels' range, {} to {}: for means of "
        "pixels from 0 to 255 divide means and deviations by 255",
        what, fmt::join(mean.values, ", "), mean.source, shift, 1 + shift);
  }
  if (std::ranges::any_of(deviation.values, [](double d) { return !(d > 0 && d <= 1); })) {
    fail_usage(
        "{}: the deviations ({}) of {} are not above 0 and at most 1, as pixels that span 1 "
        "have them: for pixels from 0 to 255 divide means and deviations by 255",
        what, fmt::join(deviation.values, ", "), deviation.source);
  }
}

Model import_model(const SafetensorsFile& file, const std::string& what,
                   const ImportOptions& options) {
  if (is_model(file))
    fail(
        "{} is a model of this program, whose noise an import would leave out: its own folder can "
        "be certified",
        what);
  Model model{.name = options.name,
              .dataset = options.dataset,
              .pixel_shift = options.pixel_shift,
              .short_side = options.short_side,
              .spec = options.spec,
              .network = {},
              .calibration = {},
              .form = SensitivityForm::tight};
  layers::NetworkSpec& spec = model.spec;
  if (options.noise) {
    model.calibration = input_noise_calibration(*options.noise, spec);
    spec.noise_after_layers = 0;
  }

  const Names known(spec);
  const std::string prefix = find_prefix(file, what, spec, known);
  spec.channels = extent(file, what, prefix + known.in_order.front(), 4, 1);
  GivenStatistic mean{"--mean", spec.input_mean}, deviation{"--std", spec.input_deviation};
  SafetensorsFile ours;  // under the names of our layers, and what has no place among them
  for (const auto& [name, tensor] : file.tensors) {
    if (known.contain(name, prefix)) {
      ours.tensors.emplace(name.substr(prefix.size()), tensor);
      continue;
    }
    if (is_trainers_own(name)) continue;
    const Statistic statistic = statistic_of(name);
    auto values =
        statistic == Statistic::none ? std::nullopt : channel_values(tensor, spec.channels);
    if (!values)
      ours.tensors.emplace(name, tensor);
    else
      take(statistic == Statistic::mean ? mean : deviation, what, name, std::move(*values));
  }
  check_normalisation(what, mean, deviation, model.pixel_shift);
  spec.input_mean = mean.values;
  spec.input_deviation = deviation.values;

  const std::string head = layers::make_network(spec, 0).head->name();
  spec.classes = extent(ours, what, head + ".weight", 2, 0);
  model.network = layers::make_network(spec, 0);
  load_parameters(ours, what, model.network);
  check_no_other_tensors(ours, what, model.network);
  apply_calibration(model.calibration, model.network);
  return model;
}

}  // namespace pixeldp
