#include "engine/settings.hpp"

#include <algorithm>
#include <set>

#include <fmt/ranges.h>

#include "engine/error.hpp"

namespace pixeldp {
namespace {

template <typename... Cases>
struct Overloaded : Cases... {
  using Cases::operator()...;
};
template <typename... Cases>
Overloaded(Cases...) -> Overloaded<Cases...>;

template <typename T>
std::string text_or_nothing(const std::optional<T>& value) {
  return value ? fmt::format("{}", *value) : std::string();
}

std::string_view last_part(std::string_view key) { return key.substr(key.rfind('.') + 1); }

/// The mapping that holds a dotted key.
ConfigNode holder(ConfigNode node, std::string_view key) {
  for (auto dot = key.find('.'); dot != key.npos; dot = key.find('.')) {
    node = node.child(key.substr(0, dot));
    key.remove_prefix(dot + 1);
  }
  return node;
}

}  // namespace

std::string Setting::range_text() const {
  return std::visit(Overloaded{[](const Number& n) { return n.range.text(); },
                               [](const Integer& i) { return integer_range_text(i.min, i.max); },
                               [](const Flag&) { return std::string("true or false"); },
                               [](const Text&) { return std::string("a text"); },
                               [](const Choice& c) {
                                 return fmt::format("one of {}", fmt::join(c.choices, ", "));
                               },
                               [](const List&) { return std::string("a list of mappings"); }},
                    type);
}

std::string Setting::default_text() const {
  const std::string text = std::visit(
      Overloaded{[](const Number& n) { return text_or_nothing(n.fallback); },
                 [](const Integer& i) { return text_or_nothing(i.fallback); },
                 [](const Flag& f) { return std::string(f.fallback ? "true" : "false"); },
                 [](const Text&) { return std::string(); },
                 [](const Choice& c) { return text_or_nothing(c.fallback); },
                 [](const List&) { return std::string("[]"); }},
      type);
  return text.empty() ? otherwise : text;
}

bool Setting::same(std::string_view a, std::string_view b) const {
  const auto node = [&](std::string_view text) {
    return ConfigNode::parse(fmt::format("value: {}", text), key);
  };
  const ConfigNode one = node(a), other = node(b);
  const auto same_text = [&] { return one.get_string("value") == other.get_string("value"); };
  return std::visit(
      Overloaded{
          [&](const Number&) { return one.get_number("value") == other.get_number("value"); },
          [&](const Integer&) { return one.get_integer("value") == other.get_integer("value"); },
          [&](const Flag&) { return one.get_bool("value") == other.get_bool("value"); },
          [&](const Text&) { return same_text(); }, [&](const Choice&) { return same_text(); },
          [&](const List&) { return a == b; }},
      type);
}

Settings::Settings(const ConfigNode& root, std::span<const Setting> declared)
    : root_(root), declared_(declared) {
  std::vector<std::string> known;
  std::set<std::string> decisive;
  for (const Setting& setting : declared_) {
    known.push_back(setting.key);
    if (setting.taken) decisive.insert(setting.taken->key);
  }
  root_.reject_unknown(known);
  for (const std::string& key : decisive) (void)choice(key);
  for (const Setting& setting : declared_)
    if (setting.taken && given(setting.key) && !find(setting.key)) drop_or_refuse(setting);
}

void Settings::drop_or_refuse(const Setting& setting) {
  const std::string& decisive = setting.taken->key;
  const std::string reason = fmt::format("{}: {}", decisive, choice(decisive));
  if (root_.overridden(decisive) && !root_.overridden(setting.key)) {
    holder(root_, setting.key).remove(last_part(setting.key));
    fallen_away_.push_back(fmt::format("{} (not taken with {})", setting.key, reason));
    return;
  }
  std::vector<std::string> takers;
  for (const Setting& other : declared_)
    if (other.key == setting.key)
      takers.insert(takers.end(), other.taken->values.begin(), other.taken->values.end());
  fail_at(setting.key, fmt::format("it is not taken with {}, only with {}: remove it", reason,
                                   fmt::join(takers, ", ")));
}

bool Settings::holds(const Setting& setting) const {
  if (!setting.taken) return true;
  const auto& values = setting.taken->values;
  return std::find(values.begin(), values.end(), choice(setting.taken->key)) != values.end();
}

const Setting* Settings::find(std::string_view key) const {
  for (const Setting& setting : declared_)
    if (setting.key == key && holds(setting)) return &setting;
  return nullptr;
}

template <typename Type>
const Type& Settings::declared_as(std::string_view key) const {
  const Setting* setting = find(key);
  const Type* type = setting ? std::get_if<Type>(&setting->type) : nullptr;
  if (type == nullptr) fail("the setting '{}' is not declared as it is read", key);
  return *type;
}

bool Settings::given(std::string_view key) const {
  return holder(root_, key).given(last_part(key));
}

double Settings::number(std::string_view key, std::optional<double> otherwise) const {
  const auto& type = declared_as<Setting::Number>(key);
  return holder(root_, key)
      .get_number(last_part(key), type.fallback ? type.fallback : otherwise, type.range);
}

std::int64_t Settings::integer(std::string_view key, std::optional<std::int64_t> otherwise) const {
  const auto& type = declared_as<Setting::Integer>(key);
  return holder(root_, key)
      .get_integer(last_part(key), type.fallback ? type.fallback : otherwise, type.min, type.max);
}

bool Settings::flag(std::string_view key) const {
  return holder(root_, key).get_bool(last_part(key), declared_as<Setting::Flag>(key).fallback);
}

std::string Settings::text(std::string_view key) const {
  (void)declared_as<Setting::Text>(key);
  return holder(root_, key).get_string(last_part(key));
}

std::string Settings::choice(std::string_view key) const {
  const auto& type = declared_as<Setting::Choice>(key);
  return holder(root_, key).get_choice(last_part(key), type.choices, type.fallback);
}

std::vector<ConfigNode> Settings::list(std::string_view key) const {
  (void)declared_as<Setting::List>(key);
  return holder(root_, key).children(last_part(key));
}

double Settings::number_of(const ConfigNode& element, std::string_view key,
                           std::string_view name) const {
  const auto& type = declared_as<Setting::Number>(fmt::format("{}.*.{}", key, name));
  return element.get_number(name, type.fallback, type.range);
}

std::int64_t Settings::integer_of(const ConfigNode& element, std::string_view key,
                                  std::string_view name) const {
  const auto& type = declared_as<Setting::Integer>(fmt::format("{}.*.{}", key, name));
  return element.get_integer(name, type.fallback, type.min, type.max);
}

void Settings::fail_at(std::string_view key, std::string_view text) const {
  holder(root_, key).fail_at(last_part(key), text);
}

}  // namespace pixeldp
