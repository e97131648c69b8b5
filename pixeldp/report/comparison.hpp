#pragma once

#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "pixeldp/attacks/attack_log.hpp"
#include "pixeldp/report/run.hpp"
#include "pixeldp/report/svg.hpp"

namespace pixeldp::report {

/// What is said of a classifier at a size.
enum class Measure {
  certified_accuracy,     ///< at 0 the accuracy
  accuracy_under_attack,  ///< proved or by attacks
  robust_precision        ///< right among the predictions that are certified, under attack
};
inline constexpr Measure measures[] = {Measure::certified_accuracy, Measure::accuracy_under_attack,
                                       Measure::robust_precision};

/// "certified-accuracy", "accuracy-under-attack", "robust-precision".
std::string_view name(Measure measure);
using pixeldp::name;  // those of other enumerations, which it would hide
Measure parse_measure(std::string_view text);

/// A value that somebody published.
struct Published {
  std::string network = {};          ///< as its readers know it: "CIFAR-10, L = 0.1"
  std::vector<std::string> of = {};  ///< the networks here that it is held beside
  Measure measure = Measure::certified_accuracy;
  AttackNorm norm = AttackNorm::l2;
  double at = 0.0;  ///< a size
  double value = 0.0;
};

/// What was measured of a network by size.
struct Curve {
  std::string name = {}, network = {};
  Measure measure = Measure::accuracy_under_attack;
  AttackNorm norm = AttackNorm::l2;
  std::vector<Point> points = {};  ///< (size, share) in the order of sizes
  /// Whether each share holds up to the next point; else nothing is known between them.
  bool steps = false;
  std::size_t images = 0;
  std::string how = {};  ///< by which attack, or proof

  /// The share at a size, where it is known.
  std::optional<double> at(double size) const;
};

/// Of attacks of one kind on a network: a log for each size, or one of an attack that looks for the
/// nearest success, which says it of every size. Throws an Error for a log without images.
Curve attack_curve(const std::string& name, const std::string& network,
                   std::span<const AttackLogContents> logs);

/// Of what `pixeldp bound --output` wrote of a network, for one or more sizes.
Curve bound_curve(const std::string& name, const std::string& network,
                  std::span<const std::filesystem::path> files);

/// What belongs together, such as a figure of a paper.
struct Comparison {
  std::string title;
  std::vector<Run> runs;  ///< certified; named after their networks
  std::vector<Curve> curves;
  std::vector<Published> published;
};

/// Of each a heading, curves of what there is, and tables with the published values beside.
std::string comparison_section(const Comparison& comparison);

/// All of it as CSV, with a first line of names; published values have no number of images.
std::string comparison_csv(std::span<const Comparison> comparisons);

}  // namespace pixeldp::report
