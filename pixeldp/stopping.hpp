#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "pixeldp/certificate.hpp"

namespace pixeldp {

/// When an image has enough draws.
enum class StoppingRule {
  fixed,     ///< after a number that was fixed beforehand
  radius,    ///< when a radius is proved, or out of reach
  tolerance  ///< when the radius is known to a tolerance
};
inline constexpr StoppingRule stopping_rules[] = {StoppingRule::fixed, StoppingRule::radius,
                                                  StoppingRule::tolerance};

/// "fixed", "radius", "tolerance".
std::string_view name(StoppingRule rule);

/// A rule, and all that it goes by, whatever certificates are made of the counts later. An image is
/// looked at after fixed numbers of its draws, never where a batch happens to end, so that its
/// counts depend on nothing but itself. Bounds of Bound::anytime hold after every number of draws,
/// whatever made them end; so what ends them wrongly costs radius, never alpha.
struct Stopping {
  StoppingRule rule = StoppingRule::fixed;
  /// radius: the one to prove; tolerance: the share of what is in reach that may be left unproved.
  double target = 0.0;
  /// The probability with which what is in reach is taken for too small.
  double futility = 0.0;
  /// Whether that is what the most draws would prove (provable_at_last), as with `radius` but for
  /// logs of older versions; else what infinitely many would (reachable_radius).
  bool at_last = false;
  std::vector<std::uint64_t> looks = {};  ///< numbers of draws, ascending, the last the most of all
  CertificateKind kind = CertificateKind::exact;  ///< of the radii that it goes by
  double alpha = 0.0;                             ///< likewise

  /// Those of anytime bounds of votes.
  CertificateOptions options() const { return {ScoreType::argmax, Bound::anytime, kind, alpha}; }
  bool operator==(const Stopping&) const = default;
};

/// The looks of a certification of at most so many draws per image: each an eighth after the one
/// before, in whole multiples of 32 draws, at least one; and the last.
std::vector<std::uint64_t> look_numbers(std::uint64_t most_draws);

/// Such a rule with these looks, a futility of 0.01, and the certificate and alpha of the options.
Stopping stop_by(StoppingRule rule, double target, std::uint64_t most_draws,
                 const CertificateOptions& options);

/// What is wrong with a rule of at most so many draws, or nothing.
std::optional<std::string> fault(const Stopping& stopping, std::uint64_t most_draws);

/// Throws a usage error for a rule that is none (fault), and where not even the most draws, all of
/// one label, would do: the radius of stopping by radius, any radius of stopping by tolerance.
void check_stopping(const Stopping& stopping, const Calibration& calibration, int classes,
                    std::uint64_t most_draws);

/// The most that a label's votes, `votes` of so far `draws` draws, are after all `most` draws, but
/// for a probability of at most `failure`, at whatever numbers of draws one looks.
///
/// Of all N draws let K be for the label. In whatever order they come, the first n, k of them for
/// the label, come as they did with probability C(N - n, K - k) / C(N, K), since each order is as
/// likely. The mixture of Krichevsky and Trofimov (kernels/formulas/anytime.hpp) gives them B(k +
/// 1/2, n - k + 1/2) / B(1/2, 1/2). Their ratio starts at 1, and its expectation does not change
/// with n: by Ville's inequality it ever reaches 1 / failure with probability failure at most
/// (Waudby-Smith and Ramdas 2020, "Confidence sequences for sampling without replacement"). Sought
/// is the largest K with a smaller ratio.
std::uint64_t most_votes_at_last(std::uint64_t votes, std::uint64_t draws, std::uint64_t most,
                                 double failure);

/// What the certificate of a label is after the last look, but for a probability of at most
/// stopping.futility that it is larger. The label has at most u votes then (most_votes_at_last). Of
/// the others the strongest has at least the larger of (N - u) / (K - 1), for K - 1 labels share
/// what is left of the N draws, and of the least that the one which is strongest so far has at
/// last. With two classes u is all that can fail. Else half of `futility` is for u, the other half
/// shared by the others, since any of these may turn out the strongest.
double provable_at_last(const Stopping& stopping, const ScoreStatistics& statistics, int selected,
                        const Calibration& calibration);

/// What the certificate of a label can reach by the last look, but for a probability of at most
/// stopping.futility: the smaller of
///  - what it is where all draws that are left vote for the label;
///  - what infinitely many draws would prove. The label's probability p is at most u, its anytime
///    upper bound, and the strongest other one's at least the larger of (1 - u) / (K - 1), for K -
///    1 labels share what is left, and the largest anytime lower bound of another label. With two
///    classes u is all that can fail. Else half of `futility` is for u, the other half shared by
///    the others, since any of these may turn out the largest.
double reachable_radius(const Stopping& stopping, const ScoreStatistics& statistics, int selected,
                        const Calibration& calibration);

/// Whether an image whose label other draws chose has enough draws at a look. Always at the last,
/// where no more is in reach than what is proved.
bool has_enough(const Stopping& stopping, const ScoreStatistics& statistics, int selected,
                const Calibration& calibration);

}  // namespace pixeldp
