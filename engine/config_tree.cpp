#include "engine/config_tree.hpp"

#include <algorithm>
#include <sstream>
#include <utility>

#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/yaml.h>

#include "engine/config_text.hpp"
#include "engine/error.hpp"

namespace pixeldp {
namespace {

constexpr std::size_t max_text_size = std::size_t{1} << 16;
constexpr std::size_t max_depth = 32;

/// Builds the tree from the parser's events. YAML::Node is not used because it keeps the first of
/// two equal keys without a word and expands aliases.
class TreeBuilder : public YAML::EventHandler {
 public:
  TreeBuilder(const std::string& source, bool with_lines)
      : source_(source), with_lines_(with_lines) {}

  std::shared_ptr<ConfigValue> root() const { return root_; }
  std::string where(const YAML::Mark& mark) const {
    return mark.is_null() ? source_ : where(mark.line, mark.column);
  }
  /// Counted from 0.
  template <typename Number>
  std::string where(Number line, Number column) const {
    return with_lines_ ? fmt::format("{}:{}:{}", source_, line + 1, column + 1) : source_;
  }

  void OnDocumentStart(const YAML::Mark&) override {}
  void OnDocumentEnd() override {}
  void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    refuse_extras(mark, "", anchor);
    finish(make(ConfigValue::Kind::null, mark));
  }
  void OnAlias(const YAML::Mark& mark, YAML::anchor_t) override {
    fail_usage("{}: aliases are not supported: write the value out", where(mark));
  }
  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                const std::string& text) override {
    refuse_extras(mark, tag, anchor);
    if (!stack_.empty() && stack_.back().value->kind == ConfigValue::Kind::mapping &&
        !stack_.back().has_key) {
      begin_entry(text, mark);
      return;
    }
    auto value = make(ConfigValue::Kind::scalar, mark);
    value->text = text;
    value->quoted = tag == "!";
    finish(std::move(value));
  }
  void OnSequenceStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                       YAML::EmitterStyle::value) override {
    begin(ConfigValue::Kind::list, mark, tag, anchor);
  }
  void OnSequenceEnd() override { end(); }
  void OnMapStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                  YAML::EmitterStyle::value) override {
    begin(ConfigValue::Kind::mapping, mark, tag, anchor);
  }
  void OnMapEnd() override { end(); }

 private:
  struct Frame {
    std::shared_ptr<ConfigValue> value;
    bool has_key = false;  ///< in a mapping: a key has been read, its value is next
    std::string key, key_where;
  };

  std::shared_ptr<ConfigValue> make(ConfigValue::Kind kind, const YAML::Mark& mark) const {
    auto value = std::make_shared<ConfigValue>();
    value->kind = kind;
    value->where = where(mark);
    return value;
  }

  void refuse_extras(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor) const {
    if (anchor != 0) fail_usage("{}: anchors are not supported", where(mark));
    if (!tag.empty() && tag != "?" && tag != "!")
      fail_usage("{}: tags are not supported, remove '{}'", where(mark), tag);
  }

  void begin_entry(const std::string& key, const YAML::Mark& mark) {
    Frame& frame = stack_.back();
    if (const auto* other = frame.value->find(key))
      fail_usage("{}: the key '{}' is there already, at {}", where(mark), key, other->where);
    frame.has_key = true;
    frame.key = key;
    frame.key_where = where(mark);
  }

  void begin(ConfigValue::Kind kind, const YAML::Mark& mark, const std::string& tag,
             YAML::anchor_t anchor) {
    refuse_extras(mark, tag, anchor);
    if (stack_.size() == max_depth)
      fail_usage("{}: nested deeper than {} levels", where(mark), max_depth);
    auto value = make(kind, mark);
    refuse_as_key(*value);
    stack_.push_back({std::move(value), false, {}, {}});
  }

  void end() {
    auto value = std::move(stack_.back().value);
    stack_.pop_back();
    finish(std::move(value));
  }

  void refuse_as_key(const ConfigValue& value) const {
    if (!stack_.empty() && stack_.back().value->kind == ConfigValue::Kind::mapping &&
        !stack_.back().has_key)
      fail_usage("{}: a key must be text", value.where);
  }

  void finish(std::shared_ptr<ConfigValue> value) {
    refuse_as_key(*value);
    if (stack_.empty()) {
      root_ = std::move(value);
      return;
    }
    Frame& frame = stack_.back();
    frame.value->add(frame.key, frame.key_where, std::move(value));
    frame.has_key = false;
  }

  std::string source_;
  bool with_lines_;
  std::shared_ptr<ConfigValue> root_;
  std::vector<Frame> stack_;
};

