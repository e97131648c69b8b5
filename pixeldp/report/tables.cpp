#include "pixeldp/report/tables.hpp"

#include <algorithm>
#include <set>

#include <fmt/format.h>

#include "pixeldp/conditions.hpp"
#include "pixeldp/metrics.hpp"
#include "pixeldp/report/figures.hpp"

namespace pixeldp::report {
namespace {

std::set<std::int64_t> images_of(const Run& run) {
  std::set<std::int64_t> images;
  for (const CertificateRecord& record : run.log.records) images.insert(record.image);
  return images;
}

std::string images_text(const Run& run) {
  const std::set<std::int64_t> images = images_of(run);
  const std::int64_t first = *images.begin();
  const std::int64_t last = *images.rbegin();
  return fmt::format("{} ({}{} to {})", images.size(),
                     last - first + 1 == static_cast<std::int64_t>(images.size()) ? "" : "some of ",
                     first, last);
}

std::string run_headings(const std::vector<Run>& runs) {
  std::string html;
  for (std::size_t i = 0; i < runs.size(); ++i) {
    html +=
        fmt::format("<th scope=\"col\" class=\"run {}\">{}</th>", series(i), escape(runs[i].name));
  }
  return html;
}

}  // namespace

std::string percent(double share) { return fmt::format("{:.1f}%", 100 * share); }

std::string hundredths(double share) { return fmt::format("{:.2f}%", 100 * share); }

std::string interval_text(double share, std::size_t images) {
  const auto [low, high] = interval_over_images(share, images);
  return fmt::format("({:.1f} to {:.1f}%)", 100 * low, 100 * high);
}

std::string percent(std::optional<double> share) { return share ? percent(*share) : "–"; }

bool same_data(const std::vector<Run>& runs) {
  return std::ranges::all_of(runs, [&](const Run& run) {
    return run.log.header.dataset_sha256 == runs[0].log.header.dataset_sha256 &&
           run.log.header.split == runs[0].log.header.split;
  });
}

bool same_images(const std::vector<Run>& runs) {
  return same_data(runs) && std::ranges::all_of(runs, [&](const Run& run) {
           return images_of(run) == images_of(runs[0]);
         });
}

std::string top_prefix(const std::vector<Run>& runs) {
  std::set<int> tops;
  for (const Run& run : runs)
    if (has_noise(run)) tops.insert(run.log.header.options.top);
  return tops.size() == 1 && *tops.begin() > 1 ? fmt::format("top-{} ", *tops.begin()) : "";
}

std::string table(std::string_view caption, std::string_view classes, std::string_view content) {
  return fmt::format(
      "<figure class=\"table\"><figcaption>{}</figcaption>\n<div class=\"scroll\">"
      "<table class=\"{}\">{}</table></div></figure>\n",
      caption, classes, content);
}

std::string results_table(const std::vector<Run>& runs, const std::vector<double>& thresholds) {
  std::string html =
      fmt::format("<thead><tr><th></th>{}</tr></thead>\n<tbody>", run_headings(runs));
  const auto row = [&](std::string_view title, auto text) {
    html += fmt::format("<tr><th scope=\"row\">{}</th>", title);
    for (const Run& run : runs) html += text(run);
    html += "</tr>\n";
  };
  // A share with its interval; the best of several comparable runs is set in bold.
  const bool comparable = same_images(runs);
  const auto share_row = [&](std::string_view title, bool needs_noise, auto share) {
    double best = 0.0;
    int rivals = 0;
    for (const Run& run : runs) {
      if (needs_noise && !has_noise(run)) continue;
      best = std::max(best, share(run.log.records));
      ++rivals;
    }
    row(title, [&](const Run& run) -> std::string {
      if (needs_noise && !has_noise(run)) return "<td>–</td>";
      const double value = share(run.log.records);
      return fmt::format(
          "<td{}>{} <small>{}</small></td>",
          comparable && rivals > 1 && value > 0 && value == best ? " class=\"best\"" : "",
          percent(value), interval_text(value, run.log.records.size()));
    });
  };
  using Records = std::vector<CertificateRecord>;
  row("Images", [](const Run& run) { return fmt::format("<td>{}</td>", run.log.records.size()); });
  row("Certificate", [](const Run& run) {
    const CertificateOptions& options = run.log.header.options;
    return has_noise(run) ? fmt::format("<td>{}{}</td>", name(options.kind), top_text(options))
                          : "<td>–</td>";
  });
  const std::string top = top_prefix(runs);
  const bool all_of_top = !top.empty() && std::ranges::all_of(runs, has_noise);
  share_row(all_of_top ? "T" + top.substr(1) + "accuracy" : "Accuracy", false,
            [](const Records& records) { return accuracy(records); });
  for (const double threshold : thresholds) {
    share_row(threshold == 0 ? std::string("Right, and certified at all")
              : top.empty()  ? fmt::format("Certified at T = {:.6g}", threshold)
                             : fmt::format("Certified {}accuracy at T = {:.6g}", top, threshold),
              true, [&](const Records& records) { return certified_accuracy(records, threshold); });
  }
  row("Certified at all, right or wrong", [](const Run& run) {
    return fmt::format("<td>{}</td>",
                       has_noise(run) ? percent(1 - abstention(run.log.records)) : "–");
  });
  const auto radius_row = [&](std::string_view title, auto radius) {
    row(title, [&](const Run& run) {
      return has_noise(run) ? fmt::format("<td>{}</td>", rounded(radius(run.log.records), true, 4))
                            : std::string("<td>–</td>");
    });
  };
  radius_row("Mean radius (wrong: 0)", mean_radius);
  radius_row("Median radius (wrong: 0)", median_radius);
  return table(
      "<b>Table 1.</b> Certified accuracy at thresholds T: the share of images that are right "
      "and whose certified radius is at least T; in brackets its 95% Clopper–Pearson interval over "
      "the images. In the mean and the median radius, an image that is wrong counts as 0.",
      "full", html + "</tbody>");
}

namespace {

std::string folded(std::string_view summary, std::string_view content) {
  return fmt::format("<details><summary>{}</summary>\n{}</details>\n", summary, content);
}

/// A row per threshold and a column per run with noise, whose cells `text(run, threshold)` fills.
template <typename Text>
std::string threshold_table(const std::vector<Run>& runs, const std::vector<double>& thresholds,
                            std::string_view caption, Text text) {
  std::string html = fmt::format("<thead><tr><th scope=\"col\">T</th>{}</tr></thead>\n<tbody>",
                                 run_headings(runs));
  for (const double threshold : thresholds) {
    html += fmt::format("<tr><th scope=\"row\">T = {:.6g}</th>", threshold);
    for (const Run& run : runs)
      html += fmt::format("<td>{}</td>", has_noise(run) ? text(run, threshold) : "–");
    html += "</tr>\n";
  }
  return table(caption, "full", html + "</tbody>");
}

}  // namespace

std::string details_tables(const std::vector<Run>& runs, const std::vector<double>& thresholds) {
  return folded("Certified accuracy by each certificate",
                threshold_table(runs, thresholds,
                                "Share of images that are right and certified at T, from the same "
                                "counts by each certificate.",
                                [](const Run& run, double threshold) {
                                  std::string cell;
                                  for (const CertificateLog* log : all_certificates(run)) {
                                    cell += fmt::format(
                                        "{}{} <small>{}</small>", cell.empty() ? "" : "<br/>",
                                        percent(certified_accuracy(log->records, threshold)),
                                        name(log->header.options.kind));
                                  }
                                  return cell;
                                })) +
         folded("Certified fraction, and precision on certified images",
                threshold_table(runs, thresholds,
                                "Share of images, right or wrong, that are certified at T, and how "
                                "many of these are right.",
                                [](const Run& run, double threshold) {
                                  return fmt::format(
                                      "{} <small>certified</small><br/>{} <small>right</small>",
                                      percent(certified_fraction(run.log.records, threshold)),
                                      percent(certified_precision(run.log.records, threshold)));
                                }));
}

std::string conditions_section(const std::vector<Run>& runs) {
  std::string html =
      fmt::format("<thead><tr><th></th>{}</tr></thead>\n<tbody>", run_headings(runs));
  const auto row = [&](std::string_view title, auto text, bool needs_noise = false) {
    html += fmt::format("<tr><th scope=\"row\">{}</th>", title);
    for (const Run& run : runs) {
      html += fmt::format("<td>{}</td>", needs_noise && !has_noise(run) ? "–" : text(run));
    }
    html += "</tr>\n";
  };
  const auto header = [](const Run& run) -> const CertificateLogHeader& { return run.log.header; };
  const auto calibration = [](const Run& run) -> const Calibration& {
    return run.log.header.calibration;
  };
  const auto number = [](double value) { return fmt::format("{}", value); };
  row("Data set", [&](const Run& run) {
    return fmt::format("{}, {} split", escape(header(run).dataset), escape(header(run).split));
  });
  row("Images", images_text);
  row("Mechanism", [&](const Run& run) {
    return std::string(name(calibration(run).mechanism)) +
           (header(run).noise_at_certification ? ", given at certification" : "");
  });
  row(
      "Attack norm", [&](const Run& run) { return norm_text(calibration(run).attack_norm); }, true);
  const auto of_construction = [&](const Run& run, auto text) {
    const auto& construction = calibration(run).construction;
    return construction ? text(*construction) : std::string("–");
  };
  row("Construction bound L", [&](const Run& run) {
    return of_construction(run, [&](const Construction& c) { return number(c.bound); });
  });
  row(
      "Noise scale", [&](const Run& run) { return number(calibration(run).noise_scale); }, true);
  row(
      "Sensitivity", [&](const Run& run) { return number(calibration(run).sensitivity); }, true);
  row(
      "Noise is added",
      [&](const Run& run) {
        const double step = calibration(run).lattice_step;
        return step > 0.0 ? fmt::format("on a lattice of {:.4g}", step) : "in floats";
      },
      true);
  row(
      "Charged: total variation per draw; rounding before the noise",
      [&](const Run& run) {
        const Calibration& c = calibration(run);
        if (!is_charged(c)) return std::string("nothing");
        return fmt::format("{:.4g}; {}", c.variation,
                           c.prefix_error > 0.0 ? fmt::format("{:.4g}", c.prefix_error) : "none");
      },
      true);
  row("ε, δ of the construction", [&](const Run& run) {
    return of_construction(run, [&](const Construction& c) {
      const bool has_delta = calibration(run).mechanism == Mechanism::gaussian;
      return number(c.epsilon) + (has_delta ? ", " + number(c.delta) : "");
    });
  });
  row("Score type", [&](const Run& run) { return std::string(name(header(run).options.scores)); });
  row(
      "Bound", [&](const Run& run) { return std::string(name(header(run).options.bound)); }, true);
  row(
      "Certificate",
      [&](const Run& run) {
        return std::string(name(header(run).options.kind)) + top_text(header(run).options);
      },
      true);
  row(
      "Failure probability alpha",
      [&](const Run& run) { return number(header(run).options.alpha); }, true);
  row("Draws", [&](const Run& run) {
    const CertificateLogHeader& h = header(run);
    if (h.stopping.rule == StoppingRule::fixed) return fmt::format("{}", h.draws);
    return fmt::format("{}; {:.1f} per image", draws_text(h), mean_draws(run.log.records));
  });
  row("Precision after the noise",
      [&](const Run& run) { return escape(function_text(header(run).function)); });
  row("Label chosen on", [&](const Run& run) {
    return header(run).selection_draws == 0
               ? std::string("the same draws; the bounds pay for the choice")
               : fmt::format("{} other draws", header(run).selection_draws);
  });
  row("Seed", [&](const Run& run) { return fmt::format("{}", header(run).seed); });
  row("Model SHA-256",
      [&](const Run& run) { return fmt::format("<code>{}</code>", header(run).model_sha256); });
  const auto untouched = [&](const Run& run) { return header(run).classifier_sha256; };
  if (std::ranges::any_of(runs, [&](const Run& run) { return !untouched(run).empty(); }))
    row("Classifier SHA-256, untouched", [&](const Run& run) {
      return untouched(run).empty() ? "–" : fmt::format("<code>{}</code>", untouched(run));
    });
  row("Data SHA-256",
      [&](const Run& run) { return fmt::format("<code>{}</code>", header(run).dataset_sha256); });
  html = "<h2>Conditions</h2>\n" + table("<b>Table 2.</b> All that the certificates depend on.",
                                         "conditions full", html + "</tbody>");
  for (const Run& run : runs) {
    if (!run.config) continue;
    html += fmt::format("<details><summary>Configuration of {}</summary><pre>{}</pre></details>\n",
                        escape(run.name), escape(*run.config));
  }
  return html;
}

}  // namespace pixeldp::report
