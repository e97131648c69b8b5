#include "engine/config.hpp"

#include <algorithm>
#include <utility>

#include "engine/config_text.hpp"
#include "engine/config_tree.hpp"
#include "engine/error.hpp"
#include "engine/io/file.hpp"
#include "engine/text.hpp"

namespace pixeldp {
namespace {

using Kind = ConfigValue::Kind;

/// The same as parse_number, but for a sign + that YAML allows.
template <typename T>
std::optional<T> parse_whole(std::string_view text) {
  if (text.size() > 1 && text[0] == '+' && text[1] != '-') text.remove_prefix(1);
  return parse_number<T>(text);
}

std::string description(const ConfigValue& value) {
  switch (value.kind) {
    case Kind::null:
      return "empty";
    case Kind::scalar:
      return fmt::format("{}'{}'", value.quoted ? "the text " : "", value.text);
    case Kind::mapping:
      return "a mapping";
    case Kind::list:
      return "a list";
  }
  return {};
}

/// Where a mapping was expected: KEY:VALUE is a word.
std::string_view blank_hint(const ConfigValue& value) {
  const bool word = value.kind == Kind::scalar && !value.quoted;
  return word && lacks_blank_after_colon(value.text) ? "; there is no blank after the colon" : "";
}

[[noreturn]] void fail_type(const ConfigValue& value, std::string_view name,
                            std::string_view expected) {
  fail_usage("{}: '{}' is {}: expected {}{}", value.where, name, description(value), expected,
             expected == "a mapping" ? blank_hint(value) : "");
}

double read_number(const ConfigValue& value, std::string_view name, const Range& range) {
  const auto number =
      value.kind == Kind::scalar && !value.quoted ? parse_whole<double>(value.text) : std::nullopt;
  if (!number || !range.contains(*number)) fail_type(value, name, range.text());
  return *number;
}

std::int64_t read_integer(const ConfigValue& value, std::string_view name, std::int64_t min,
                          std::int64_t max) {
  const auto number = value.kind == Kind::scalar && !value.quoted
                          ? parse_whole<std::int64_t>(value.text)
                          : std::nullopt;
  if (number && *number >= min && *number <= max) return *number;
  fail_type(value, name, integer_range_text(min, max));
}

std::shared_ptr<ConfigValue> make_scalar(std::string text) {
  auto value = std::make_shared<ConfigValue>();
  value->kind = Kind::scalar;
  value->text = std::move(text);
  return value;
}

[[noreturn]] void fail_absent(const ConfigValue& mapping, std::string_view name) {
  fail_usage("{}: the setting '{}' is missing", mapping.where, name);
}

/// The value of an entry if the configuration's author gave it, or no fallback is there now; else
/// the fallback becomes the value and there is nothing to read.
template <typename T, typename Make>
ConfigValue* given_or(ConfigValue& mapping, std::string_view key, const std::optional<T>& fallback,
                      const std::string& name, Make make) {
  ConfigValue::Entry* entry = mapping.find(key);
  if (entry == nullptr && !fallback) fail_absent(mapping, name);
  const bool given = entry != nullptr && !entry->where.empty();
  if (given || !fallback) return entry->value.get();
  if (entry == nullptr) entry = &mapping.add(key, "", nullptr);
  entry->value = make(*fallback);
  return nullptr;
}

void mark_overridden(ConfigValue::Entry& entry) {
  entry.overridden = true;
  for (ConfigValue::Entry& below : entry.value->entries) mark_overridden(below);
}

/// The entry under a dotted key, null where there is none.
ConfigValue::Entry* find_dotted(ConfigValue& value, std::string_view key) {
  const auto dot = key.find('.');
  ConfigValue::Entry* entry = value.find(key.substr(0, dot));
  if (entry == nullptr || dot == key.npos) return entry;
  return find_dotted(*entry->value, key.substr(dot + 1));
}

}  // namespace

std::string integer_range_text(std::int64_t min, std::int64_t max) {
  if (max < std::numeric_limits<std::int64_t>::max())
    return fmt::format("an integer from {} to {}", min, max);
  if (min > std::numeric_limits<std::int64_t>::min())
    return fmt::format("an integer of at least {}", min);
  return "an integer";
}

bool Range::contains(double value) const {
  return (min_excluded ? value > min : value >= min) && (max_excluded ? value < max : value <= max);
}

std::string Range::text() const {
  constexpr double highest = std::numeric_limits<double>::max();
  std::string text = "a number";
  if (min > -highest) text += fmt::format(" {} {}", min_excluded ? "above" : "of at least", min);
  if (max < highest)
    text += fmt::format("{} {} {}", min > -highest ? " and" : "",
                        max_excluded ? "below" : "at most", max);
  return text;
}

ConfigNode ConfigNode::parse(std::string_view text, const std::string& source) {
  auto root = parse_config_tree(text, source);
  if (root->kind == Kind::null) {  // an empty text
    root->kind = Kind::mapping;
    root->where = source;
  }
  if (root->kind != Kind::mapping)
    fail_usage("{}: a configuration is a mapping of keys to values, this is {}{}", root->where,
               description(*root), blank_hint(*root));
  return {std::move(root), ""};
}

ConfigNode ConfigNode::load(const std::filesystem::path& path) {
  return parse(as_text(read_file(path)), path.string());
}

void ConfigNode::set(std::string_view assignment) {
  check_config_text(assignment, "--set", false);
  const auto equals = assignment.find('=');
  if (equals == 0 || equals == std::string_view::npos)
    fail_usage("--set {}: write KEY=VALUE, for example training.steps=100, or KEY= to remove a key",
               assignment);
  const std::string_view key = assignment.substr(0, equals), text = assignment.substr(equals + 1);
  const std::string source = fmt::format("--set {}", key);
  const bool removes = text.find_first_not_of(' ') == text.npos;
  const auto fail_missing = [&](std::string_view step) {
    fail_usage("{}: there is no '{}' to remove", source, step);
  };

  ConfigValue* current = value_.get();
  for (std::string_view rest = key;;) {
    const auto dot = rest.find('.');
    const bool last = dot == std::string_view::npos;
    const std::string_view step = rest.substr(0, dot);
    if (step.empty()) fail_usage("{}: the key has an empty part", source);
    ConfigValue::Entry* entry = nullptr;
    if (current->kind == Kind::list) {
      const auto index = parse_whole<std::size_t>(step);
      if (!index || *index >= current->entries.size())
        fail_usage("{}: '{}' is not an element of the list at {}, which has {}", source, step,
                   current->where, current->entries.size());
      entry = &current->entries[*index];
    } else if (current->kind == Kind::scalar) {
      fail_usage("{}: there is no '{}' below {}, which stands at {}", source, step,
                 description(*current), current->where);
    } else {
      current->kind = Kind::mapping;  // of nothing so far, if it was empty
      entry = current->find(step);
      if (entry == nullptr && removes) fail_missing(step);
      if (entry == nullptr) {
        auto empty = std::make_shared<ConfigValue>();
        empty->where = source;
        entry = &current->add(step, source, std::move(empty));
      }
    }
    if (last && removes) {
      current->entries.erase(current->entries.begin() + (entry - current->entries.data()));
      return;
    }
    if (last) {
      entry->where = source;
      entry->value = parse_config_tree(text, source, false);
      entry->value->where = source;
      mark_overridden(*entry);
      return;
    }
    current = entry->value.get();
    rest.remove_prefix(dot + 1);
  }
}

bool ConfigNode::given(std::string_view key) const {
  const ConfigValue::Entry* entry = value_->find(key);
  return entry != nullptr && !entry->where.empty();
}

std::string ConfigNode::dotted(std::string_view key) const {
  return path_.empty() ? std::string(key) : fmt::format("{}.{}", path_, key);
}

double ConfigNode::get_number(std::string_view key, std::optional<double> fallback,
                              const Range& range) const {
  const std::string name = dotted(key);
  const ConfigValue* value = given_or(*value_, key, fallback, name,
                                      [](double x) { return make_scalar(fmt::format("{}", x)); });
  return value ? read_number(*value, name, range) : *fallback;
}

std::int64_t ConfigNode::get_integer(std::string_view key, std::optional<std::int64_t> fallback,
                                     std::int64_t min, std::int64_t max) const {
  const std::string name = dotted(key);
  const ConfigValue* value = given_or(*value_, key, fallback, name, [](std::int64_t x) {
    return make_scalar(fmt::format("{}", x));
  });
  return value ? read_integer(*value, name, min, max) : *fallback;
}

bool ConfigNode::get_bool(std::string_view key, std::optional<bool> fallback) const {
  const std::string name = dotted(key);
  const ConfigValue* value = given_or(*value_, key, fallback, name,
                                      [](bool x) { return make_scalar(x ? "true" : "false"); });
  if (!value) return *fallback;
  if (value->kind != Kind::scalar || value->quoted ||
      (value->text != "true" && value->text != "false"))
    fail_type(*value, name, "true or false");
  return value->text == "true";
}

std::string ConfigNode::get_string(std::string_view key,
                                   std::optional<std::string> fallback) const {
  const std::string name = dotted(key);
  const ConfigValue* value = given_or(*value_, key, fallback, name, make_scalar);
  if (!value) return *fallback;
  if (value->kind != Kind::scalar) fail_type(*value, name, "a text");
  return value->text;
}

std::string ConfigNode::get_choice(std::string_view key, const std::vector<std::string>& choices,
                                   std::optional<std::string> fallback) const {
  const bool was_given = given(key);
  std::string text = get_string(key, std::move(fallback));
  if (was_given && std::find(choices.begin(), choices.end(), text) == choices.end())
    fail_type(*value_->find(key)->value, dotted(key),
              fmt::format("one of {}", fmt::join(choices, ", ")));
  return text;
}

std::vector<std::string> ConfigNode::get_values(std::string_view key) const {
  const ConfigValue::Entry* entry = value_->find(key);
  if (entry == nullptr) fail_absent(*value_, dotted(key));
  if (entry->value->kind != Kind::list) fail_type(*entry->value, dotted(key), "a list");
  std::vector<std::string> values;
  for (const auto& element : entry->value->entries) {
    const ConfigValue& value = *element.value;
    values.push_back(value.kind == Kind::scalar ? value.text : emit_config_value(value));
  }
  return values;
}

ConfigNode ConfigNode::child(std::string_view key) const {
  ConfigValue::Entry* entry = value_->find(key);
  if (entry == nullptr) {
    auto empty = std::make_shared<ConfigValue>();
    empty->kind = Kind::mapping;
    empty->where = value_->where;  // of the mapping that lacks it
    entry = &value_->add(key, "", std::move(empty));
  }
  if (entry->value->kind == Kind::null) entry->value->kind = Kind::mapping;  // "key:" and no more
  if (entry->value->kind != Kind::mapping) fail_type(*entry->value, dotted(key), "a mapping");
  return {entry->value, dotted(key)};
}

std::vector<ConfigNode> ConfigNode::children(std::string_view key) const {
  ConfigValue::Entry* entry = value_->find(key);
  if (entry == nullptr) {
    auto empty = std::make_shared<ConfigValue>();
    empty->kind = Kind::list;
    entry = &value_->add(key, "", std::move(empty));
  }
  if (entry->value->kind != Kind::list) fail_type(*entry->value, dotted(key), "a list of mappings");
  std::vector<ConfigNode> nodes;
  for (const auto& element : entry->value->entries) {
    std::string name = fmt::format("{}.{}", dotted(key), nodes.size());
    if (element.value->kind != Kind::mapping) fail_type(*element.value, name, "a mapping");
    nodes.push_back(ConfigNode(element.value, std::move(name)));
  }
  return nodes;
}

bool ConfigNode::overridden(std::string_view key) const {
  const ConfigValue::Entry* entry = find_dotted(*value_, key);
  return entry != nullptr && entry->overridden;
}

std::optional<std::string> ConfigNode::text_of(std::string_view key) const {
  const ConfigValue::Entry* entry = find_dotted(*value_, key);
  return entry ? std::optional(emit_config_value(*entry->value)) : std::nullopt;
}

void ConfigNode::remove(std::string_view key) {
  std::erase_if(value_->entries, [&](const auto& entry) { return entry.key == key; });
}

void ConfigNode::fail_at(std::string_view key, std::string_view text) const {
  const ConfigValue::Entry* entry = value_->find(key);
  const bool located = entry != nullptr && !entry->value->where.empty();
  fail_usage("{}: '{}': {}", located ? entry->value->where : value_->where, dotted(key), text);
}

std::string ConfigNode::to_yaml() const { return emit_config_tree(*value_); }

}  // namespace pixeldp