/// Whether a text without quotes is sure to be read back as itself: numbers and simple words.
bool is_plain(std::string_view text) {
  constexpr std::string_view digits = "0123456789", signs = "+-.";
  constexpr std::string_view all =
      "0123456789+-._/ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
  if (text.find_first_not_of(all) != text.npos) return false;
  const auto first = text.find_first_not_of(signs);
  if (first == text.npos || (first > 0 && digits.find(text[first]) == digits.npos)) return false;
  return text != "null" && text != "Null" && text != "NULL";
}

void emit_text(YAML::Emitter& out, const std::string& text, bool quoted) {
  if (quoted || !is_plain(text)) out << YAML::DoubleQuoted;
  out << text;
}

void emit(YAML::Emitter& out, const ConfigValue& value) {
  switch (value.kind) {
    case ConfigValue::Kind::null:
      out << YAML::Null;
      return;
    case ConfigValue::Kind::scalar:
      emit_text(out, value.text, value.quoted);
      return;
    case ConfigValue::Kind::mapping:
      out << YAML::BeginMap;
      for (const auto& entry : value.entries) {
        out << YAML::Key;
        emit_text(out, entry.key, false);
        out << YAML::Value;
        emit(out, *entry.value);
      }
      out << YAML::EndMap;
      return;
    case ConfigValue::Kind::list: {
      const bool scalars = std::all_of(
          value.entries.begin(), value.entries.end(),
          [](const auto& entry) { return entry.value->kind == ConfigValue::Kind::scalar; });
      if (scalars) out << YAML::Flow;
      out << YAML::BeginSeq;
      for (const auto& entry : value.entries) emit(out, *entry.value);
      out << YAML::EndSeq;
      return;
    }
  }
}

}  // namespace

ConfigValue::Entry* ConfigValue::find(std::string_view key) {
  for (Entry& entry : entries)
    if (entry.key == key) return &entry;
  return nullptr;
}

ConfigValue::Entry& ConfigValue::add(std::string_view key, std::string_view entry_where,
                                     std::shared_ptr<ConfigValue> value) {
  entries.push_back({std::string(key), std::string(entry_where), std::move(value)});
  return entries.back();
}

std::shared_ptr<ConfigValue> parse_config_tree(std::string_view text, const std::string& source,
                                               bool with_lines) {
  if (text.size() > max_text_size)
    fail_usage("{}: a configuration of {} bytes exceeds the limit of {}", source, text.size(),
               max_text_size);
  check_config_text(text, source, with_lines);
  std::istringstream stream{std::string(text)};
  TreeBuilder builder(source, with_lines);
  try {
    YAML::Parser parser(stream);
    if (!parser.HandleNextDocument(builder)) return std::make_shared<ConfigValue>();
    const auto root = builder.root();
    if (parser.HandleNextDocument(builder))
      fail_usage("{}: it holds more than one YAML document", source);
    return root;
  } catch (const YAML::Exception& error) {
    if (error.mark.is_null()) fail_usage("{}: {}", source, error.msg);
    const SyntaxError likely =
        explain_syntax_error(text, {static_cast<std::size_t>(error.mark.line),
                                    static_cast<std::size_t>(error.mark.column), error.msg});
    fail_usage("{}: {}", builder.where(likely.line, likely.column), likely.text);
  }
}

std::string emit_config_value(const ConfigValue& value) {
  YAML::Emitter out;
  out.SetMapFormat(YAML::Flow);
  out.SetSeqFormat(YAML::Flow);
  emit(out, value);
  return out.c_str();
}

std::string emit_config_tree(const ConfigValue& root) {
  YAML::Emitter out;
  emit(out, root);
  return std::string(out.c_str()) + "\n";
}

}  // namespace pixeldp
