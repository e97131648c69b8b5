#include "trainers/training_log.hpp"

#include <cstdlib>

#include "engine/error.hpp"
#include "engine/io/file.hpp"

namespace pixeldp {
namespace {

std::string columns(bool regression) {
  return fmt::format(
      "step,learning_rate,noise_factor,loss,{},sensitivity,seconds\n",
      regression ? "train_error,test_error" : "train_accuracy,test_accuracy,certified_accuracy");
}

}  // namespace

TrainingLog::TrainingLog(const std::filesystem::path& path, std::optional<std::int64_t> resume_at,
                         bool regression)
    : path_(path), regression_(regression) {
  std::string kept = columns(regression);
  if (resume_at) {
    std::ifstream old(path);
    std::string line;
    std::getline(old, line);  // the columns
    while (std::getline(old, line) && !old.eof()) {
      if (std::atoll(line.c_str()) <= *resume_at) kept += line + '\n';
    }
  }
  write_file_atomically(path, kept);
  file_.open(path, std::ios::app);
}

void TrainingLog::append(const TrainingRecord& r) {
  const auto optional = [](const std::optional<double>& value) {
    return value ? fmt::format("{:.6g}", *value) : std::string();
  };
  const std::string figures =
      regression_ ? fmt::format("{:.6g},{}", r.train_error, optional(r.test_error))
                  : fmt::format("{:.6g},{},{}", r.train_accuracy, optional(r.test_accuracy),
                                optional(r.certified_accuracy));
  file_ << fmt::format("{},{:g},{:.6g},{:.6g},{},{},{:.1f}\n", r.step, r.learning_rate,
                       r.noise_factor, r.loss, figures, optional(r.sensitivity), r.seconds)
        << std::flush;
  if (!file_) {
    fail("cannot write {}: is the disk full? Free space and continue with --resume",
         path_.string());
  }
}

}  // namespace pixeldp
