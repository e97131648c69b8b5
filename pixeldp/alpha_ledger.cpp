#include "pixeldp/alpha_ledger.hpp"

#include <algorithm>
#include <cmath>
#include <optional>
#include <tuple>

#include "engine/error.hpp"
#include "engine/named.hpp"
#include "engine/text.hpp"

namespace pixeldp {
namespace {

template <class Value, std::size_t count>
std::optional<Value> find(std::string_view text, const Value (&values)[count]) {
  for (const Value value : values)
    if (name(value) == text) return value;
  return std::nullopt;
}

/// What one word of a look says.
void apply(std::string_view word, Look& look, bool& has_bound) {
  if (const auto scores = find(word, score_types)) {
    if (look.scores != *scores && !has_bound) look.bound = usual_bound(*scores);
    look.scores = *scores;
    return;
  }
  if (const auto bound = find(word, all_bounds)) {
    look.bound = *bound;
    has_bound = true;
    return;
  }
  look.draws = parse_number<std::uint32_t>(word).value_or(0);
  if (look.draws == 0) {
    fail_usage(
        "'{}' is no part of a look: a number of draws, a score type or a bound, joined by colons, "
        "as in 1000:softmax:hoeffding",
        word);
  }
}

}  // namespace

Bound usual_bound(ScoreType scores) {
  switch (scores) {
    case ScoreType::argmax:
      return Bound::pairwise;
    case ScoreType::softmax:
      return Bound::empirical_bernstein;
  }
  fail("not a score type: {}", static_cast<int>(scores));
}

bool before(const Look& look, const Look& other) {
  const auto key = [](const Look& l) { return std::tuple(l.draws, name(l.scores), name(l.bound)); };
  return key(look) < key(other);
}

AlphaLedger reserve_alpha(std::vector<Look> looks, double alpha) {
  const double share =
      looks.size() == 1 ? alpha : std::nextafter(alpha / static_cast<double>(looks.size()), 0.0);
  for (Look& look : looks) {
    if (!suits(look.bound, look.scores))
      fail_usage("a look with {} bounds of {} scores: there are none", name(look.bound),
                 name(look.scores));
    look.alpha = share;
  }
  std::ranges::sort(looks, before);
  for (std::size_t i = 1; i < looks.size(); ++i) {
    if (before(looks[i - 1], looks[i])) continue;
    fail_usage("the look at {} draws, {} bounds of {} scores, is there twice", looks[i].draws,
               name(looks[i].bound), name(looks[i].scores));
  }
  return looks;
}

AlphaLedger only_look(const CertificateOptions& options, std::uint64_t draws) {
  return {{draws, options.scores, options.bound, options.alpha}};
}

std::vector<Look> parse_looks(std::string_view text, const Look& first) {
  std::vector<Look> looks;
  if (text.empty()) return looks;
  for (const std::string_view one : split(text, ',')) {
    bool has_bound = false;
    looks.push_back(first);
    for (const std::string_view word : split(one, ':')) apply(word, looks.back(), has_bound);
  }
  return looks;
}

const Look* reserved_look(const AlphaLedger& ledger, ScoreType scores, Bound bound,
                          std::uint64_t draws) {
  const auto found = std::ranges::find_if(ledger, [&](const Look& look) {
    return (look.draws == draws || bound == Bound::anytime) && look.scores == scores &&
           look.bound == bound;
  });
  return found == ledger.end() ? nullptr : &*found;
}

Standing standing(const AlphaLedger& ledger, const CertificateOptions& options,
                  std::uint64_t draws) {
  if (ledger.empty()) return Standing::unrecorded;
  const Look* look = reserved_look(ledger, options.scores, options.bound, draws);
  return look && look->alpha == options.alpha ? Standing::reserved : Standing::exploration;
}

}  // namespace pixeldp
