#pragma once

#include <string>

#include "engine/rounded.hpp"
#include "pixeldp/certificate_log.hpp"

namespace pixeldp {

/// "exact certificate, clopper-pearson bounds of argmax scores, alpha 0.05 per prediction, 300
/// draws, fp32 after the noise": what has to be said with every figure about certificates. Of a
/// model without noise, what remains of that.
std::string conditions_text(const CertificateLogHeader& header);

/// " of the 3 first labels", or nothing of the first one.
std::string top_text(const CertificateOptions& options);

/// "300 draws and 10 others for the label", "at most 100000 draws, until a radius of 0.5 is proved
/// or out of reach (wrongly with probability 0.01 at most), and 32 others for the label".
std::string draws_text(const CertificateLogHeader& header);

/// One sentence where no outcome of so many draws could certify anything: why, and how many could.
/// Empty where some outcome can.
std::string too_few_draws(std::uint64_t draws, int classes, const Calibration& calibration,
                          const CertificateOptions& options, Selection selection);

}  // namespace pixeldp
