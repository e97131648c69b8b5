#include "pixeldp/report/csv.hpp"

#include <fmt/format.h>

#include "pixeldp/conditions.hpp"
#include "pixeldp/metrics.hpp"
#include "pixeldp/report/report.hpp"

namespace pixeldp::report {

std::string csv_cell(std::string_view text) {
  if (text.find_first_of(",\"\r\n") == std::string_view::npos) return std::string(text);
  std::string quoted = "\"";
  for (const char c : text) quoted += c == '"' ? std::string("\"\"") : std::string(1, c);
  return quoted + "\"";
}

std::string report_csv(const std::vector<Run>& runs) {
  std::string csv =
      "run,certificate,bound,alpha,draws,threshold,images,accuracy,certified_accuracy,"
      "certified_fraction,precision\n";
  for (const Run& run : runs) {
    for (const CertificateLog* log : all_certificates(run)) {
      const CertificateOptions& options = log->header.options;
      const std::string conditions =
          has_noise(run) ? fmt::format("{}{},{},{},{}", name(options.kind), top_text(options),
                                       name(options.bound), options.alpha, log->header.draws)
                         : fmt::format("none,,,{}", log->header.draws);
      const std::size_t images = log->records.size();
      const double n = static_cast<double>(images);
      for (const CurvePoint& point : certified_curve(log->records)) {
        csv += fmt::format(
            "{},{},{},{},{},{},{},{}\n", csv_cell(run.name), conditions, point.threshold, images,
            accuracy(log->records), static_cast<double>(point.correct) / n,
            static_cast<double>(point.certified) / n,
            point.certified == 0 ? ""
                                 : fmt::format("{}", static_cast<double>(point.correct) /
                                                         static_cast<double>(point.certified)));
      }
    }
  }
  return csv;
}

}  // namespace pixeldp::report
