#include "trainers/training_log.hpp"

#include <cstdlib>

#include "engine/error.hpp"
#include "engine/io/file.hpp"

namespace pixeldp {
namespace {

constexpr const char* columns =
    "step,learning_rate,noise_factor,loss,train_accuracy,test_accuracy,certified_accuracy,"
    "sensitivity,seconds\n";

}  // namespace

TrainingLog::TrainingLog(const std::filesystem::path& path, std::optional<std::int64_t> resume_at)
    : path_(path) {
  std::string kept = columns;
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
  file_ << fmt::format("{},{:g},{:.6g},{:.6g},{:.6g},{},{},{},{:.1f}\n", r.step, r.learning_rate,
                       r.noise_factor, r.loss, r.train_accuracy, optional(r.test_accuracy),
                       optional(r.certified_accuracy), optional(r.sensitivity), r.seconds)
        << std::flush;
  if (!file_) {
    fail("cannot write {}: is the disk full? Free space and continue with --resume",
         path_.string());
  }
}

}  // namespace pixeldp
