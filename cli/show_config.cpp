#include "cli/show_config.hpp"

#include <fmt/ranges.h>
#include <nlohmann/json.hpp>

#include "trainers/training_settings.hpp"

namespace pixeldp::cli {
namespace {

constexpr std::size_t page_width = 100, indent = 4;

std::string condition_text(const Setting& setting) {
  return setting.taken
             ? fmt::format("{}: {}", setting.taken->key, fmt::join(setting.taken->values, " or "))
             : std::string();
}

/// The value in force, nothing where the setting is not taken or has none.
std::optional<std::string> value_of(const Setting& setting,
                                    const std::optional<ConfigNode>& config) {
  if (!config || Settings(*config, training_settings()).find(setting.key) != &setting)
    return std::nullopt;
  return config->text_of(setting.key);
}

/// Words filled into lines, each indented.
std::string filled(std::string_view text) {
  std::string page, line;
  const auto end_line = [&] {
    if (!line.empty()) page += std::string(indent, ' ') + line + "\n";
    line.clear();
  };
  while (!text.empty()) {
    const std::size_t end = std::min(text.find(' '), text.size());
    if (!line.empty() && indent + line.size() + 1 + end > page_width) end_line();
    line += (line.empty() ? "" : " ") + std::string(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  end_line();
  return page;
}

std::string_view section_of(std::string_view key) {
  return key.substr(0, key.find('.') == key.npos ? 0 : key.find('.'));
}

std::string_view type_name(const Setting& setting) {
  struct Namer {
    std::string_view operator()(const Setting::Number&) const { return "number"; }
    std::string_view operator()(const Setting::Integer&) const { return "integer"; }
    std::string_view operator()(const Setting::Flag&) const { return "boolean"; }
    std::string_view operator()(const Setting::Text&) const { return "text"; }
    std::string_view operator()(const Setting::Choice&) const { return "choice"; }
    std::string_view operator()(const Setting::List&) const { return "list"; }
  };
  return std::visit(Namer{}, setting.type);
}

}  // namespace

std::string describe_settings(const std::optional<ConfigNode>& config) {
  std::string page;
  std::string_view section;
  for (const Setting& setting : training_settings()) {
    if (const auto here = section_of(setting.key); here != section) {
      section = here;
      page += fmt::format("\n{}:\n", section);
    }
    const auto value = value_of(setting, config);
    page += fmt::format("  {}{}\n", setting.key, value ? " = " + *value : "");
    const std::string fallback = setting.default_text(), condition = condition_text(setting);
    page += filled(fmt::format("{}; {}{}{}", setting.range_text(),
                               fallback.empty() ? "required" : "default: " + fallback,
                               condition.empty() ? "" : "; only with " + condition,
                               setting.changeable ? "; --resume may change it" : ""));
    page += filled(setting.meaning);
  }
  return page;
}

std::string describe_settings_json(const std::optional<ConfigNode>& config) {
  nlohmann::json settings = nlohmann::json::array();
  for (const Setting& setting : training_settings()) {
    nlohmann::json entry = {{"key", setting.key},
                            {"type", type_name(setting)},
                            {"range", setting.range_text()},
                            {"default", nullptr},
                            {"only_with", nullptr},
                            {"changeable_on_resume", setting.changeable},
                            {"meaning", setting.meaning}};
    if (const std::string text = setting.default_text(); !text.empty()) entry["default"] = text;
    if (setting.taken) entry["only_with"] = condition_text(setting);
    if (config) {
      const auto value = value_of(setting, config);
      entry["value"] = value ? nlohmann::json(*value) : nlohmann::json();
    }
    settings.push_back(std::move(entry));
  }
  return nlohmann::json{{"settings", settings}}.dump();
}

}  // namespace pixeldp::cli
