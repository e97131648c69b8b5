#include "pixeldp/report/agreement.hpp"

#include <map>
#include <optional>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "engine/config.hpp"
#include "engine/error.hpp"
#include "engine/io/safetensors.hpp"
#include "engine/text.hpp"

namespace pixeldp::report {
namespace {

namespace fs = std::filesystem;

constexpr const char* config_file = "config.yaml";
constexpr const char* model_file = "model.safetensors";
constexpr const char* log_file = "certificates.jsonl";

/// Where a setting stands in config.yaml, and under which key in the model's metadata.
struct Setting {
  const char* section;
  const char* key;
  const char* metadata;
};

constexpr Setting settings[] = {{"", "name", "name"},
                                {"data", "set", "dataset"},
                                {"data", "pixel_shift", "pixel_shift"},
                                {"network", "architecture", "architecture"},
                                {"network", "depth", "depth"},
                                {"network", "width", "widening"},
                                {"network", "slope", "slope"},
                                {"network", "standardise", "standardise"},
                                {"noise", "mechanism", "mechanism"},
                                {"noise", "after_layers", "noise_after_layers"},
                                {"noise", "before_activation", "noise_before_activation"},
                                {"noise", "attack_norm", "attack_norm"},
                                {"noise", "construction_bound", "construction_bound"},
                                {"noise", "epsilon", "epsilon"},
                                {"noise", "delta", "delta"},
                                {"sensitivity", "form", "sensitivity_form"}};

constexpr const char* noise_scale = "noise scale";  // follows from several settings

/// What each file says of a key, in the order of the files above.
using Statements = std::map<std::string, std::vector<std::pair<const char*, std::string>>>;

/// 1 and 1.0 are the same number.
bool same(const std::string& a, const std::string& b) {
  const auto x = parse_number<double>(a);
  const auto y = parse_number<double>(b);
  return x && y ? *x == *y : a == b;
}

std::string dotted(const Setting& setting) {
  return fmt::format("{}{}{}", setting.section, *setting.section == '\0' ? "" : ".", setting.key);
}

void read_config(const fs::path& path, Statements& statements) {
  const ConfigNode root = ConfigNode::load(path);
  const auto section = [&](const Setting& setting) {
    return *setting.section == '\0' ? root : root.child(setting.section);
  };
  for (const Setting& setting : settings) {
    if (const ConfigNode node = section(setting); node.given(setting.key))
      statements[dotted(setting)].emplace_back(config_file, node.get_string(setting.key));
  }
  const ConfigNode noise = root.child("noise");
  const bool gaussian = noise.given("mechanism") && noise.get_string("mechanism") == "gaussian";
  for (const char* key : {"mechanism", "construction_bound", "epsilon", "assumed_sensitivity"})
    if (!noise.given(key)) return;
  if (gaussian && !noise.given("delta")) return;
  const double scale = noise_scale_for(
      parse_mechanism(noise.get_string("mechanism")), noise.get_number("construction_bound"),
      noise.get_number("epsilon"), gaussian ? noise.get_number("delta") : 0.0,
      noise.get_number("assumed_sensitivity"));
  statements[noise_scale].emplace_back(config_file, fmt::format("{}", scale));
}

void add_metadata(const std::map<std::string, std::string>& metadata, Statements& statements) {
  for (const Setting& setting : settings) {
    const auto found = metadata.find(setting.metadata);
    if (found != metadata.end())
      statements[dotted(setting)].emplace_back(model_file, found->second);
  }
  // It is there only where images are standardised.
  if (metadata.contains("dataset") && !metadata.contains("standardise"))
    statements["network.standardise"].emplace_back(model_file, "none");
  if (const auto found = metadata.find("noise_scale"); found != metadata.end())
    statements[noise_scale].emplace_back(model_file, found->second);
}

void add_header(const CertificateLogHeader& header, Statements& statements) {
  const Calibration& c = header.calibration;
  const auto add = [&](const char* key, std::string text) {
    statements[key].emplace_back(log_file, std::move(text));
  };
  if (header.noise_at_certification) return;  // neither model nor configuration knows of it
  add("noise.mechanism", std::string(name(c.mechanism)));
  if (c.mechanism == Mechanism::none) return;
  add("noise.attack_norm", std::string(name(c.attack_norm)));
  if (c.construction) {
    add("noise.construction_bound", fmt::format("{}", c.construction->bound));
    add("noise.epsilon", fmt::format("{}", c.construction->epsilon));
    switch (c.mechanism) {
      case Mechanism::gaussian:
        add("noise.delta", fmt::format("{}", c.construction->delta));
        break;
      case Mechanism::laplace:  // has none
      case Mechanism::none:
        break;
    }
  }
  add(noise_scale, fmt::format("{}", c.noise_scale));
}

}  // namespace

void check_agreement(const fs::path& folder, const CertificateLog& log) {
  Statements statements;
  if (const fs::path path = folder / config_file; fs::exists(path)) {
    try {
      read_config(path, statements);
    } catch (const Error& error) {
      fail("{}", error.what());  // the fault of a file, not of this command's usage
    }
  }
  std::map<std::string, std::string> metadata;
  if (const fs::path path = folder / model_file; fs::exists(path))
    metadata = read_safetensors(path).metadata;
  add_metadata(metadata, statements);
  add_header(log.header, statements);

  std::vector<std::string> differences;
  for (const auto& [key, said] : statements) {
    bool agree = true;
    std::vector<std::string> texts;
    for (const auto& [file, text] : said) {
      agree = agree && same(text, said.front().second);
      texts.push_back(fmt::format("{} in {}", text, file));
    }
    if (!agree) differences.push_back(fmt::format("{}: {}", key, fmt::join(texts, ", ")));
  }
  const double used = log.header.calibration.sensitivity;
  // On a lattice it is that of the rounded weights, which may be a little less.
  const bool lattice = log.header.calibration.lattice_step > 0.0;
  if (const auto found = metadata.find("sensitivity"); found != metadata.end() && !lattice) {
    const auto recorded = parse_number<double>(found->second);
    if (recorded && used < *recorded)
      differences.push_back(fmt::format("sensitivity: {} in {}, only {} in {}", *recorded,
                                        model_file, used, log_file));
  }
  if (differences.empty()) return;
  fail(
      "{}: its files disagree, so that settings would stand beside figures that were made with "
      "others:\n  {}\nput back the files as 'pixeldp train' wrote them, or train and certify anew",
      folder.string(), fmt::join(differences, "\n  "));
}

}  // namespace pixeldp::report
