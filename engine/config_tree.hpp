#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace pixeldp {

/// One value of a YAML text, with the place it stands at.
struct ConfigValue {
  enum class Kind { null, scalar, mapping, list };

  struct Entry {
    std::string key;    ///< empty in a list
    std::string where;  ///< of the key; empty if the program added it
    std::shared_ptr<ConfigValue> value;
    bool overridden = false;  ///< whether it comes from the command line
  };

  Kind kind = Kind::null;
  std::string where;           ///< "FILE:LINE:COLUMN"; empty if the program added it
  std::string text;            ///< of a scalar
  bool quoted = false;         ///< a scalar in quotes is text, whatever it looks like
  std::vector<Entry> entries;  ///< of a mapping or list, as written

  Entry* find(std::string_view key);
  Entry& add(std::string_view key, std::string_view where, std::shared_ptr<ConfigValue> value);
};

/// Parses one YAML document. Throws a usage Error that names source:line:column for wrong syntax,
/// repeated keys, and what a configuration has no use for: anchors, aliases, tags, several
/// documents, keys that are no text, control characters, other encodings than UTF-8. The text and
/// its nesting are limited, because the parser works recursively. Without `with_lines` every place
/// is just `source`.
std::shared_ptr<ConfigValue> parse_config_tree(std::string_view text, const std::string& source,
                                               bool with_lines = true);

std::string emit_config_tree(const ConfigValue& root);

/// A value on one line: "[1, 2]", "{step: 3, rate: 0.1}".
std::string emit_config_value(const ConfigValue& value);

}  // namespace pixeldp
