#include <algorithm>

#include <fmt/ranges.h>

#include "engine/config.hpp"
#include "engine/config_text.hpp"
#include "engine/config_tree.hpp"
#include "engine/error.hpp"
#include "engine/spelling.hpp"

// Which keys a configuration may have, and what an unknown one was meant to be.

namespace pixeldp {
namespace {

std::string join_path(std::string_view path, std::string_view key) {
  return path.empty() ? std::string(key) : fmt::format("{}.{}", path, key);
}

/// The first parts of the known keys below a path, without those of lists.
std::vector<std::string> children_of(const std::vector<std::string>& known, std::string_view path) {
  const std::string prefix = path.empty() ? "" : std::string(path) + ".";
  std::vector<std::string> children;
  for (const std::string& key : known) {
    if (!key.starts_with(prefix)) continue;
    const std::string child =
        key.substr(prefix.size(), key.find('.', prefix.size()) - prefix.size());
    if (child != "*" && std::find(children.begin(), children.end(), child) == children.end())
      children.push_back(child);
  }
  return children;
}

/// "did you mean 'epsilon'?", or all keys of the place when none is near, here or elsewhere.
std::string suggestion(const std::vector<std::string>& known, std::string_view path,
                       std::string_view wrong) {
  if (lacks_blank_after_colon(wrong)) return "there is no blank after the colon";
  const std::vector<std::string> here = children_of(known, path);
  if (const auto meant = nearest(wrong, here)) return fmt::format("did you mean '{}'?", *meant);
  for (const std::string& key : known)
    if (key.substr(key.rfind('.') + 1) == wrong) return fmt::format("did you mean '{}'?", key);
  if (here.empty()) return "no key is known here";
  return fmt::format("known here: {}", fmt::join(here, ", "));
}

/// `path` is dotted as users write it, `pattern` with "*" for the elements of lists.
void reject_unknown_in(const ConfigValue& value, const std::string& path,
                       const std::string& pattern, const std::vector<std::string>& known) {
  for (std::size_t i = 0; i < value.entries.size(); ++i) {
    const auto& entry = value.entries[i];
    const bool list = value.kind == ConfigValue::Kind::list;
    const std::string name = join_path(path, list ? fmt::format("{}", i) : entry.key);
    const std::string form = join_path(pattern, list ? "*" : entry.key);
    if (!list && entry.key.find('.') != entry.key.npos && !lacks_blank_after_colon(entry.key))
      fail_usage("{}: unknown key '{}': a key of a file has no dots: write '{}' below '{}:'",
                 entry.where, name, entry.key.substr(entry.key.rfind('.') + 1),
                 entry.key.substr(0, entry.key.rfind('.')));
    const bool leads_on = std::any_of(known.begin(), known.end(), [&](const std::string& key) {
      return key.starts_with(form + ".");
    });
    if (leads_on)
      reject_unknown_in(*entry.value, name, form, known);
    else if (std::find(known.begin(), known.end(), form) == known.end() && !list)
      fail_usage("{}: unknown key '{}': {}", entry.where, name,
                 suggestion(known, pattern, entry.key));
  }
}

}  // namespace

void ConfigNode::reject_unknown(const std::vector<std::string>& known) const {
  reject_unknown_in(*value_, path_, path_, known);
}

}  // namespace pixeldp
