#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "pixeldp/certificate.hpp"

namespace pixeldp {

/// The bound that suits a score type best: pairwise for votes, whose cost does not grow with the
/// number of classes, and empirical-bernstein for means of softmax scores.
Bound usual_bound(ScoreType scores);

/// A certification of an image's counts that was decided on before the first draw: the bounds of
/// its scores after so many draws miss with probability at most alpha. Every certificate is a
/// function of the same bounds, so that its kind is no part of a look.
struct Look {
  std::uint64_t draws = 0;
  ScoreType scores = ScoreType::argmax;
  Bound bound = Bound::clopper_pearson;
  double alpha = 0.0;
  bool operator==(const Look&) const = default;
};

/// What alpha was reserved for, in the order that `before` gives. By the union bound all looks hold
/// at once with probability at least 1 - (sum of their alphas), whichever of them are taken, and
/// whatever is decided after seeing one. A look that was chosen because of the counts has no such
/// guarantee: among many bounds, or numbers of draws, one can be found that happens to miss.
/// Empty where nobody recorded what was decided when.
using AlphaLedger = std::vector<Look>;

/// By draws, then by the names of scores and bound. Looks that differ in alpha only are the same.
bool before(const Look& look, const Look& other);

/// The looks, with alpha shared out equally and rounded down. Throws a usage error for two that are
/// the same, and for bounds that do not suit the scores.
AlphaLedger reserve_alpha(std::vector<Look> looks, double alpha);

/// The ledger of a certification that is looked at once, by these rules.
AlphaLedger only_look(const CertificateOptions& options, std::uint64_t draws);

/// Further looks, as in "1000,softmax,2000:hoeffding": each says its draws, scores or bound, and is
/// the first look in what it does not say; another score type without a bound takes that type's
/// own. Throws a usage error for anything else.
std::vector<Look> parse_looks(std::string_view text, const Look& first);

/// What the radii of a log are worth.
enum class Standing {
  reserved,     ///< each fails with probability at most alpha
  exploration,  ///< each would, had its rule been chosen before the counts were seen
  unrecorded    ///< what was decided when is not known
};

/// Of radii by these options, from so many draws.
Standing standing(const AlphaLedger& ledger, const CertificateOptions& options,
                  std::uint64_t draws);

/// The look that was reserved at so many draws, if any. One of anytime bounds is one at any number.
const Look* reserved_look(const AlphaLedger& ledger, ScoreType scores, Bound bound,
                          std::uint64_t draws);

}  // namespace pixeldp
