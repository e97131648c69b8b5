#pragma once

#include <filesystem>

#include "pixeldp/certificate_log.hpp"

namespace pixeldp::report {

/// Throws an Error that lists the keys unless the files of a run's folder agree in all that more
/// than one of them records: config.yaml, model.safetensors and the certificate log. A file that is
/// not there says nothing. The data set of a log may be another than that of the training. Its
/// sensitivity may be larger than the model's, but not smaller.
void check_agreement(const std::filesystem::path& folder, const CertificateLog& log);

}  // namespace pixeldp::report
